//! Observer of the ledger that queues notices for the webhook and passes everything on to another
//! observer.

use std::sync::Arc;
use std::time::Duration;

use super::body::Notice;
use super::sender::Sender;
use crate::ledger::{Crossing, Observer, Swept, SweptCharge};
use crate::store::{self, Outage};
use crate::team::TeamId;

/// Observer in front of another one.
pub struct Watch {
    inner: Arc<dyn Observer>,
    sender: Arc<Sender>,
}

impl Watch {
    /// Queues notices with this sender.
    #[must_use]
    pub const fn new(inner: Arc<dyn Observer>, sender: Arc<Sender>) -> Self {
        Self { inner, sender }
    }
}

impl store::Observer for Watch {
    fn operation(&self, op: &'static str, result: &'static str, duration: Duration) {
        self.inner.operation(op, result, duration);
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
        self.sender.take(Notice::of(team, crossing));
    }

    fn epoch_changed(&self, team: &TeamId) {
        self.inner.epoch_changed(team);
    }
}
