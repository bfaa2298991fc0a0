//! One HTTP/2 connection to the upstream, its places for requests, and the body of a request in
//! one.
//!
//! hyper accepts any number of requests and queues those beyond the upstream's limit itself: such a
//! request would be charged after its timeout although it was never sent. So places are counted
//! here, before hyper gets the request.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

/// Most requests at once on one connection, even if the upstream allows more.
const PLACES_MAX: u32 = 100;
/// Bytes of one answer that the upstream may send before they are read.
const ANSWER_WINDOW: u32 = 512 * 1024;
/// Bytes it may send on one connection: enough for every place, so that answers that wait for room
/// here do not block others.
const CONNECTION_WINDOW: u32 = ANSWER_WINDOW * PLACES_MAX;
/// Interval of pings on a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Value of the limit until the upstream's first SETTINGS frame, which always changes it.
const UNKNOWN: usize = usize::MAX - 1;
/// How often a new connection is checked for the upstream's first SETTINGS frame, which hyper does
/// not report.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// An open HTTP/2 connection.
pub(super) struct Http2Connection {
    sender: http2::SendRequest<Outbound>,
    /// The upstream's current limit.
    limit: Box<dyn Fn() -> usize + Send + Sync>,
    used: Mutex<Used>,
}

struct Used {
    places: usize,
    /// When the last place was given back.
    last: Instant,
}

/// A place for one request on a connection. Given back when the last clone of its `Arc` is dropped.
pub(super) struct Place {
    streams: Arc<Http2Connection>,
    freed: Arc<Notify>,
}

impl Http2Connection {
    /// Starts HTTP/2 on a stream and waits for the upstream's settings.
    pub(super) async fn over<T>(stream: T, head_bytes_max: usize) -> io::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .initial_max_send_streams(UNKNOWN)
            .initial_stream_window_size(ANSWER_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = Arc::new(Mutex::new(Some(connection)));
        let watched = Arc::clone(&connection);
        let limit = Box::new(move || {
            let connection = watched.lock().unwrap_or_else(PoisonError::into_inner);
            connection.as_ref().map_or(0, http2::Connection::current_max_send_streams)
        });
        tokio::spawn(std::future::poll_fn(move |cx| {
            let mut place = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(open) = place.as_mut() else { return Poll::Ready(()) };
            if Pin::new(open).poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Its senders see that it is closed only when it is dropped.
            *place = None;
            Poll::Ready(())
        }));
        let streams =
            Self { sender, limit, used: Mutex::new(Used { places: 0, last: Instant::now() }) };
        while (streams.limit)() == UNKNOWN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if streams.is_closed() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(streams) }
    }

    /// Takes a place, if there is one; `freed` is notified when it is given back.
    pub(super) fn place(self: &Arc<Self>, freed: &Arc<Notify>) -> Option<Arc<Place>> {
        let limit = (self.limit)().min(PLACES_MAX as usize);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed() || used.places >= limit {
            return None;
        }
        used.places += 1;
        Some(Arc::new(Place { streams: Arc::clone(self), freed: Arc::clone(freed) }))
    }

    /// Whether it is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it has had no request for this long.
    pub(super) fn is_idle_for(&self, idle_max: Duration) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.places == 0 && used.last.elapsed() >= idle_max
    }
}

impl Place {
    /// Whether its connection is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.streams.is_closed()
    }

    /// The sender for this place's request.
    pub(super) fn sender(&self) -> http2::SendRequest<Outbound> {
        self.streams.sender.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.streams.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.places -= 1;
        used.last = Instant::now();
        drop(used);
        self.freed.notify_one();
    }
}

/// A body that keeps its place until the connection drops it: an early answer does not free the
/// stream while the body is still being sent.
#[derive(Clone)]
pub(super) struct Outbound {
    body: Full<Bytes>,
    place: Option<Arc<Place>>,
}

impl Outbound {
    /// A body without a place: HTTP/1 serves one at a time.
    pub(super) const fn new(body: Full<Bytes>) -> Self {
        Self { body, place: None }
    }

    /// Takes this place from now on.
    pub(super) fn hold(&mut self, place: Arc<Place>) {
        self.place = Some(place);
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
