//! Counts what was given again instead of being made again.

use super::Metrics;
use crate::idempotency::{Kind, Observer};

impl Observer for Metrics {
    fn replay(&self, kind: Kind) {
        self.catalogue.replays_total.with([kind.name()]).inc();
    }
}
