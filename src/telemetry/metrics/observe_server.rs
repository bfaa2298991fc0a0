//! Metrics of the listener: connections, and waits for a free one.

use jiff::Timestamp;

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

    fn certificate_ends(&self, at: Timestamp) {
        let at = at.as_duration().as_secs_f64();
        self.catalogue.certificate_expiry_timestamp_seconds.set(at);
    }
}
