//! States on every answer to a known caller the limits that count requests.
//!
//! Reads: the ledger, at most once a second for each caller, and only for answers and refusals
//! without such headers. Writes: the rate-limit headers, those of a refusal into the record.
//! Refuses: nothing. Position: below authentication, because only a known caller has limits; above
//! everything that answers or refuses one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::HeaderMap;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Latest;
use crate::http::{Answer, HeaderWriter, X_RATELIMIT_LIMIT};
use crate::identity::{Authenticated, Principal};
use crate::ledger::headers::rate_limit_headers;
use crate::ledger::{Ledger, Level, LimitStatus};
use crate::refusal::Refusal;
use crate::request::RequestLog;
use crate::team::Team;

/// Makes [`TellLimits`].
#[derive(Clone)]
pub struct TellLimitsLayer {
    latest: Latest,
    ledger: Arc<dyn Ledger>,
}

impl TellLimitsLayer {
    /// A layer that uses the latest limits and reads this worker's ledger for others.
    #[must_use]
    pub const fn new(latest: Latest, ledger: Arc<dyn Ledger>) -> Self {
        Self { latest, ledger }
    }
}

impl<S> Layer<S> for TellLimitsLayer {
    type Service = TellLimits<S>;

    fn layer(&self, inner: S) -> TellLimits<S> {
        TellLimits { inner, with: Arc::new(self.clone()) }
    }
}

/// The service of [`TellLimitsLayer`].
#[derive(Clone)]
pub struct TellLimits<S> {
    inner: S,
    with: Arc<TellLimitsLayer>,
}

impl<S, B> Service<Authenticated<B>> for TellLimits<S>
where
    S: Service<Authenticated<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = ToldFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, caller: Authenticated<B>) -> Self::Future {
        let noted = Caller {
            with: Arc::clone(&self.with),
            principal: Arc::clone(caller.principal()),
            team: Arc::clone(caller.team()),
            record: caller.arrival().record.clone(),
        };
        ToldFuture { inner: self.inner.call(caller), caller: Some(noted), telling: None }
    }
}

/// The caller whose limits are stated.
struct Caller {
    with: Arc<TellLimitsLayer>,
    principal: Arc<Principal>,
    team: Arc<Team>,
    record: RequestLog,
}

pin_project! {
    /// Waits for the answer or refusal, and adds the headers.
    pub struct ToldFuture<F> {
        #[pin]
        inner: F,
        caller: Option<Caller>,
        telling: Option<BoxFuture<'static, Result<Answer, Refusal>>>,
    }
}

impl<F: Future<Output = Result<Answer, Refusal>>> Future for ToldFuture<F> {
    type Output = Result<Answer, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let telling = match this.telling {
            Some(telling) => telling,
            None => {
                let result = ready!(this.inner.poll(cx));
                match this.caller.take().filter(|caller| caller.lacks(&result)) {
                    Some(caller) => this.telling.insert(Box::pin(caller.state_limits(result))),
                    None => return Poll::Ready(result),
                }
            }
        };
        telling.as_mut().poll(cx)
    }
}

fn limits_requests(level: &Level) -> bool {
    level.limits.iter().any(|limit| limit.kind.counts_requests() && !limit.shadow)
}

impl Caller {
    /// Whether limits exist and are not stated yet.
    fn lacks(&self, result: &Result<Answer, Refusal>) -> bool {
        let is_stated = match result {
            Ok(answer) => answer.headers().contains_key(X_RATELIMIT_LIMIT),
            Err(refusal) => {
                let counts = |status: &LimitStatus| status.kind.counts_requests() && !status.shadow;
                let bound = refusal.bound().is_some_and(|bound| bound.statuses.iter().any(counts));
                bound || self.record.facts().pending_headers.contains_key(X_RATELIMIT_LIMIT)
            }
        };
        !is_stated && self.principal.levels(&self.team).iter().any(limits_requests)
    }

    async fn state_limits(self, mut result: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
        let TellLimitsLayer { latest, ledger } = &*self.with;
        if let Some(limits) = latest.of(ledger, &self.principal, &self.team).await {
            let write = |headers: &mut HeaderMap| {
                rate_limit_headers(&mut HeaderWriter::new(headers), limits.statuses(), limits.at());
            };
            match &mut result {
                Ok(answer) => write(answer.headers_mut()),
                Err(_) => write(&mut self.record.facts().pending_headers),
            }
        }
        result
    }
}
