//! Puts a shared key where the caller's credential was, and tells what came of it.
//!
//! Reads: the permitted call and its key. Writes: the record's upstream status. Refuses: what the answer means.
//! Position: below the queue, which says with which key a call may go out now, and whether it is sent again.

use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use tower::{Layer, Service};

use super::breaker::seen::seen;
use super::classify::{Classification, classify};
use super::client::{Failed, Received};
use super::forward::Outgoing;
use super::keys::{Cooldown, Key, Why};
use super::observe::Observer;
use super::queue::Permitted;
use super::{KeyPool, Line, Upstream, tripwire};
use crate::admission::Admitted;
use crate::call::{ExecutionOutcome, UpstreamResponse};
use crate::clock::Clock;
use crate::http::{X_RATELIMIT_REMAINING, X_RATELIMIT_RESET};
use crate::permits::KeyTold;
use crate::refusal::Refusal;

/// What became of one attempt to make a call.
#[derive(Debug)]
pub struct Sent {
    /// For the money.
    pub fate: ExecutionOutcome,
    /// For the caller.
    pub answer: Result<UpstreamResponse, Refusal>,
    /// For the key: it may not be used for a while. The same call may be sent with another: it was not executed.
    pub rest: Option<Cooldown>,
    /// How the upstream says that the key stands.
    pub told: Option<KeyTold>,
}

/// Not a byte of the call went out: its connection had been closed while it was idle. Another may take it.
#[derive(Debug)]
pub struct Gone;

/// Makes [`SwapCredential`].
#[derive(Clone)]
pub struct SwapCredentialLayer {
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl SwapCredentialLayer {
    /// A layer that tells what it sees to this observer.
    #[must_use]
    pub fn new(clock: Clock, observer: Arc<dyn Observer>) -> Self {
        Self { clock, observer }
    }
}

impl<S> Layer<S> for SwapCredentialLayer {
    type Service = SwapCredential<S>;

    fn layer(&self, inner: S) -> SwapCredential<S> {
        SwapCredential { inner, with: Arc::new(self.clone()) }
    }
}

/// The service of [`SwapCredentialLayer`].
#[derive(Clone)]
pub struct SwapCredential<S> {
    inner: S,
    with: Arc<SwapCredentialLayer>,
}

impl<S> Service<Permitted> for SwapCredential<S>
where
    S: Service<Outgoing, Response = Received, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Sent;
    type Error = Gone;
    type Future = BoxFuture<'static, Result<Sent, Gone>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        // The wire is always ready; a connection is found when the call is made.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, permitted: Permitted) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let with = Arc::clone(&self.with);
        Box::pin(async move { with.send(&mut inner, permitted).await })
    }
}

impl SwapCredentialLayer {
    async fn send<S>(&self, inner: &mut S, permitted: Permitted) -> Result<Sent, Gone>
    where
        S: Service<Outgoing, Response = Received, Error = Failed>,
    {
        let (admitted, upstream, key, connected) = permitted.into_parts();
        let (admitted, upstream, key) = (&*admitted, &upstream, &*key);
        let call = admitted.call();
        let trace = call.record.facts().trace;
        let traceparent = trace.and_then(|trace| HeaderValue::from_str(trace.text().as_str()).ok());
        let outgoing = Outgoing {
            upstream: Arc::clone(upstream),
            line: connected.line,
            authorization: key.authorization.clone(),
            model: call.model.clone(),
            body: call.body.clone(),
            id: call.id.clone(),
            traceparent,
            room: Arc::clone(admitted.room()),
        };
        let started = Instant::now();
        let received = inner.call(outgoing).await;
        let took = connected.took + started.elapsed();
        self.note(&received, admitted, upstream);
        Ok(match received {
            Err(Failed::Gone) => return Err(Gone),
            Ok(received) => {
                self.observer.called(admitted.model_label(), received.head.status.as_str(), took);
                self.judge(received, admitted, upstream, key)
            }
            Err(failed) => {
                let (fate, refusal) = not_answered(&failed, admitted);
                self.observer.called(admitted.model_label(), refusal.kind().code, took);
                Sent { fate, answer: Err(refusal), rest: None, told: None }
            }
        })
    }

    /// Tells the breaker how the call ended.
    fn note(&self, ended: &Result<Received, Failed>, admitted: &Admitted<Line>, upstream: &Upstream) {
        let noted = |seen| upstream.breaker.note(&admitted.call().team.id, seen, self.clock.elapsed());
        if seen(ended).is_some_and(noted) {
            self.observer.breaker_open(true);
        }
    }

    fn judge(&self, mut received: Received, admitted: &Admitted<Line>, upstream: &Upstream, key: &Key) -> Sent {
        let remaining = number(&received.head.headers, &X_RATELIMIT_REMAINING);
        if let Some(remaining) = remaining {
            self.observer.limit_remaining(&key.name, AS_TOLD, remaining);
        }
        let reset_at =
            number(&received.head.headers, &X_RATELIMIT_RESET).and_then(|at| Timestamp::from_second(at).ok());
        let told = remaining.zip(reset_at);
        let told = told.map(|(remaining, reset_at)| KeyTold { key: Arc::clone(&key.name), remaining, reset_at });
        if let Some(blanked) = tripwire::blank(&received.body, &upstream.keys) {
            tracing::error!(key = &*key.name, "an answer of the upstream held a shared key; it was blanked");
            self.observer.tripwire();
            received.body = blanked;
        }
        if tripwire::drop_headers(&mut received.head.headers, &upstream.keys) {
            tracing::error!(key = &*key.name, "a header of an answer held a shared key; it was dropped");
            self.observer.tripwire();
        }
        admitted.call().record.facts().upstream_status = Some(received.head.status.as_u16());
        let Classification { fate, answer, rest } = classify(received, self.clock.now());
        Sent { fate, answer, rest, told }
    }
}

/// The window that the upstream speaks of in its headers, as the metrics name it: it does not say which it is.
const AS_TOLD: &str = "told";

fn number<T: FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn not_answered(failed: &Failed, admitted: &Admitted<Line>) -> (ExecutionOutcome, Refusal) {
    tracing::warn!(request_id = %admitted.call().id, call_id = %admitted.call().call_id, error = %failed, "the upstream did not answer");
    match failed {
        Failed::Unreachable(_) | Failed::NoPlace | Failed::Gone => {
            (ExecutionOutcome::NotSent, Refusal::UpstreamUnreachable)
        }
        Failed::TimedOut => (ExecutionOutcome::Unknown, Refusal::UpstreamTimeout),
        Failed::Broken(_) | Failed::TooLarge(_) => (ExecutionOutcome::Unknown, Refusal::UpstreamBroken),
    }
}

/// No key can be used: why, and for how long.
pub(super) fn all_rest(keys: &KeyPool, now: Timestamp) -> Refusal {
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
