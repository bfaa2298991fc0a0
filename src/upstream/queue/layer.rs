//! Lets a call pass when the shared account has room for it, and has it wait in turn until then.
//!
//! Reads: the team and its weight, the account's limits, the keys that can be used. Writes: the permits, the
//! reservation's phase, the record's queue time, how a key stands. Refuses: `shared_rate_limited`, `queue_full`,
//! `ledger_unavailable`, `upstream_key_rejected`, `shared_credits_exhausted`, `upstream_unavailable`. Position: below
//! admission: who waits has paid, and is released when it leaves; above the layer that puts the shared key in: the
//! permit says which one. A call is sent again only after an answer that proves that it was not executed.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::attempts::{Attempts, Means};
use super::{PermitClient, Permitted};
use crate::admission::Admitted;
use crate::call::Forwarded;
use crate::upstream::swap_credential::{Gone, Sent};
use crate::upstream::{Line, Observer, Ways};

/// Makes [`Queue`].
#[derive(Clone)]
pub struct QueueLayer(Arc<Means>);

impl QueueLayer {
    /// A layer whose calls wait at this worker's desk, and then go out by these ways.
    #[must_use]
    pub fn new(desk: Arc<PermitClient>, ways: Ways, observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Means { desk, ways, observer }))
    }
}

impl<S> Layer<S> for QueueLayer {
    type Service = Queue<S>;

    fn layer(&self, inner: S) -> Queue<S> {
        Queue { inner, means: Arc::clone(&self.0) }
    }
}

/// The service of [`QueueLayer`].
#[derive(Clone)]
pub struct Queue<S> {
    inner: S,
    means: Arc<Means>,
}

impl<S> Service<Admitted<Line>> for Queue<S>
where
    S: Service<Permitted, Response = Sent, Error = Gone> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Forwarded;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Forwarded, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, admitted: Admitted<Line>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let way = Attempts::new(Arc::clone(&self.means), admitted);
        Box::pin(async move { Ok(way.go(&mut inner).await) })
    }
}
