//! Turns every refusal into the documented answer, and makes every error name its source.
//!
//! Reads: the refusal, the request's HTTP version. Writes: `X-Error-Source`, the refusal's kind in
//! the record. Refuses: nothing itself. Position: above every layer that can refuse, so that above
//! it there are only answers.

use std::convert::Infallible;
use std::future::Future;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{HeaderValue, Version};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::clock::Clock;
use crate::http::{Answer, X_ERROR_SOURCE};
use crate::refusal::{Bound, Refusal, Source, body};
use crate::request::{Arrival, RequestId, RequestLog};

/// Makes [`AnswerRefusals`].
#[derive(Clone, Debug)]
pub struct AnswerRefusalsLayer {
    clock: Clock,
}

impl AnswerRefusalsLayer {
    /// Uses the clock for refusals that do not carry the store's time.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl<S> Layer<S> for AnswerRefusalsLayer {
    type Service = AnswerRefusals<S>;

    fn layer(&self, inner: S) -> AnswerRefusals<S> {
        AnswerRefusals { inner, unready: None, clock: self.clock.clone() }
    }
}

/// Answers in place of an inner service that refuses; never fails itself.
#[derive(Clone, Debug)]
pub struct AnswerRefusals<S> {
    inner: S,
    unready: Option<Refusal>,
    clock: Clock,
}

impl<S, B> Service<Arrival<B>> for AnswerRefusals<S>
where
    S: Service<Arrival<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = AnswerFuture<S::Future>;

    /// Keeps a refusal of the inner `poll_ready` and answers the next request with it.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx).map(|ready| {
            self.unready = ready.err();
            Ok(())
        })
    }

    fn call(&mut self, arrival: Arrival<B>) -> AnswerFuture<S::Future> {
        let (id, record, version) =
            (arrival.id.clone(), arrival.record.clone(), arrival.request.version());
        let inner = match self.unready.take() {
            Some(refusal) => Either::Right(ready(Err(refusal))),
            None => Either::Left(self.inner.call(arrival)),
        };
        AnswerFuture { inner, id, record, version, clock: self.clock.clone() }
    }
}

pin_project! {
    /// Waits for the inner answer and turns a refusal into its documented form.
    #[derive(Debug)]
    pub struct AnswerFuture<F> {
        #[pin]
        inner: Either<F, Ready<Result<Answer, Refusal>>>,
        id: RequestId,
        record: RequestLog,
        version: Version,
        clock: Clock,
    }
}

impl<F: Future<Output = Result<Answer, Refusal>>> Future for AnswerFuture<F> {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map(|result| {
            Ok(match result {
                Ok(answer) => with_source(answer),
                Err(refusal) => {
                    let mut facts = this.record.facts();
                    facts.refusal = Some(refusal.kind());
                    facts.limit = refusal.bound().map(Bound::name);
                    facts.message = facts.call_id.is_some().then(|| refusal.message());
                    let mut answer =
                        body::answer(&refusal, this.id.as_str(), *this.version, this.clock.now());
                    answer.headers_mut().extend(std::mem::take(&mut facts.pending_headers));
                    answer
                }
            })
        })
    }
}

/// Any other error came from the upstream, so names that as its source.
fn with_source(mut answer: Answer) -> Answer {
    if answer.status().as_u16() >= 400 && !answer.headers().contains_key(X_ERROR_SOURCE) {
        answer
            .headers_mut()
            .insert(X_ERROR_SOURCE, HeaderValue::from_static(Source::Upstream.name()));
    }
    answer
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{Request, StatusCode};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::http::AnswerBody;

    fn arrival() -> Arrival<()> {
        Arrival {
            request: Request::new(()),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            too_late: false,
            at: std::time::Instant::now(),
            id: RequestId::accept(Some(&HeaderValue::from_static("r1"))),
            record: RequestLog::default(),
        }
    }

    async fn answered(result: Result<Answer, Refusal>) -> (Answer, RequestLog) {
        let arrival = arrival();
        let record = arrival.record.clone();
        let mut result = Some(result);
        let inner = service_fn(move |_: Arrival<()>| ready(result.take().expect("one call")));
        let layer = AnswerRefusalsLayer::new(Clock::system());
        let answer = layer.layer(inner).oneshot(arrival).await.expect("never fails");
        (answer, record)
    }

    #[tokio::test]
    async fn a_refusal_becomes_an_answer_and_is_recorded() {
        let (answer, record) = answered(Err(Refusal::RouteNotFound)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()[X_ERROR_SOURCE], "caller");
        assert_eq!(record.facts().refusal.expect("noted").code, "route_not_found");
    }

    #[tokio::test]
    async fn an_error_passed_on_from_the_upstream_says_so() {
        let mut passed = Answer::new(AnswerBody::new("{}"));
        *passed.status_mut() = StatusCode::BAD_REQUEST;
        let (answer, record) = answered(Ok(passed)).await;
        assert_eq!(answer.headers()[X_ERROR_SOURCE], "upstream");
        assert!(record.facts().refusal.is_none());
    }

    #[tokio::test]
    async fn an_answer_without_error_is_left_as_it_is() {
        let (answer, _) = answered(Ok(Answer::new(AnswerBody::new("{}")))).await;
        assert!(answer.headers().is_empty());
        assert_eq!(answer.body().bytes().as_ref(), b"{}");
    }

    #[tokio::test]
    async fn a_service_that_refuses_to_be_ready_refuses_the_request() {
        struct Unready;
        impl Service<Arrival<()>> for Unready {
            type Response = Answer;
            type Error = Refusal;
            type Future = Ready<Result<Answer, Refusal>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
                Poll::Ready(Err(Refusal::Overloaded))
            }

            fn call(&mut self, _: Arrival<()>) -> Self::Future {
                ready(Ok(Answer::default()))
            }
        }
        let layer = AnswerRefusalsLayer::new(Clock::system());
        let answer = layer.layer(Unready).oneshot(arrival()).await.expect("never fails");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
}
