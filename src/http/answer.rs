//! The gateway's answer and its body, which is handed over as its caller reads, and can hold
//! resources until it is written.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::{Deliver, Delivery};

/// An answer of the gateway, complete in memory: the upstream's was read, checked and settled
/// before.
pub type Answer = Response<AnswerBody>;

/// Body of an answer, with the resources it holds until it is written.
#[derive(Debug, Default)]
pub struct AnswerBody {
    data: Bytes,
    held: Option<Guard>,
    delivery: Option<Delivery>,
    releasing: Option<Releasing>,
}

/// A resource, and the last bytes, which are held back until it is released.
#[derive(Debug)]
struct Releasing {
    resource: Box<dyn Release>,
    transport: Transport,
    /// Empty until the first frame is polled.
    end: Bytes,
    /// Resolves when everything before the end is written.
    written: Option<oneshot::Receiver<Infallible>>,
}

/// How an answer is carried to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A connection for one answer at a time (HTTP/1): its socket takes a small answer at once,
    /// read or not.
    Connection,
    /// One stream of several, which has as much room as its caller allows (RFC 9113, 5.2).
    Stream,
}

impl Transport {
    /// Whether an answer of so many bytes may be stuck while its caller does not read.
    #[must_use]
    pub const fn may_hold_up(self, bytes: usize) -> bool {
        match self {
            Self::Connection => bytes > SOCKET_ROOM,
            Self::Stream => bytes > 1,
        }
    }
}

/// A resource that an answer holds until its last bytes are handed over to be written, or it is
/// dropped.
pub trait Release: fmt::Debug + Send + Sync + 'static {
    /// Releases it. The last bytes are handed over when that is done, so that a caller who has
    /// read the answer finds it released.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A value that must live until an answer is written; the last holder drops it.
pub type Guard = Arc<dyn Any + Send + Sync>;

/// Largest body that is handed over at once, with its head in one write. A larger one goes in
/// slices, which shows whether the caller reads.
pub const SLICE: usize = 64 * 1024;

/// Bytes that a connection takes at once whether its caller reads or not: in its socket, or in TLS
/// before it.
pub const SOCKET_ROOM: usize = 4 * 1024;

/// Bytes of a body, and what must live until their last slice is written: the permit of the bounded
/// memory, and a waiter.
struct Shared {
    data: Bytes,
    _held: Option<Guard>,
    _writing: Option<oneshot::Sender<Infallible>>,
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
        Self { data: data.into(), held: None, delivery: None, releasing: None }
    }

    /// Holds its permit of the bounded memory: a large body until its last byte is written, a small
    /// one until it is handed over to be written.
    #[must_use]
    pub fn holding(mut self, held: Option<Guard>) -> Self {
        self.held = held;
        self
    }

    /// Attaches a delivery, which reports whether the body arrived.
    #[must_use]
    pub fn delivered_to(self, delivery: Delivery) -> Self {
        Self { delivery: Some(delivery), ..self }
    }

    /// Holds a resource until all but the end of the body is written, or the body is dropped; the
    /// end follows once the resource is released. If nothing can hold the answer up, all of it is
    /// the end: one write.
    #[must_use]
    pub fn releasing(mut self, resource: Option<Box<dyn Release>>, transport: Transport) -> Self {
        self.releasing = resource.map(|resource| Releasing {
            resource,
            transport,
            end: Bytes::new(),
            written: None,
        });
        self
    }

    /// The bytes. Valid until the first frame is taken.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.data
    }

    fn left(&self) -> usize {
        self.data.len() + self.releasing.as_ref().map_or(0, |releasing| releasing.end.len())
    }

    /// Splits off the end before the first bytes go, if a resource is to be released before it.
    fn hold_end_back(&mut self) {
        let length = self.data.len();
        let Some(releasing) = self.releasing.as_mut().filter(|releasing| releasing.end.is_empty())
        else {
            return;
        };
        let end = match length {
            _ if length > SLICE => (length - 1) % SLICE + 1,
            _ if releasing.transport.may_hold_up(length) => 1,
            _ => length,
        };
        releasing.end = self.data.split_off(length - end);
        if self.data.is_empty() {
            return;
        }
        let (writing, written) = oneshot::channel();
        releasing.written = Some(written);
        let held = if length > SLICE { self.held.take() } else { None };
        if held.is_some() {
            let data = std::mem::take(&mut releasing.end);
            releasing.end = Bytes::from_owner(Shared { data, _held: held.clone(), _writing: None });
        }
        let data = std::mem::take(&mut self.data);
        self.data = Bytes::from_owner(Shared { data, _held: held, _writing: Some(writing) });
    }
}

impl Releasing {
    /// Waits until everything before the end is written and the resource is released.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if let Some(written) = &mut self.written {
            // Resolves when the last sender is dropped; nothing is ever sent.
            let _ = ready!(Pin::new(written).poll(cx));
            self.written = None;
        }
        ready!(self.resource.poll_release(cx));
        Poll::Ready(std::mem::take(&mut self.end))
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

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        self.hold_end_back();
        if self.data.is_empty()
            && let Some(releasing) = &mut self.releasing
        {
            let end = ready!(releasing.poll_end(cx));
            self.releasing = None;
            return Poll::Ready(Some(Ok(Frame::data(end))));
        }
        if self.data.len() > SLICE
            && let Some(held) = self.held.take()
        {
            // Attached only now: a delivery may keep a copy of the bytes, which must not keep the
            // memory permit.
            let data = std::mem::take(&mut self.data);
            self.data = Bytes::from_owner(Shared { data, _held: Some(held), _writing: None });
        }
        let length = self.data.len().min(SLICE);
        let slice = self.data.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left() as u64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_large_body_comes_in_slices_and_frees_its_memory() {
        let memory = Arc::new(());
        let mut body =
            AnswerBody::new(vec![7; 150 * 1024]).holding(Some(Arc::<()>::clone(&memory)));
        let mut slices = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            slices.push(frame.into_data().unwrap());
        }
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(
            slices.iter().map(Bytes::len).collect::<Vec<_>>(),
            [SLICE, SLICE, 150 * 1024 - 2 * SLICE]
        );
        let last = slices.pop();
        drop(slices);
        assert_eq!(Arc::strong_count(&memory), 2, "a slice is not written yet");
        drop(last);
        assert_eq!(Arc::strong_count(&memory), 1);
    }

    /// Released on a signal.
    #[derive(Debug)]
    struct Slow(oneshot::Receiver<()>);

    impl Release for Slow {
        fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            Future::poll(Pin::new(&mut self.0), cx).map(drop)
        }
    }

    /// The resource is released only then.
    #[tokio::test]
    async fn an_answer_ends_after_all_of_it_is_written() {
        use Transport::{Connection, Stream};
        let cases = [
            (Connection, 10, 1),
            (Connection, SOCKET_ROOM, 1),
            (Connection, SOCKET_ROOM + 1, 2),
            (Connection, SLICE, 2),
            (Connection, SLICE + 1, 2),
            (Connection, 3 * SLICE, 3),
            (Stream, 1, 1),
            (Stream, 10, 2),
            (Stream, SLICE, 2),
            (Stream, SLICE + 1, 2),
            (Stream, 3 * SLICE, 3),
        ];
        for case @ (transport, bytes, frames) in cases {
            let (memory, (release, released)) = (Arc::new(()), oneshot::channel());
            let body = AnswerBody::new(vec![7; bytes]).holding(Some(Arc::<()>::clone(&memory)));
            let mut body = body.releasing(Some(Box::new(Slow(released))), transport);
            let mut next =
                async || body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
            let mut written = Vec::new();
            for _ in 1..frames {
                written.push(next().now_or_never().expect("a frame at once").unwrap());
            }
            if frames > 1 {
                release.send(()).unwrap();
                assert!(
                    next().now_or_never().is_none(),
                    "{case:?}: what is before it is not written"
                );
                written.drain(..frames - 2);
                assert!(next().now_or_never().is_none(), "{case:?}: one frame is not written");
                written.clear();
            } else {
                assert!(next().now_or_never().is_none(), "{case:?}: its resource is not released");
                release.send(()).unwrap();
            }
            let end = next().await.unwrap();
            assert!(next().await.is_none(), "{case:?}");
            assert_eq!(body.size_hint().exact(), Some(0), "{case:?}");
            drop(body);
            assert_eq!(Arc::strong_count(&memory), if bytes > SLICE { 2 } else { 1 }, "{case:?}");
            drop(end);
            assert_eq!(Arc::strong_count(&memory), 1, "{case:?}");
        }
    }

    #[tokio::test]
    async fn a_written_answer_ends_only_once_its_slot_is_released() {
        for (transport, bytes) in [(Transport::Stream, 10), (Transport::Connection, 2 * SLICE)] {
            let (release, released) = oneshot::channel();
            let mut body = AnswerBody::new(vec![7; bytes])
                .releasing(Some(Box::new(Slow(released))), transport);
            assert_eq!(body.size_hint().exact(), Some(bytes as u64));
            drop(body.frame().await);
            assert!(body.frame().now_or_never().is_none() && !body.is_end_stream());
            assert!(body.size_hint().exact().is_some_and(|left| left > 0));
            release.send(()).unwrap();
            assert!(body.frame().await.is_some() && body.is_end_stream());
        }
    }

    #[tokio::test]
    async fn a_small_body_is_one_frame() {
        let mut body = AnswerBody::new(vec![7; SLICE]);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), SLICE);
        assert!(body.is_end_stream());
    }
}
