//! Metrics of the upstream: calls, shared keys, the account's limits.

use std::time::Duration;

use super::Metrics;
use crate::credits::Credits;
use crate::team::TeamId;
use crate::upstream::Observer;

impl Observer for Metrics {
    fn called(&self, model_label: &str, code: &str, duration: Duration) {
        self.catalogue.upstream_requests_total.with([model_label, code]).inc();
        self.catalogue.upstream_duration_seconds.with([model_label]).observe(duration);
    }

    fn key_healthy(&self, key: &str, healthy: bool) {
        self.catalogue.upstream_key_healthy.with([key]).set_whether(healthy);
    }

    #[allow(clippy::cast_precision_loss)]
    fn limit_remaining(&self, key: &str, window: &str, remaining: u64) {
        self.catalogue.upstream_limit_remaining.with([key, window]).set(remaining as f64);
    }

    fn queue_joined(&self, team: &TeamId) {
        self.team(team).queue_depth.up();
    }

    fn queue_left(&self, team: &TeamId) {
        self.team(team).queue_depth.down();
    }

    fn queue_waited(&self, team: &TeamId, waited: Duration) {
        self.team(team).queue_wait.observe(waited);
    }

    fn balance(&self, key: &str, balance: Credits) {
        self.catalogue.upstream_balance_credits.with([key]).set(balance.for_display());
    }

    fn drift(&self, key: &str, micros: i64) {
        let size = Credits::from_micros(micros.unsigned_abs()).for_display();
        self.catalogue.upstream_drift_credits.with([key]).set(if micros < 0 {
            -size
        } else {
            size
        });
    }

    fn breaker_open(&self, open: bool) {
        self.catalogue.upstream_breaker_open.set_whether(open);
    }

    fn tripwire(&self) {
        self.catalogue.upstream_tripwire_total.inc();
    }
}
