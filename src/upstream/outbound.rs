//! The body of a request on its way out, and the place on an HTTP/2 connection that it takes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::streams::Place;

/// A body that keeps its place for as long as the connection has not let go of it: an answer that comes early does not
/// free the stream while the body is still being sent.
#[derive(Clone)]
pub(super) struct Outbound {
    body: Full<Bytes>,
    place: Option<Arc<Place>>,
}

impl Outbound {
    /// A body that takes no place: HTTP/1 serves one at a time.
    pub(super) const fn new(body: Full<Bytes>) -> Self {
        Self { body, place: None }
    }

    /// From here on it takes this place.
    pub(super) fn hold(&mut self, place: Arc<Place>) {
        self.place = Some(place);
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
