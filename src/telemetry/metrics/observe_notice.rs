//! Metrics of webhook deliveries.

use super::Metrics;
use crate::webhook::{Delivery, Observer};

impl Observer for Metrics {
    fn notice(&self, delivery: Delivery) {
        self.catalogue.webhook_notices_total.with([delivery.name()]).inc();
    }
}
