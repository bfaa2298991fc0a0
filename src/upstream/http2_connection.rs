//! One HTTP/2 connection to the upstream, its streams for requests, and the body of a request in
//! one.
//!
//! hyper accepts any number of requests and queues those beyond the upstream's limit itself: such a
//! request would be charged after its timeout although it was never sent. So streams are counted
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
const STREAMS_MAX: u32 = 100;
/// Bytes of one answer that the upstream may send before they are read.
const ANSWER_WINDOW: u32 = 512 * 1024;
/// Bytes it may send on one connection: enough for every stream, so that answers that wait for room
/// here do not block others.
const CONNECTION_WINDOW: u32 = ANSWER_WINDOW * STREAMS_MAX;
/// Interval of pings on a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Value of the limit until the upstream's first SETTINGS frame, which always changes it.
const UNKNOWN: usize = usize::MAX - 1;
/// How often a new connection is checked for the upstream's first SETTINGS frame, which hyper does
/// not report.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// An open HTTP/2 connection.
pub(super) struct Http2Connection {
    sender: http2::SendRequest<RequestBody>,
    /// The upstream's current limit.
    limit: Box<dyn Fn() -> usize + Send + Sync>,
    used: Mutex<Used>,
}

struct Used {
    streams: usize,
    /// When the last stream was given back.
    last: Instant,
}

/// A stream for one request on a connection. Given back when the last clone of its `Arc` is
/// dropped.
pub(super) struct Http2Stream {
    connection: Arc<Http2Connection>,
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
            let mut held = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(open) = held.as_mut() else { return Poll::Ready(()) };
            if Pin::new(open).poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Senders see that the connection is closed only when it is dropped.
            *held = None;
            Poll::Ready(())
        }));
        let made =
            Self { sender, limit, used: Mutex::new(Used { streams: 0, last: Instant::now() }) };
        while (made.limit)() == UNKNOWN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if made.is_closed() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(made) }
    }

    /// Takes a stream, if there is one; `freed` is notified when it is given back.
    pub(super) fn stream(self: &Arc<Self>, freed: &Arc<Notify>) -> Option<Arc<Http2Stream>> {
        let limit = (self.limit)().min(STREAMS_MAX as usize);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed() || used.streams >= limit {
            return None;
        }
        used.streams += 1;
        Some(Arc::new(Http2Stream { connection: Arc::clone(self), freed: Arc::clone(freed) }))
    }

    /// Whether it is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it has had no request for this long.
    pub(super) fn is_idle_for(&self, idle_max: Duration) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.streams == 0 && used.last.elapsed() >= idle_max
    }
}

impl Http2Stream {
    /// Whether its connection is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// The sender for this stream's request.
    pub(super) fn sender(&self) -> http2::SendRequest<RequestBody> {
        self.connection.sender.clone()
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        let mut used = self.connection.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.streams -= 1;
        used.last = Instant::now();
        drop(used);
        self.freed.notify_one();
    }
}

/// A body that keeps its stream until the connection drops it: an early answer does not free the
/// stream while the body is still being sent.
#[derive(Clone)]
pub(super) struct RequestBody {
    body: Full<Bytes>,
    stream: Option<Arc<Http2Stream>>,
}

impl RequestBody {
    /// A body without a stream: HTTP/1 serves one at a time.
    pub(super) const fn new(body: Full<Bytes>) -> Self {
        Self { body, stream: None }
    }

    /// Takes this stream from now on.
    pub(super) fn hold(&mut self, stream: Arc<Http2Stream>) {
        self.stream = Some(stream);
    }
}

impl Body for RequestBody {
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
