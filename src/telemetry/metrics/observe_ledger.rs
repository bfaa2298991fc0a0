//! Counts what the ledger's store tells: operations, batches, whether it answers, what it swept, what it lost.

use std::time::Duration;

use super::Metrics;
use crate::ledger::{Observer, Outcome, Swept};
use crate::team::TeamId;

impl Observer for Metrics {
    fn operation(&self, op: &'static str, result: &'static str, took: Duration) {
        self.catalogue.ledger_operations_total.with([op, result]).inc();
        self.catalogue.ledger_operation_seconds.with([op]).took(took);
    }

    fn batch(&self, size: usize) {
        self.catalogue.ledger_batch_size.sized(size);
    }

    fn up(&self, up: bool) {
        self.catalogue.ledger_up.set_whether(up);
    }

    fn swept(&self, team: &TeamId, swept: Swept) {
        self.team(team).swept.add(swept.released.saturating_add(swept.unknown));
        self.catalogue.settlements_total.with([Outcome::Released.name()]).add(swept.released);
        self.catalogue.settlements_total.with([Outcome::Unknown.name()]).add(swept.unknown);
    }

    fn epoch_changed(&self, _team: &TeamId) {
        self.catalogue.ledger_epoch_changes_total.inc();
    }
}
