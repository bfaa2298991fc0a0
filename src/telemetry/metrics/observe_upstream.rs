//! Counts what the upstream room tells: calls, shared keys, the upstream's own limits.

use std::time::Duration;

use super::Metrics;
use crate::upstream::Observer;

impl Observer for Metrics {
    fn called(&self, model_label: &str, code: &str, took: Duration) {
        self.catalogue.upstream_requests_total.with([model_label, code]).inc();
        self.catalogue.upstream_duration_seconds.with([model_label]).took(took);
    }

    fn key_healthy(&self, key: &str, healthy: bool) {
        self.catalogue.upstream_key_healthy.with([key]).set_whether(healthy);
    }

    #[allow(clippy::cast_precision_loss)]
    fn limit_remaining(&self, key: &str, remaining: u64) {
        self.catalogue.upstream_limit_remaining.with([key]).set(remaining as f64);
    }

    fn tripwire(&self) {
        self.catalogue.upstream_tripwire_total.inc();
    }
}
