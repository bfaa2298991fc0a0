//! What a store tells of itself while it works, for whoever counts it: the store knows no metrics.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Crossing, Outage, Swept, SweptCharge};
use crate::team::TeamId;

/// Is told what happens in a store. Called on the path of every call: must not block.
pub trait Observer: Send + Sync + 'static {
    /// An operation of the `Ledger` trait ended. `op` is the method's name, or that of a step of
    /// `replay::Store` after `replay_`; `result` is `ok` or [`Outage::name`]'s text.
    ///
    /// [`Outage::name`]: super::Outage::name
    fn operation(&self, op: &'static str, result: &'static str, took: Duration);

    /// Why an operation failed that [`Self::operation`] was told of, for whoever writes it down.
    fn failed(&self, _op: &'static str, _outage: &Outage) {}

    /// So many operations of one team were sent together.
    fn batch(&self, size: usize);

    /// The store began (`true`) or ceased to answer.
    fn up(&self, up: bool);

    /// Reservations that their holders had left behind were ended, by a sweep or beside an admission, and this was charged.
    fn swept(&self, team: &TeamId, swept: Swept, charges: &[SweptCharge]);

    /// A reservation that nobody had heard of was released: whoever asked for it had gone, or its answer was lost.
    fn abandoned(&self, _team: &TeamId) {}

    /// A team's budget has come to its soft threshold. Told once a window over all processes, by the one whose call it was.
    fn crossed(&self, team: &TeamId, crossing: &Crossing);

    /// The store has lost writes of a team, and goes on under another epoch. Told once a loss by each process.
    fn epoch_changed(&self, team: &TeamId);
}

/// Tells how an operation of a store ended and how long it took.
pub(super) fn observed<'a, T: Send + 'a>(
    observer: &'a dyn Observer,
    op: &'static str,
    operation: impl Future<Output = Result<T, Outage>> + Send + 'a,
) -> BoxFuture<'a, Result<T, Outage>> {
    async move {
        let started = Instant::now();
        let result = operation.await;
        tell(observer, op, &result, started);
        result
    }
    .boxed()
}

/// Tells how an operation ended that began at `started`.
pub(super) fn tell<T>(observer: &dyn Observer, op: &'static str, result: &Result<T, Outage>, started: Instant) {
    observer.operation(op, result.as_ref().map_or_else(Outage::name, |_| "ok"), started.elapsed());
    if let Err(outage) = result {
        observer.failed(op, outage);
    }
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn operation(&self, _op: &'static str, _result: &'static str, _took: Duration) {}

    fn batch(&self, _size: usize) {}

    fn up(&self, _up: bool) {}

    fn swept(&self, _team: &TeamId, _swept: Swept, _charges: &[SweptCharge]) {}

    fn crossed(&self, _team: &TeamId, _crossing: &Crossing) {}

    fn epoch_changed(&self, _team: &TeamId) {}
}
