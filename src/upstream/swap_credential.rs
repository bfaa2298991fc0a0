//! Makes one attempt of a call with a shared key in place of the caller's credential, and reports
//! how it ended.
//!
//! Reads: the permitted call and its key. Writes: the record's upstream status. Refuses:
//! `upstream_*` and `shared_*`, by the answer. Position: below the queue, which chooses the key and
//! the time, and decides whether the call is sent again.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use tower::Service;

use super::breaker::health_signal::health_signal;
use super::classify::{Classification, classify};
use super::client::{Failed, Received};
use super::forward::Outgoing;
use super::keys::{Cooldown, Key, Why};
use super::observe::Observer;
use super::queue::Permitted;
use super::{KeyPool, Upstream, tripwire};
use crate::call::{ExecutionOutcome, PaidCall, UpstreamResponse};
use crate::clock::Clock;
use crate::http::{X_RATELIMIT_REMAINING, X_RATELIMIT_RESET};
use crate::permits::KeyReport;
use crate::refusal::Refusal;
use crate::request::Stage;
use crate::request::recording::Span;
use crate::step::{Below, Step, Under};

/// Result of one attempt.
#[derive(Debug)]
pub struct Sent {
    /// The execution's outcome, for the settlement.
    pub execution: ExecutionOutcome,
    /// The answer or refusal for the caller.
    pub answer: Result<UpstreamResponse, Refusal>,
    /// Why the key must not be used for a while. The call was not executed and may be sent with
    /// another key.
    pub cooldown: Option<Cooldown>,
    /// The upstream's report of the key's window.
    pub report: Option<KeyReport>,
}

/// Not sent: the idle connection had been closed. Another connection may be used.
#[derive(Debug)]
pub struct Gone;

/// Sends each call with its key, once.
pub struct SwapCredential {
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl<S: Under<Outgoing, Received, Failed>> Step<Permitted, S> for SwapCredential {
    type HandsOn = Outgoing;
    type Response = Sent;
    type Error = Gone;
    type Future = BoxFuture<'static, Result<Sent, Gone>>;

    fn take(self: &Arc<Self>, permitted: Permitted, below: Below<'_, S>) -> Self::Future {
        let with = Arc::clone(self);
        below.later(|mut below| async move { with.send(&mut below, permitted).await })
    }
}

impl SwapCredential {
    /// Reports to this observer.
    #[must_use]
    pub fn new(clock: Clock, observer: Arc<dyn Observer>) -> Self {
        Self { clock, observer }
    }

    async fn send<S>(&self, below: &mut S, permitted: Permitted) -> Result<Sent, Gone>
    where
        S: Service<Outgoing, Response = Received, Error = Failed>,
    {
        let (call, answer_permit, upstream, key, connected) = permitted.into_parts();
        let (call, upstream, key) = (&*call, &upstream, &*key);
        let mut span = call.record.enter(Stage::Upstream);
        span.record(|span| describe(span, upstream, key));
        let trace = {
            let mut facts = call.record.facts();
            facts.upstream_key = Some(key.name.clone());
            span.traceparent().or(facts.trace)
        };
        let traceparent = trace.and_then(|trace| HeaderValue::from_str(trace.text().as_str()).ok());
        let outgoing = Outgoing {
            upstream: Arc::clone(upstream),
            connection: connected.connection,
            authorization: key.authorization.clone(),
            model: call.model.clone(),
            body: call.body.clone(),
            id: call.id.clone(),
            traceparent,
            answer_permit,
        };
        let started = Instant::now();
        let received = below.call(outgoing).await;
        let duration = connected.waited + started.elapsed();
        span.record(|span| outcome(span, &received));
        span.end();
        self.note(&received, call, upstream);
        Ok(match received {
            Err(Failed::Gone) => return Err(Gone),
            Ok(received) => {
                self.observer.called(call.model_label(), received.head.status.as_str(), duration);
                self.judge(received, call, upstream, key)
            }
            Err(failed) => {
                let (execution, refusal) = not_answered(&failed, call);
                self.observer.called(call.model_label(), refusal.kind().code, duration);
                Sent { execution, answer: Err(refusal), cooldown: None, report: None }
            }
        })
    }

    /// Notes the call's end in the breaker.
    fn note(&self, ended: &Result<Received, Failed>, call: &PaidCall, upstream: &Upstream) {
        let noted = |signal| upstream.breaker.note(&call.team.id, signal, self.clock.elapsed());
        if health_signal(ended).is_some_and(noted) {
            self.observer.breaker_open(true);
        }
    }

    fn judge(
        &self,
        mut received: Received,
        call: &PaidCall,
        upstream: &Upstream,
        key: &Key,
    ) -> Sent {
        let remaining = number(&received.head.headers, &X_RATELIMIT_REMAINING);
        if let Some(remaining) = remaining {
            self.observer.limit_remaining(&key.name, AS_REPORTED, remaining);
        }
        let reset_at = number(&received.head.headers, &X_RATELIMIT_RESET)
            .and_then(|at| Timestamp::from_second(at).ok());
        let report = remaining.zip(reset_at);
        let report = report.map(|(remaining, reset_at)| KeyReport {
            key: Arc::clone(&key.name),
            remaining,
            reset_at,
        });
        if let Some(blanked) = tripwire::blank(&received.body, &upstream.keys) {
            tracing::error!(
                key = &*key.name,
                "an answer of the upstream held a shared key; it was blanked"
            );
            self.observer.tripwire();
            received.body = blanked;
        }
        if tripwire::drop_headers(&mut received.head.headers, &upstream.keys) {
            tracing::error!(
                key = &*key.name,
                "a header of an answer held a shared key; it was dropped"
            );
            self.observer.tripwire();
        }
        call.record.facts().upstream_status = Some(received.head.status.as_u16());
        let Classification { execution, answer, cooldown } = classify(received, self.clock.now());
        Sent { execution, answer, cooldown, report }
    }
}

/// Metrics' name of the window in the upstream's headers, which do not say which one it is.
const AS_REPORTED: &str = "told";

fn number<T: FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Notes an attempt's destination in its span.
fn describe(span: &mut Span, upstream: &Upstream, key: &Key) {
    let (host, port) = upstream.origin.address();
    span.note("http.request.method", "POST");
    span.note("server.address", host.to_owned());
    span.note("server.port", port);
    span.note("moongate.upstream_key", key.name.to_string());
}

/// Notes its end. For a client's span, a status of 400 and more is an error.
fn outcome(span: &mut Span, received: &Result<Received, Failed>) {
    match received {
        Ok(received) => {
            let status = received.head.status;
            span.note("http.response.status_code", status.as_u16());
            if status.as_u16() >= 400 {
                span.fail(status.as_str().to_owned());
            }
        }
        Err(Failed::Gone) => span.fail("connection_closed"),
        Err(failed) => span.fail(means(failed).1.kind().code),
    }
}

fn not_answered(failed: &Failed, call: &PaidCall) -> (ExecutionOutcome, Refusal) {
    tracing::warn!(
        request_id = %call.id,
        call_id = %call.call_id,
        error = %failed,
        "the upstream did not answer"
    );
    means(failed)
}

fn means(failed: &Failed) -> (ExecutionOutcome, Refusal) {
    match failed {
        Failed::Unreachable(_) | Failed::NoStream | Failed::Gone => {
            (ExecutionOutcome::NotSent, Refusal::UpstreamUnreachable)
        }
        Failed::TimedOut => (ExecutionOutcome::Unknown, Refusal::UpstreamTimeout),
        Failed::Broken(_) | Failed::TooLarge(_) => {
            (ExecutionOutcome::Unknown, Refusal::UpstreamBroken)
        }
    }
}

/// The refusal when no key can be used: why, and for how long.
pub(super) fn all_rest(keys: &KeyPool, now: Timestamp) -> Refusal {
    let Some(cooldown) = keys.current_cooldown(now) else { return Refusal::UpstreamKeyRejected };
    match cooldown.why {
        Why::Rejected => Refusal::UpstreamKeyRejected,
        Why::NoCredits => Refusal::SharedCreditsExhausted,
        Why::RateLimited => Refusal::SharedRateLimited {
            retry_at: cooldown.until,
            retry_after: now.duration_until(cooldown.until).try_into().unwrap_or(Duration::ZERO),
        },
    }
}
