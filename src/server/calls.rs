//! The calls of one connection: how many are open, how many answers are being written, and when anything last moved.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Drain;

/// What is known of the calls of one connection.
#[derive(Debug)]
pub(super) struct Calls {
    drain: Drain,
    /// Whether it matters when the last call ended. Over HTTP/1 hyper itself closes what is idle.
    may_be_idle: bool,
    opened: Instant,
    /// Milliseconds after `opened`.
    moved: AtomicU64,
    open: AtomicUsize,
    writing: AtomicUsize,
    has_begun: AtomicBool,
    begun: Notify,
}

/// Why nothing is expected of a connection any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmoved {
    /// No call was open for as long as a connection may be idle.
    Idle,
    /// The caller does not read what is written to it.
    Unread,
}

impl Calls {
    pub(super) fn new(drain: Drain, may_be_idle: bool) -> Arc<Self> {
        Arc::new(Self {
            drain,
            may_be_idle,
            opened: Instant::now(),
            moved: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            writing: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            begun: Notify::new(),
        })
    }

    /// A call begins; it is open until the value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Call {
        self.open.fetch_add(1, Ordering::Relaxed);
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.begun.notify_one();
        }
        Call { calls: Arc::clone(self), writes: false }
    }

    /// Waits for the first call. To be awaited by one task only.
    pub(super) async fn first(&self) {
        if !self.has_begun.load(Ordering::Relaxed) {
            self.begun.notified().await;
        }
    }

    /// Something was read or written, or is given time anew.
    pub(super) fn moved(&self) {
        let after = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(after, Ordering::Relaxed);
    }

    /// Waits until an answer has not been asked for more for `unread_max`, or, where `idle` names a time, until no call was
    /// open for that long. A call that waits for its answer is given all the time it takes.
    pub(super) async fn unmoved(&self, idle: Option<(Duration, Unmoved)>, unread_max: Duration) -> Unmoved {
        let step = idle.map_or(unread_max, |(max, _)| max.min(unread_max)).max(STEP_MIN);
        loop {
            let still = self.opened.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)));
            let (open, writing) = (self.open.load(Ordering::Relaxed), self.writing.load(Ordering::Relaxed));
            let bound = if writing > 0 { Some((unread_max, Unmoved::Unread)) } else { idle.filter(|_| open == 0) };
            match bound {
                Some((max, why)) if still >= max => return why,
                Some((max, _)) => tokio::time::sleep(step.min(max - still)).await,
                None => tokio::time::sleep(step).await,
            }
        }
    }
}

/// How often a connection with nothing to wait for is looked at, at the most.
const STEP_MIN: Duration = Duration::from_millis(50);

/// One open call of a connection.
#[derive(Debug)]
pub(super) struct Call {
    calls: Arc<Calls>,
    writes: bool,
}

impl Call {
    /// Whether the caller is to be sent away with the answer.
    pub(super) fn is_last(&self) -> bool {
        self.calls.drain.is_leaving()
    }

    /// The answer is here and this is its body; none when only its head is to be written.
    pub(super) fn answered<R: Body>(mut self, body: Option<R>) -> Watched<R> {
        self.calls.moved();
        if body.as_ref().is_some_and(|body| !body.is_end_stream()) {
            self.writes = true;
            self.calls.writing.fetch_add(1, Ordering::Relaxed);
        }
        Watched { inner: body, call: self }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.calls.may_be_idle {
            self.calls.moved();
        }
        if self.writes {
            self.calls.writing.fetch_sub(1, Ordering::Relaxed);
        }
        self.calls.open.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The body of an answer; each part of it that is taken shows that the caller reads.
    #[derive(Debug)]
    pub(super) struct Watched<R> {
        #[pin]
        inner: Option<R>,
        call: Call,
    }
}

impl<R: Body> Body for Watched<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        // With the last part of it the call ends.
        if !inner.is_end_stream() {
            this.call.calls.moved();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::AnswerBody;

    const IDLE: Duration = Duration::from_millis(100);
    const UNREAD: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_connection_without_calls_is_idle_after_its_time_and_a_waiting_call_never_is() {
        let calls = Calls::new(Drain::default(), true);
        let watch = || calls.unmoved(Some((IDLE, Unmoved::Idle)), UNREAD);
        assert_eq!(watch().await, Unmoved::Idle);
        assert!(calls.opened.elapsed() >= IDLE);
        let call = calls.begin();
        assert!(tokio::time::timeout(IDLE * 5, watch()).await.is_err());
        drop(call);
        let ended = Instant::now();
        assert_eq!(watch().await, Unmoved::Idle);
        assert!(ended.elapsed() >= IDLE - Duration::from_millis(1));
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_noticed_with_and_without_a_time_to_be_idle() {
        for idle in [None, Some((IDLE, Unmoved::Idle))] {
            let calls = Calls::new(Drain::default(), false);
            let body = calls.begin().answered(Some(AnswerBody::new("an answer")));
            assert_eq!(calls.unmoved(idle, UNREAD).await, Unmoved::Unread);
            assert!(calls.opened.elapsed() >= UNREAD);
            drop(body);
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_not_being_written() {
        let calls = Calls::new(Drain::default(), false);
        let body = calls.begin().answered(None::<AnswerBody>);
        assert!(body.is_end_stream());
        assert_eq!(calls.writing.load(Ordering::Relaxed), 0);
    }
}
