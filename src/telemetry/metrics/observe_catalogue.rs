//! Metrics of the upstream's catalogue.

use super::Metrics;
use crate::catalogue::watch::Observer;
use crate::pricing::State;

impl Observer for Metrics {
    #[allow(clippy::cast_precision_loss)]
    fn prices(&self, state: State, models: usize) {
        self.catalogue.upstream_prices.with([state.name()]).set(models as f64);
    }
}
