//! Metrics of stored responses that were returned instead of making a call.

use super::Metrics;
use crate::idempotency::{Kind, Observer};

impl Observer for Metrics {
    fn replay(&self, kind: Kind) {
        self.catalogue.replays_total.with([kind.name()]).inc();
    }
}
