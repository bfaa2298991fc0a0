//! When the counts of a user or a key no longer matter, and are forgotten.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use moongate::credits::Credits;
use moongate::ledger::{Admission, Level, Scope};
use moongate::team::limit::Shape;
use moongate::team::{LimitKind, TeamId};

use super::Model;

impl Model {
    /// A week after the month, and a day after the fullest bucket is full again; for ever where
    /// there is a prepaid budget.
    pub(super) fn matters_until(&mut self, admission: &Admission, level: &Level, now: Timestamp) {
        let topped_up = self.topped_up(&admission.team, &level.scope) > Credits::ZERO;
        let prepaid = level.limits.iter().any(|limit| limit.kind == LimitKind::CreditsTotal);
        let which = (admission.team.clone(), level.scope.clone());
        if level.scope == Scope::Team || topped_up || prepaid {
            self.until.remove(&which);
            return;
        }
        let first = now.to_zoned(admission.time_zone.clone()).date().first_of_month();
        let next_month = first
            .saturating_add(1.month())
            .to_zoned(admission.time_zone.clone())
            .unwrap()
            .timestamp();
        let full_again = level.limits.iter().filter_map(|limit| match limit.kind.shape() {
            Shape::Bucket(period) if limit.max > 0 => {
                let micros = u128::from(limit.burst) * period.as_micros() / u128::from(limit.max);
                Some(
                    now + Duration::from_micros(u64::try_from(micros).unwrap())
                        + Duration::from_secs(86_400),
                )
            }
            Shape::Bucket(_) | Shape::Window(..) | Shape::Slots => None,
        });
        let until = full_again.fold(next_month + Duration::from_secs(7 * 86_400), Timestamp::max);
        self.until.insert(which, until);
    }

    /// The same, where users and keys are kept for ever.
    pub(crate) fn forgetting(self, forgets: bool) -> Self {
        Self { forgets, ..self }
    }

    pub(super) fn forget(&mut self, team: &TeamId, now: Timestamp) {
        let over = self.until.iter().filter(|((whose, _), until)| whose == team && **until <= now);
        let over: Vec<_> = over.map(|(which, _)| which.clone()).collect();
        for which in over {
            if self.of(team, &which.1).all(|call| !call.holds_slots()) {
                self.buckets.retain(|(whose, scope, _), _| (whose, scope) != (&which.0, &which.1));
                self.until.remove(&which);
                self.forgotten.insert(which, self.calls.len());
            }
        }
    }
}
