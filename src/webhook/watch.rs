//! Stands before whoever watches the ledger, passes on all that is told, and takes a copy of what concerns the webhook.

use std::sync::Arc;
use std::time::Duration;

use super::body::Notice;
use super::sender::Sender;
use crate::ledger::{Crossing, Observer, Swept, SweptCharge};
use crate::store::{self, Outage};
use crate::team::TeamId;

/// A watcher of the ledger before another one.
pub struct Watch {
    inner: Arc<dyn Observer>,
    desk: Arc<Sender>,
}

impl Watch {
    /// A watcher that gives the desk its notices.
    #[must_use]
    pub const fn new(inner: Arc<dyn Observer>, desk: Arc<Sender>) -> Self {
        Self { inner, desk }
    }
}

impl store::Observer for Watch {
    fn operation(&self, op: &'static str, result: &'static str, took: Duration) {
        self.inner.operation(op, result, took);
    }

    fn failed(&self, op: &'static str, outage: &Outage) {
        self.inner.failed(op, outage);
    }

    fn up(&self, up: bool) {
        self.inner.up(up);
    }
}

impl Observer for Watch {
    fn batch(&self, size: usize) {
        self.inner.batch(size);
    }

    fn swept(&self, team: &TeamId, swept: Swept, charges: &[SweptCharge]) {
        self.inner.swept(team, swept, charges);
    }

    fn abandoned(&self, team: &TeamId) {
        self.inner.abandoned(team);
    }

    fn crossed(&self, team: &TeamId, crossing: &Crossing) {
        self.inner.crossed(team, crossing);
        self.desk.take(Notice::of(team, crossing));
    }

    fn epoch_changed(&self, team: &TeamId) {
        self.inner.epoch_changed(team);
    }
}
