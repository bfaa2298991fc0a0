//! What a store tells of itself while it works, for whoever counts it: the store knows no metrics.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Outage;

/// Is told what happens in a store. Called on the path of every call: must not block.
pub trait Observer: Send + Sync + 'static {
    /// An operation ended. `op` is its name, such as `admit` or `replay_begin`; `result` is `ok` or [`Outage::name`]'s
    /// text.
    fn operation(&self, op: &'static str, result: &'static str, took: Duration);

    /// Why an operation failed that [`Self::operation`] was told of, for whoever writes it down.
    fn failed(&self, _op: &'static str, _outage: &Outage) {}

    /// The store began (`true`) or ceased to answer.
    fn up(&self, up: bool);
}

/// Tells how an operation of a store ended and how long it took.
pub(crate) fn observed<'a, T: Send + 'a, O: Observer + ?Sized>(
    observer: &'a O,
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
pub(crate) fn tell<T, O: Observer + ?Sized>(
    observer: &O,
    op: &'static str,
    result: &Result<T, Outage>,
    started: Instant,
) {
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

    fn up(&self, _up: bool) {}
}
