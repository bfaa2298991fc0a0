//! Puts a shared key where the caller's credential was, and another one when that is refused.
//!
//! Reads: the admitted call, the pool of keys. Writes: the record's upstream time and status; which keys rest.
//! Refuses: `upstream_key_rejected`, `shared_credits_exhausted`, `shared_rate_limited`, and what the answer means.
//! Position: below admission: a call that goes out with the shared key was paid for. A call is sent again, with another
//! key, only after an answer that proves that it was not executed.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::HeaderValue;
use jiff::Timestamp;
use tower::{Layer, Service};

use super::forward::Outgoing;
use super::judge::{Fate, Judgement, Passed, judge};
use super::keys::{Key, Rest, Why};
use super::observe::Observer;
use super::tripwire;
use super::wire::{Failed, Received};
use super::{KeyPool, Upstream};
use crate::admission::Admitted;
use crate::clock::Clock;
use crate::live::Live;
use crate::refusal::Refusal;

/// What became of an admitted call.
#[derive(Debug)]
pub struct Forwarded {
    /// For the money.
    pub fate: Fate,
    /// For the caller.
    pub answer: Result<Passed, Refusal>,
    /// At the upstream.
    pub took: Duration,
}

/// Makes [`SwapCredential`].
#[derive(Clone)]
pub struct SwapCredentialLayer {
    upstream: Live<Upstream>,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl SwapCredentialLayer {
    /// A layer that sends calls to the upstream as it is configured when they come.
    #[must_use]
    pub fn new(upstream: Live<Upstream>, clock: Clock, observer: Arc<dyn Observer>) -> Self {
        Self { upstream, clock, observer }
    }
}

impl<S> Layer<S> for SwapCredentialLayer {
    type Service = SwapCredential<S>;

    fn layer(&self, inner: S) -> SwapCredential<S> {
        SwapCredential { inner, with: self.clone() }
    }
}

/// The service of [`SwapCredentialLayer`].
#[derive(Clone)]
pub struct SwapCredential<S> {
    inner: S,
    with: SwapCredentialLayer,
}

impl<S> Service<Admitted> for SwapCredential<S>
where
    S: Service<Outgoing, Response = Received, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Forwarded;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Forwarded, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The wire is always ready; a connection is found when the call is made.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, admitted: Admitted) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let with = self.with.clone();
        Box::pin(async move {
            let started = Instant::now();
            let (fate, answer) = with.send(&mut inner, &admitted).await;
            let took = started.elapsed();
            admitted.call().record.facts().upstream = took;
            Ok(Forwarded { fate, answer, took })
        })
    }
}

impl SwapCredentialLayer {
    async fn send<S>(&self, inner: &mut S, admitted: &Admitted) -> (Fate, Result<Passed, Refusal>)
    where
        S: Service<Outgoing, Response = Received, Error = Failed>,
    {
        let upstream = self.upstream.read();
        let mut tried: Vec<&str> = Vec::new();
        let mut last = None;
        while let Some(key) = upstream.keys.next(self.clock.now(), &tried) {
            let judgement = self.send_with(inner, admitted, &upstream, key).await;
            let Some(rest) = judgement.rest else {
                self.note_working(key);
                return (judgement.fate, judgement.answer);
            };
            self.note_rest(key, rest);
            tried.push(&key.name);
            last = Some(judgement);
        }
        match last {
            Some(judgement) => (judgement.fate, judgement.answer),
            None => (Fate::NotSent, Err(all_rest(&upstream.keys, self.clock.now()))),
        }
    }

    async fn send_with<S>(&self, inner: &mut S, admitted: &Admitted, upstream: &Arc<Upstream>, key: &Key) -> Judgement
    where
        S: Service<Outgoing, Response = Received, Error = Failed>,
    {
        let call = admitted.call();
        let traceparent = call.record.facts().traceparent.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        let outgoing = Outgoing {
            upstream: Arc::clone(upstream),
            authorization: key.authorization.clone(),
            model: call.model.clone(),
            body: call.body.clone(),
            id: call.id.clone(),
            traceparent,
        };
        let started = Instant::now();
        let received = inner.call(outgoing).await;
        let took = started.elapsed();
        match received {
            Ok(received) => {
                self.observer.called(admitted.model_label(), received.head.status.as_str(), took);
                self.judge(received, admitted, upstream, key)
            }
            Err(failed) => {
                let (fate, refusal) = not_answered(&failed, admitted);
                self.observer.called(admitted.model_label(), refusal.kind().code, took);
                Judgement { fate, answer: Err(refusal), rest: None }
            }
        }
    }

    fn judge(&self, mut received: Received, admitted: &Admitted, upstream: &Upstream, key: &Key) -> Judgement {
        let headers = &received.head.headers;
        let remaining = headers.get("x-ratelimit-remaining").and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(remaining) = remaining {
            self.observer.limit_remaining(&key.name, remaining);
        }
        if let Some(blanked) = tripwire::blank(&received.body, &upstream.keys) {
            tracing::error!(key = key.name, "an answer of the upstream held a shared key; it was blanked");
            self.observer.tripwire();
            received.body = blanked;
        }
        if tripwire::drop_headers(&mut received.head.headers, &upstream.keys) {
            tracing::error!(key = key.name, "a header of an answer of the upstream held a shared key; it was dropped");
            self.observer.tripwire();
        }
        admitted.call().record.facts().upstream_status = Some(received.head.status.as_u16());
        judge(received, self.clock.now())
    }

    fn note_working(&self, key: &Key) {
        if key.works() {
            tracing::info!(key = key.name, "the shared key works again");
            self.observer.key_healthy(&key.name, true);
        }
    }

    fn note_rest(&self, key: &Key, rest: Rest) {
        key.rest_until(rest.why, rest.until);
        if rest.why != Why::RateLimited {
            tracing::error!(key = key.name, why = ?rest.why, until = %rest.until, "the upstream refuses a shared key");
            self.observer.key_healthy(&key.name, false);
        }
    }
}

fn not_answered(failed: &Failed, admitted: &Admitted) -> (Fate, Refusal) {
    tracing::warn!(request_id = %admitted.call().id, error = %failed, "the upstream did not answer");
    match failed {
        Failed::Unreachable(_) => (Fate::NotSent, Refusal::UpstreamUnreachable),
        Failed::TimedOut => (Fate::Unknown, Refusal::UpstreamTimeout),
        Failed::Broken(_) => (Fate::Unknown, Refusal::UpstreamBroken),
    }
}

/// No key could even be tried.
fn all_rest(keys: &KeyPool, now: Timestamp) -> Refusal {
    let Some(rest) = keys.resting(now) else { return Refusal::UpstreamKeyRejected };
    match rest.why {
        Why::Rejected => Refusal::UpstreamKeyRejected,
        Why::NoCredits => Refusal::SharedCreditsExhausted,
        Why::RateLimited => Refusal::SharedRateLimited {
            retry_at: rest.until,
            retry_after: now.duration_until(rest.until).try_into().unwrap_or(Duration::ZERO),
        },
    }
}
