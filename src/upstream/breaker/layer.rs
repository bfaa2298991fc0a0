//! Refuses calls at once while the upstream fails repeatedly.
//!
//! Reads: the breaker. Writes: nothing. Refuses: `upstream_unavailable`. Position: directly above
//! admission, so that a refused call reserves nothing and counts in no limit; below the replay
//! layer, so that stored responses are given out while the upstream is down. Calls that are
//! admitted and wait for the shared account are refused and released by the queue.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::{Layer, Service};

use crate::clock::Clock;
use crate::http::Answer;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// Makes [`Break`].
#[derive(Clone)]
pub struct BreakerLayer {
    upstream: Live<Upstream>,
    clock: Clock,
}

impl BreakerLayer {
    /// A layer for the breaker of the current upstream.
    #[must_use]
    pub const fn new(upstream: Live<Upstream>, clock: Clock) -> Self {
        Self { upstream, clock }
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Break<S>;

    fn layer(&self, inner: S) -> Break<S> {
        Break { inner, with: Arc::new(self.clone()) }
    }
}

/// The service of [`BreakerLayer`].
#[derive(Clone)]
pub struct Break<S> {
    inner: S,
    with: Arc<BreakerLayer>,
}

/// Serves any request type, since it does not look at the call.
impl<S, C> Service<C> for Break<S>
where
    S: Service<C, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<S::Future, Ready<Result<Answer, Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: C) -> Self::Future {
        match self.with.upstream.read().breaker.check(self.with.clock.elapsed()) {
            Ok(()) => Either::Left(self.inner.call(call)),
            Err(refusal) => Either::Right(ready(Err(refusal))),
        }
    }
}
