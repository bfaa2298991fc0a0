//! Gives every request an id, a trace and a log, and counts and logs it when its answer has ended.
//! Records its spans where its trace is recorded.
//!
//! Reads: `X-Request-Id`, `traceparent`, the address that a trusted proxy reports; at the end, the
//! facts that the layers below noted. Writes: `X-Request-Id` on every answer, `X-Call-Id` on a
//! call's, the trace in the log. Refuses: nothing.
//! Position: outermost, so that each request is counted once, with its id, whatever happens below.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::ending::{Ending, Watch};
use super::traces::Tracer;
use super::{AccessLog, Metrics};
use crate::clock::Clock;
use crate::http::{Answer, AnswerBody, Deliver, Delivery, X_CALL_ID, X_REQUEST_ID};
use crate::refused::Recorder;
use crate::request::{
    Arrival, Inbound, RequestId, RequestLog, TraceIds, Traceparent, TrustedProxies,
};

/// Makes [`TraceAndCount`].
#[derive(Clone, Debug)]
pub struct TraceAndCountLayer {
    watch: Arc<Watch>,
    ids: Arc<TraceIds>,
    proxies: Arc<TrustedProxies>,
}

impl TraceAndCountLayer {
    /// Counts in these metrics, writes to this log, records spans with this tracer if there is one,
    /// measures by this clock, and records refused calls; trusts these proxies to report a caller's
    /// address.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        log: AccessLog,
        tracer: Option<Arc<Tracer>>,
        clock: Clock,
        refused: Recorder,
        proxies: Arc<TrustedProxies>,
    ) -> Self {
        let watch = Arc::new(Watch { metrics, log, tracer, clock, refused });
        Self { watch, ids: Arc::default(), proxies }
    }
}

impl<S> Layer<S> for TraceAndCountLayer {
    type Service = TraceAndCount<S>;

    fn layer(&self, inner: S) -> TraceAndCount<S> {
        let Self { watch, ids, proxies } = self.clone();
        TraceAndCount { inner, watch, ids, proxies }
    }
}

/// Names, traces, counts and logs requests.
#[derive(Clone, Debug)]
pub struct TraceAndCount<S> {
    inner: S,
    watch: Arc<Watch>,
    ids: Arc<TraceIds>,
    proxies: Arc<TrustedProxies>,
}

impl<S, B> Service<Inbound<B>> for TraceAndCount<S>
where
    S: Service<Arrival<B>, Response = Answer, Error = Infallible>,
{
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = CountedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, inbound: Inbound<B>) -> CountedFuture<S::Future> {
        let Inbound { request, peer, too_late } = inbound;
        let id = RequestId::accept(request.headers().get(X_REQUEST_ID));
        let caller = Traceparent::accept(request.headers());
        let trace = self.ids.next(caller);
        let record = match &self.watch.tracer {
            Some(tracer) => tracer.begin(trace, caller, &self.ids),
            None => RequestLog::traced(trace, None),
        };
        record.facts().client = Some(self.proxies.origin(peer, request.headers()));
        let ending = Ending::new(&self.watch, id.clone(), record.clone(), request.method().clone());
        let inner =
            self.inner.call(Arrival { request, peer, too_late, at: Instant::now(), id, record });
        CountedFuture { inner, ending: Some(ending) }
    }
}

pin_project! {
    /// Waits for the answer. Dropped earlier, the caller has left.
    #[derive(Debug)]
    pub struct CountedFuture<F> {
        #[pin]
        inner: F,
        ending: Option<Ending>,
    }
}

impl<F: Future<Output = Result<Answer, Infallible>>> Future for CountedFuture<F> {
    type Output = Result<Response<CountedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        if let Some(ending) = this.ending {
            ending.look_for_route();
        }
        let answer = match ready!(polled) {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (mut head, body) = answer.into_parts();
        let ending = this.ending.take().map(|mut ending| {
            // A replayed answer keeps the id of the first request.
            head.headers.entry(X_REQUEST_ID).or_insert_with(|| ending.id().to_header());
            if let Some(id) = ending.call_id() {
                head.headers.entry(X_CALL_ID).or_insert_with(|| id.to_header());
            }
            ending.answered(head.status, body.is_end_stream());
            ending
        });
        Poll::Ready(Ok(Response::from_parts(head, CountedBody { inner: body, ending })))
    }
}

pin_project! {
    /// Body of an answer. The request ends when it is fully written or dropped.
    #[derive(Debug)]
    pub struct CountedBody {
        #[pin]
        inner: AnswerBody,
        ending: Option<Ending>,
    }
}

impl Deliver for CountedBody {
    fn take_delivery(&mut self) -> Option<Delivery> {
        self.inner.take_delivery()
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(ending) = this.ending {
            let bytes = frame
                .as_ref()
                .and_then(|frame| frame.as_ref().ok()?.data_ref())
                .map_or(0, Bytes::len);
            ending.wrote(bytes, frame.is_none() || this.inner.is_end_stream());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
