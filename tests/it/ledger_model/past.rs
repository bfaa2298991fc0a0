//! The rows and the usage of calls that have ended.

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
            let cell = (row.day.clone(), row.asked.user.clone(), row.asked.model.clone());
            *sums.entry(cell).or_default() += Sums::from(row);
        }
        let told = |((day, user, model), sums): ((String, String, String), _)| Usage {
            day: day.parse().unwrap(),
            user,
            model,
            sums,
        };
        sums.into_iter().map(told).collect()
    }
}
