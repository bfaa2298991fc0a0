//! Counts what the listener tells: connections, and callers that had to wait for one.

use super::Metrics;
use crate::server::Observer;
use crate::server::observe::Stall;

impl Observer for Metrics {
    #[allow(clippy::cast_precision_loss)]
    fn may_be_open(&self, connections: usize) {
        self.catalogue.connections_max.set(connections as f64);
    }

    fn opened(&self) {
        self.catalogue.connections_open.up();
    }

    fn closed(&self) {
        self.catalogue.connections_open.down();
    }

    fn stalled(&self, why: Stall) {
        self.catalogue.accept_stalls_total.with([why.name()]).inc();
    }
}
