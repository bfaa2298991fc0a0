//! Body of a request as the listener hands it on. When it is dropped, its unread rest is read and
//! discarded.
//!
//! A caller that is still sending when its answer goes out must be let finish: closing a socket
//! with unread bytes resets it, and the reset takes the answer out of the caller's receive buffer.
//! So the rest of the body is discarded while the answer goes out, up to a time and a size; then
//! the connection is closed, and `linger` does the same for the socket. None of it is
//! held, and nothing behind it is parsed as a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Settings;
use super::calls::{Call, Calls};
use super::linger::SILENCE_MAX;

/// How many times the largest allowed body is discarded of one request before its caller is cut
/// off, so that most callers who send too much still read why they are refused.
const LARGEST_BODIES: u64 = 16;

/// Most bytes discarded of one request.
pub(super) const fn bytes_max(settings: &Settings) -> u64 {
    settings.body_bytes_max.saturating_mul(LARGEST_BODIES)
}

/// A request's body. When it is dropped before its end, the rest is read and discarded.
#[derive(Debug)]
pub struct Discarding {
    /// None at its end.
    body: Option<Incoming>,
    calls: Arc<Calls>,
    /// The caller waits for `100 Continue`, and reading the body would send it.
    is_withheld: bool,
    has_begun: bool,
}

impl Discarding {
    pub(super) const fn new(body: Incoming, calls: Arc<Calls>, is_withheld: bool) -> Self {
        Self { body: Some(body), calls, is_withheld, has_begun: false }
    }
}

impl Body for Discarding {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        (self.is_withheld, self.has_begun) = (false, true);
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                // The framing is broken: where the body ends is unknown.
                self.calls.leave_unread();
                self.body = None;
            }
            None => self.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Discarding {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if self.is_withheld
            || self.has_begun
            || body.size_hint().lower() > self.calls.settings.body_bytes_max
        {
            // Too large, too slow, or not sent yet. The answer closes the connection, so that the
            // caller need not send the rest.
            self.calls.leave_unread();
        }
        // The connection is gone as well outside a runtime.
        if let Ok(runtime) = Handle::try_current()
            && !self.is_withheld
        {
            runtime.spawn(discard(body, self.calls.hold()));
        }
    }
}

/// Reads and discards the rest of a body within its bounds. The connection is not idle meanwhile.
async fn discard(mut body: Incoming, call: Call) {
    let settings = Arc::clone(&call.all().settings);
    let is_whole =
        timeout(settings.body_timeout, to_its_end(&mut body, bytes_max(&settings))).await;
    if is_whole != Ok(true) {
        // Noted before the body is dropped, since that makes hyper close the connection.
        call.all().leave_unread();
    }
}

/// Reads the body; returns whether its end came within the bound.
async fn to_its_end(body: &mut Incoming, bytes_max: u64) -> bool {
    let mut left = bytes_max;
    loop {
        match timeout(SILENCE_MAX, body.frame()).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                let Some(rest) = left.checked_sub(bytes) else { return false };
                left = rest;
            }
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
}
