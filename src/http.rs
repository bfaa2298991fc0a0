//! Words of HTTP that every room speaks: the answer, its body, the header names that are ours.

pub mod delivery;
pub mod write;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Response};
use http_body::{Body, Frame, SizeHint};

use std::convert::Infallible;
use std::time::Duration;

use crate::decimal::Decimal;

pub use delivery::{Deliver, Delivery};
pub use write::HeaderWriter;

/// An answer of the gateway, whole in memory: what came from the upstream was read, checked and settled before.
pub type Answer = Response<AnswerBody>;

/// The body of an answer, and whatever must last until it is written.
#[derive(Debug, Default)]
pub struct AnswerBody {
    data: Bytes,
    held: Option<Guard>,
    delivery: Option<Delivery>,
    until_taken: Option<Box<dyn Kept>>,
}

/// Something that an answer keeps until the last of its bytes is handed over to be written, or it is given up.
pub trait Kept: fmt::Debug + Send + Sync + 'static {
    /// Gives it back. The last bytes are handed over when that is done: who has read the answer finds it given back.
    fn poll_given_back(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Whatever must last until an answer is written; it is given back when the last who holds it is done.
pub type Guard = Arc<dyn Any + Send + Sync>;

/// A body up to this size is handed over at once, head and body in one write; a larger one in slices, so that it shows whether
/// the caller reads.
pub const SLICE: usize = 64 * 1024;

/// A large body's bytes and their share of the bounded memory: both last until the last slice of them is written.
struct Shared {
    data: Bytes,
    _held: Guard,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl AnswerBody {
    /// A body of these bytes.
    #[must_use]
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), held: None, delivery: None, until_taken: None }
    }

    /// The same body, holding its share of the bounded memory: a large one until the last of its bytes is written, a small one
    /// until it is handed over to be written.
    #[must_use]
    pub fn holding(mut self, held: Option<Guard>) -> Self {
        self.held = held;
        self
    }

    /// The same body; who wants to know whether it arrives goes with it.
    #[must_use]
    pub fn delivered_to(self, delivery: Delivery) -> Self {
        Self { delivery: Some(delivery), ..self }
    }

    /// The same body, keeping something until the last of its bytes is handed over to be written, or it is given up.
    #[must_use]
    pub fn keeping(mut self, kept: Option<Box<dyn Kept>>) -> Self {
        self.until_taken = kept;
        self
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.data
    }
}

impl Deliver for AnswerBody {
    fn take_delivery(&mut self) -> Option<Delivery> {
        self.delivery.take()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.data.is_empty() {
            return Poll::Ready(None);
        }
        if self.data.len() <= SLICE
            && let Some(kept) = &mut self.until_taken
        {
            ready!(kept.poll_given_back(cx));
            self.until_taken = None;
        }
        if self.data.len() > SLICE
            && let Some(held) = self.held.take()
        {
            // Not before: who keeps a copy of the bytes to tell whether they arrive does not keep the memory taken.
            let data = std::mem::take(&mut self.data);
            self.data = Bytes::from_owner(Shared { data, _held: held });
        }
        let length = self.data.len().min(SLICE);
        let slice = self.data.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}

/// Writes where the time of a call went: in the gateway itself, waiting for the shared account, and at the upstream.
pub fn server_timing(writer: &mut HeaderWriter<'_>, [own, queued, upstream]: [Duration; 3]) {
    for (name, time) in [("gateway;dur=", own), (", queue;dur=", queued), (", upstream;dur=", upstream)] {
        writer.text(name).decimal(Decimal::millis(time));
    }
    writer.insert(SERVER_TIMING);
}

/// A body of fewer bytes than this is copied out of the buffer that its connection reads into: it may be kept for long, and
/// would keep all of that buffer, so that the connection needs another. A copy costs less than to make one.
const SMALL: usize = 4 * 1024;

/// A body as it comes in, frame by frame. A large one that comes in one frame is never copied, any other once.
#[derive(Debug, Default)]
pub struct Gathered {
    first: Bytes,
    /// All of the body, from the second frame on.
    whole: BytesMut,
    expected: usize,
}

impl Gathered {
    /// For a body that says how long it is: room is made once, and only when it comes in more than one frame.
    #[must_use]
    pub fn expecting(bytes: usize) -> Self {
        Self { expected: bytes, ..Self::default() }
    }

    /// Adds a frame's data.
    pub fn push(&mut self, data: Bytes) {
        if self.is_empty() {
            self.first = data;
            return;
        }
        if self.whole.is_empty() {
            let both = self.first.len() + data.len();
            self.whole.reserve(if self.expected >= both { self.expected } else { both * 2 });
            self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.whole.extend_from_slice(&data);
    }

    /// How many bytes there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    /// Whether nothing has come yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole body.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if !self.whole.is_empty() {
            self.whole.freeze()
        } else if self.first.len() < SMALL {
            Bytes::copy_from_slice(&self.first)
        } else {
            self.first
        }
    }
}

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Call-Id`.
pub const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// `X-API-Key`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Chooses among the teams of a caller who is in several.
pub const X_MOONGATE_TEAM: HeaderName = HeaderName::from_static("x-moongate-team");
/// `X-Error-Source`.
pub const X_ERROR_SOURCE: HeaderName = HeaderName::from_static("x-error-source");
/// `X-RateLimit-Limit`.
pub const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// `X-RateLimit-Remaining`.
pub const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// `X-RateLimit-Reset`.
pub const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// `RateLimit` of draft-ietf-httpapi-ratelimit-headers.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `X-Credits-Cost`.
pub const X_CREDITS_COST: HeaderName = HeaderName::from_static("x-credits-cost");
/// `X-Credits-Cost-Original`: of an answer that is given again, what its call cost when it was made.
pub const X_CREDITS_COST_ORIGINAL: HeaderName = HeaderName::from_static("x-credits-cost-original");
/// `X-Credits-Remaining`.
pub const X_CREDITS_REMAINING: HeaderName = HeaderName::from_static("x-credits-remaining");
/// `Server-Timing`.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// `traceparent` (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `Idempotency-Key`.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `Idempotency-Replayed`.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_large_body_comes_in_slices_and_gives_its_memory_back_with_the_last_of_them() {
        let memory = Arc::new(());
        let mut body = AnswerBody::new(vec![7; 150 * 1024]).holding(Some(Arc::<()>::clone(&memory)));
        let mut slices = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            slices.push(frame.into_data().unwrap());
        }
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(slices.iter().map(Bytes::len).collect::<Vec<_>>(), [SLICE, SLICE, 150 * 1024 - 2 * SLICE]);
        let last = slices.pop();
        drop(slices);
        assert_eq!(Arc::strong_count(&memory), 2, "a slice is not written yet");
        drop(last);
        assert_eq!(Arc::strong_count(&memory), 1);
    }

    /// Given back when it is told to be.
    #[derive(Debug)]
    struct Slow(tokio::sync::oneshot::Receiver<()>);

    impl Kept for Slow {
        fn poll_given_back(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            Future::poll(Pin::new(&mut self.0), cx).map(drop)
        }
    }

    #[tokio::test]
    async fn the_last_bytes_wait_until_what_is_kept_is_given_back() {
        for (bytes, slices) in [(10, 1), (SLICE, 1), (SLICE + 1, 2), (3 * SLICE, 3)] {
            let (give_back, kept) = tokio::sync::oneshot::channel();
            let mut body = AnswerBody::new(vec![7; bytes]).keeping(Some(Box::new(Slow(kept))));
            for _ in 1..slices {
                assert!(futures_util::FutureExt::now_or_never(body.frame()).is_some(), "{bytes}");
            }
            assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none(), "{bytes}");
            give_back.send(()).unwrap();
            assert!(body.frame().await.is_some() && body.is_end_stream(), "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_small_body_is_one_frame() {
        let mut body = AnswerBody::new(vec![7; SLICE]);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), SLICE);
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_body_in_frames_is_whole_again_and_a_large_one_in_one_frame_is_not_copied() {
        for expected in [0, 5, 9, 100] {
            let mut gathered = Gathered::expecting(expected);
            for frame in ["", "abc", "", "def", "ghi"] {
                gathered.push(Bytes::from_static(frame.as_bytes()));
            }
            assert_eq!((gathered.len(), &gathered.finish()[..]), (9, &b"abcdefghi"[..]));
        }
        for (bytes, is_copied) in [(SMALL - 1, true), (SMALL, false)] {
            let alone = Bytes::from(vec![1; bytes]);
            let mut gathered = Gathered::expecting(bytes);
            gathered.push(alone.clone());
            let finished = gathered.finish();
            assert_eq!((&finished, finished.as_ptr() != alone.as_ptr()), (&alone, is_copied));
        }
    }
}
