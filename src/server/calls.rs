//! Open calls of one connection: how many there are, how fast their answers are read, and when the
//! connection last made progress.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::read_rate::{MinRate, ReadRate};
use super::unconfirmed::Unconfirmed;
use super::written::Written;
use super::{Drain, Settings};
use crate::http::{Deliver, Delivery};

/// State of the calls of one connection.
#[derive(Debug)]
pub(super) struct Calls {
    drain: Drain,
    pub(super) settings: Arc<Settings>,
    opened: Instant,
    /// When something was last read or written, in milliseconds after `opened`.
    moved: AtomicU64,
    open: AtomicUsize,
    writing: AtomicUsize,
    /// Read rates of the answers that are being written.
    read_rates: Mutex<Vec<Arc<ReadRate>>>,
    /// Read rate of the latest call on a stream of its own, until
    /// [`Streams`](super::streams::Streams) takes it.
    begun_last: Mutex<Option<Arc<ReadRate>>>,
    has_begun: AtomicBool,
    begun: Notify,
    /// Bytes were read that are not a call yet.
    has_read: AtomicBool,
    /// Whether those bytes begin a head, so that its timeout runs.
    awaits_head: AtomicBool,
    /// Another connection needs the place of this one.
    is_to_go: AtomicBool,
    turn: Notify,
    /// Bytes of a request are still unread, so the socket must be drained before it is closed.
    leaves_unread: AtomicBool,
    /// Answers that were written and may not have arrived.
    pub(super) written: Written,
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmoved {
    /// No call was open for the idle timeout, or its place goes to another connection.
    Idle,
    /// A request's head was begun and not finished in time.
    Slow,
    /// The caller does not read its answer.
    Unread,
}

/// How long a peer may leave data unacknowledged, or its window closed, before the connection is
/// given up.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(60);

impl Calls {
    pub(super) fn new(
        drain: Drain,
        settings: Arc<Settings>,
        unconfirmed: Unconfirmed,
    ) -> Arc<Self> {
        Arc::new(Self {
            drain,
            settings,
            opened: Instant::now(),
            moved: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            writing: AtomicUsize::new(0),
            read_rates: Mutex::default(),
            begun_last: Mutex::default(),
            has_begun: AtomicBool::new(false),
            begun: Notify::new(),
            has_read: AtomicBool::new(false),
            awaits_head: AtomicBool::new(false),
            is_to_go: AtomicBool::new(false),
            turn: Notify::new(),
            leaves_unread: AtomicBool::new(false),
            written: Written::new(unconfirmed),
        })
    }

    /// Begins a call, which is open until the value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Call {
        self.has_read.store(false, Relaxed);
        self.awaits_head.store(false, Relaxed);
        // The request was sent before the connection could be closed.
        self.is_to_go.store(false, Relaxed);
        if !self.has_begun.swap(true, Relaxed) {
            self.begun.notify_one();
        }
        self.hold()
    }

    /// Keeps the connection busy for work that goes on after a call was answered.
    pub(super) fn hold(self: &Arc<Self>) -> Call {
        self.open.fetch_add(1, Relaxed);
        Call {
            calls: Arc::clone(self),
            writes: false,
            read_rate: None,
            delivery: None,
            is_whole: false,
        }
    }

    /// Takes the read rate of the latest call on a stream of its own.
    pub(super) fn begun_last(&self) -> Option<Arc<ReadRate>> {
        self.begun_last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the first call. Only one task may await it.
    pub(super) async fn first(&self) {
        if !self.has_begun.load(Relaxed) {
            self.begun.notified().await;
        }
    }

    /// Restarts the timeouts: bytes were read or written.
    pub(super) fn moved(&self) {
        let after = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(after, Relaxed);
    }

    /// Notes that bytes came in. Between two calls they begin a head.
    pub(super) fn read(&self) {
        if self.open.load(Relaxed) == 0 {
            self.has_read.store(true, Relaxed);
        }
    }

    /// Called when the connection has processed what it read and waits for more: bytes that have
    /// not become a call by then begin a head that comes in parts. A head that comes whole costs
    /// nothing.
    pub(super) fn waits(&self) {
        if self.has_read.load(Relaxed)
            && self.open.load(Relaxed) == 0
            && !self.awaits_head.swap(true, Relaxed)
        {
            self.moved();
            self.turn.notify_one();
        }
    }

    /// Asks the connection to close as soon as no call is open.
    pub(super) fn ask_to_go(&self) {
        self.is_to_go.store(true, Relaxed);
        self.turn.notify_one();
    }

    /// Waits until it is asked to close. Only the task that awaits [`Calls::unmoved`] later may
    /// await it.
    pub(super) async fn asked_to_go(&self) {
        while !self.is_to_go.load(Relaxed) {
            self.turn.notified().await;
        }
    }

    /// Since when it is idle; none while a call is open or a head is coming, or once it was asked
    /// to close.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_busy = self.open.load(Relaxed) > 0
            || self.awaits_head.load(Relaxed)
            || self.is_to_go.load(Relaxed);
        (!is_busy).then(|| self.opened + Duration::from_millis(self.moved.load(Relaxed)))
    }

    /// Notes that bytes of a request will stay unread.
    pub(super) fn leave_unread(&self) {
        self.leaves_unread.store(true, Relaxed);
    }

    /// Whether bytes may still come that will not be read. Closing the socket before the caller
    /// stops sending would reset it, and the answer would be lost on its way.
    pub(super) fn leaves_unread(&self) -> bool {
        self.leaves_unread.load(Relaxed) || self.open.load(Relaxed) > 0
    }

    /// Waits until the connection is to be given up. A call that waits for its answer has all the
    /// time it needs. `is_closing`: it is shutting down, and only unread answers are left.
    pub(super) async fn unmoved(&self, is_closing: bool) -> Unmoved {
        let step = self.settings.idle_timeout.clamp(STEP_MIN, UNREAD_MAX);
        loop {
            if self.cut_off_slow_readers() {
                return Unmoved::Unread;
            }
            let still = self
                .opened
                .elapsed()
                .saturating_sub(Duration::from_millis(self.moved.load(Relaxed)));
            let wait = match self.bound(is_closing) {
                Some((max, why)) if still >= max => return why,
                Some((max, _)) => step.min(max - still),
                None => step,
            };
            // Wakes at least once a window: nothing wakes this task when an answer begins to be
            // written.
            let wait = wait.min(self.settings.read_window);
            // Looks again in either case.
            let _ = tokio::time::timeout(wait, self.turn.notified()).await;
        }
    }

    /// Cuts off the HTTP/2 streams whose answers are read too slowly. Returns whether the
    /// connection itself must be cut off, over HTTP/1.
    fn cut_off_slow_readers(&self) -> bool {
        let min = MinRate { rate: self.settings.read_rate_min, window: self.settings.read_window };
        let read_rates = self.read_rates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_to_be_cut = false;
        for read_rate in read_rates.iter().filter(|read_rate| read_rate.is_too_slow(min)) {
            tracing::info!("an answer was cut off: its caller reads it too slowly");
            is_to_be_cut |= !read_rate.cut();
        }
        is_to_be_cut
    }

    /// How long nothing may happen, and what it means then.
    fn bound(&self, is_closing: bool) -> Option<(Duration, Unmoved)> {
        let Settings { header_timeout, idle_timeout, .. } = *self.settings;
        if self.writing.load(Relaxed) > 0 {
            Some((UNREAD_MAX, Unmoved::Unread))
        } else if self.open.load(Relaxed) > 0 {
            None
        } else if self.awaits_head.load(Relaxed) {
            Some((header_timeout, Unmoved::Slow))
        } else if is_closing {
            Some((UNREAD_MAX, Unmoved::Unread))
        } else if self.is_to_go.load(Relaxed) {
            Some((Duration::ZERO, Unmoved::Idle))
        } else if self.has_begun.load(Relaxed) {
            Some((idle_timeout, Unmoved::Idle))
        } else {
            // A caller that has not sent anything yet has the timeout of a first head.
            Some((header_timeout, Unmoved::Idle))
        }
    }
}

/// Least time between two checks of an idle connection.
const STEP_MIN: Duration = Duration::from_millis(50);

/// One open call of a connection.
#[derive(Debug)]
pub(super) struct Call {
    calls: Arc<Calls>,
    writes: bool,
    delivery: Option<Delivery>,
    /// The answer's body was handed over completely.
    is_whole: bool,
    /// Read rate of its answer, once there is one or the call has a stream of its own.
    read_rate: Option<Arc<ReadRate>>,
}

impl Call {
    /// Whether the connection closes after this answer: the gateway drains, or part of the request
    /// stays unread.
    pub(super) fn is_last(&self) -> bool {
        self.calls.drain.is_leaving() || self.calls.leaves_unread.load(Relaxed)
    }

    /// The connection's calls.
    pub(super) const fn all(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// Notes that the call runs on a stream of its own: see [`Calls::begun_last`].
    pub(super) fn has_stream(&mut self) {
        let read_rate = ReadRate::new();
        *self.calls.begun_last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&read_rate));
        self.read_rate = Some(read_rate);
    }

    /// Watches the answer's body, or none when only a head is to be written.
    pub(super) fn answered<R: Body + Deliver>(mut self, mut body: Option<R>) -> Watched<R> {
        self.calls.moved();
        self.delivery = body.as_mut().and_then(Deliver::take_delivery);
        self.is_whole = body.as_ref().is_none_or(Body::is_end_stream);
        if body.as_ref().is_some_and(|body| !body.is_end_stream()) {
            self.writes = true;
            self.calls.writing.fetch_add(1, Relaxed);
            let read_rate = self.read_rate.get_or_insert_with(ReadRate::new);
            read_rate.begin();
            self.calls
                .read_rates
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::clone(read_rate));
        }
        Watched { inner: body, call: self }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.moved();
        if let Some(delivery) = self.delivery.take_if(|_| self.is_whole) {
            self.calls.written.add(delivery);
        }
        if self.writes {
            self.calls.writing.fetch_sub(1, Relaxed);
            let mut read_rates =
                self.calls.read_rates.lock().unwrap_or_else(PoisonError::into_inner);
            read_rates.retain(|read_rate| {
                !self.read_rate.as_ref().is_some_and(|own| Arc::ptr_eq(own, read_rate))
            });
        }
        self.calls.open.fetch_sub(1, Relaxed);
    }
}

pin_project! {
    /// The body of an answer. Each part taken from it shows that the caller reads.
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

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if let (Some(read_rate), Some(Ok(frame))) = (&this.call.read_rate, &frame) {
            read_rate.record(frame.data_ref().map_or(0, Buf::remaining));
        }
        // The call ends with the last part.
        if frame.is_none() || inner.is_end_stream() {
            this.call.is_whole = true;
        } else {
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
