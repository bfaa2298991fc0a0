//! What a store reports to metrics.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Outage;

/// Reports from a store. Called on the path of every call, so it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Reports an operation that ended. `op` is its name, such as `admit` or `replay_begin`;
    /// `result` is `ok` or [`Outage::name`].
    fn operation(&self, op: &'static str, result: &'static str, duration: Duration);

    /// Reports why the operation failed that was just reported, for a log.
    fn failed(&self, _op: &'static str, _outage: &Outage) {}

    /// Reports that the store is up again (`true`) or down.
    fn up(&self, up: bool);
}

/// Reports how an operation ended, and how long it took.
pub(crate) fn observed<'a, T: Send + 'a, O: Observer + ?Sized>(
    observer: &'a O,
    op: &'static str,
    operation: impl Future<Output = Result<T, Outage>> + Send + 'a,
) -> BoxFuture<'a, Result<T, Outage>> {
    async move {
        let started = Instant::now();
        let result = operation.await;
        report(observer, op, &result, started);
        result
    }
    .boxed()
}

/// Reports how an operation ended that began at `started`.
pub(crate) fn report<T, O: Observer + ?Sized>(
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
    fn operation(&self, _op: &'static str, _result: &'static str, _duration: Duration) {}

    fn up(&self, _up: bool) {}
}
