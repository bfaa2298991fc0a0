//! Rows and usage of the model's ended calls.

use std::collections::BTreeMap;

use moongate::ledger::{ReservationId, Row, Sums, Usage};

use super::Model;

impl Model {
    pub(crate) fn rows(&self, ids: &[ReservationId]) -> Vec<Row> {
        self.ended.iter().rev().filter(|row| ids.contains(&row.id)).cloned().collect()
    }

    pub(crate) fn usage(&self, ids: &[ReservationId]) -> Vec<Usage> {
        let mut sums: BTreeMap<(String, String, String), Sums> = BTreeMap::new();
        for row in self.ended.iter().filter(|row| ids.contains(&row.id)) {
            let cell = (row.day.clone(), row.summary.user.clone(), row.summary.model.clone());
            *sums.entry(cell).or_default() += Sums::from(row);
        }
        let usage = |((day, user, model), sums): ((String, String, String), _)| Usage {
            day: day.parse().unwrap(),
            user,
            model,
            sums,
        };
        sums.into_iter().map(usage).collect()
    }
}
