//! Turns a panic below into the refusal `internal`, so that a bug costs one request.
//!
//! Reads: nothing. Writes: the refusal's kind in the record, a log line. Refuses: `internal`.
//! Position: above `answer_refusals`, whose code is caught too; below `trace_and_count`, which
//! counts what happened.
//!
//! tower-http's layer of this name builds its answer from the panic alone, while this one needs the
//! request's id, version and log; it would also box every answer's body. The operator's listener
//! needs neither and uses it.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{CatchUnwind, Either};
use http::Version;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::panicked::message;
use crate::clock::Clock;
use crate::http::Answer;
use crate::refusal::{Refusal, body};
use crate::request::{Arrival, RequestId, RequestLog};

/// Makes [`CatchPanic`].
#[derive(Clone, Debug)]
pub struct CatchPanicLayer {
    clock: Clock,
}

impl CatchPanicLayer {
    /// A layer with this clock.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner, clock: self.clock.clone() }
    }
}

/// Answers `internal` when the inner service panics.
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
    clock: Clock,
}

type Panic = Box<dyn Any + Send>;

/// The inner answer, or the panic in its place.
type Caught<F> =
    Either<CatchUnwind<AssertUnwindSafe<F>>, Ready<Result<Result<Answer, Infallible>, Panic>>>;

impl<S, B> Service<Arrival<B>> for CatchPanic<S>
where
    S: Service<Arrival<B>, Response = Answer, Error = Infallible>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = CatchPanicFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, arrival: Arrival<B>) -> CatchPanicFuture<S::Future> {
        let (id, record, version) =
            (arrival.id.clone(), arrival.record.clone(), arrival.request.version());
        // Unwind safe: the panicked future is dropped with its request, and shared state is either
        // behind a lock, which marks it, or never half changed.
        let inner: Caught<S::Future> =
            match catch_unwind(AssertUnwindSafe(|| self.inner.call(arrival))) {
                Ok(future) => Either::Left(AssertUnwindSafe(future).catch_unwind()),
                Err(panic) => Either::Right(ready(Err(panic))),
            };
        CatchPanicFuture { inner, id, record, version, clock: self.clock.clone() }
    }
}

pin_project! {
    /// Waits for the inner answer, or its panic.
    pub struct CatchPanicFuture<F> {
        #[pin]
        inner: Caught<F>,
        id: RequestId,
        record: RequestLog,
        version: Version,
        clock: Clock,
    }
}

impl<F: Future<Output = Result<Answer, Infallible>>> Future for CatchPanicFuture<F> {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map(|caught| {
            caught.unwrap_or_else(|panic| {
                tracing::error!(
                    request_id = %this.id,
                    panic = message(&*panic),
                    "a request panicked"
                );
                this.record.facts().refusal = Some(Refusal::Internal.kind());
                Ok(body::answer(
                    &Refusal::Internal,
                    this.id.as_str(),
                    *this.version,
                    this.clock.now(),
                ))
            })
        })
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderValue, Request, StatusCode};
    use tower::{ServiceExt, service_fn};

    use super::*;

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

    async fn assert_internal<S>(inner: S)
    where
        S: Service<Arrival<()>, Response = Answer, Error = Infallible>,
    {
        let arrival = arrival();
        let record = arrival.record.clone();
        let layer = CatchPanicLayer::new(Clock::system());
        let answer = layer.layer(inner).oneshot(arrival).await.expect("never fails");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = String::from_utf8(answer.body().bytes().to_vec()).expect("text");
        assert!(
            body.contains("\"code\":\"internal\",\"requestId\":\"r1\"")
                && !body.contains("the reason"),
            "{body}"
        );
        assert_eq!(record.facts().refusal.expect("noted").code, "internal");
    }

    #[tokio::test]
    async fn a_panic_becomes_one_callers_internal_error() {
        assert_internal(service_fn(|_| async {
            tokio::task::yield_now().await;
            panic!("the reason")
        }))
        .await;
    }

    #[tokio::test]
    async fn a_panic_before_there_is_a_future_is_one_too() {
        assert_internal(service_fn(|_| -> Ready<Result<Answer, Infallible>> {
            panic!("the reason")
        }))
        .await;
    }

    #[tokio::test]
    async fn an_answer_passes_unchanged() {
        let layer = CatchPanicLayer::new(Clock::system());
        let inner = service_fn(|_: Arrival<()>| ready(Ok::<_, Infallible>(Answer::default())));
        let answer = layer.layer(inner).oneshot(arrival()).await.expect("never fails");
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
