//! Stream of a connection that reports failures to its calls and, over HTTP/1, incoming bytes:
//! between two calls those begin a head.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::calls::Calls;

/// A stream that reports what happens on it to the connection's calls.
#[derive(Debug)]
pub(super) struct ObservedStream<T> {
    stream: T,
    calls: Arc<Calls>,
    speaks_http2: bool,
}

impl<T> ObservedStream<T> {
    pub(super) const fn new(stream: T, calls: Arc<Calls>, speaks_http2: bool) -> Self {
        Self { stream, calls, speaks_http2 }
    }

    fn noting<R>(&self, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if matches!(result, Poll::Ready(Err(_))) {
            self.calls.written.failed();
        }
        result
    }

    pub(super) fn into_inner(self) -> T {
        self.stream
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ObservedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            // Most callers close TLS without a close_notify. HTTP itself marks where a message
            // ends, so this is a clean end.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            result @ (Poll::Ready(_) | Poll::Pending) => result,
        };
        if buffer.filled().len() > before && !self.speaks_http2 {
            self.calls.read();
        }
        self.noting(result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ObservedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noting(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.noting(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.noting(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.noting(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::http::Delivery;
    use crate::server::unconfirmed::Unconfirmed;
    use crate::server::{Drain, Settings};

    /// A stream that only fails, in one way.
    struct Fails(io::ErrorKind);

    impl AsyncRead for Fails {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(self.0.into()))
        }
    }

    #[tokio::test]
    async fn tls_without_a_closing_notice_ends_and_a_reset_fails() {
        for (how, read, expected) in
            [(io::ErrorKind::UnexpectedEof, Ok(0), 0), (io::ErrorKind::ConnectionReset, Err(()), 1)]
        {
            let calls =
                Calls::new(Drain::default(), Arc::new(Settings::example()), Unconfirmed::default());
            let missed = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&missed);
            let delivery = move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            };
            calls.written.add(Delivery::new(Some(Bytes::from_static(b"{}")), delivery));
            let mut stream = ObservedStream::new(Fails(how), Arc::clone(&calls), false);
            assert_eq!(stream.read(&mut [0; 8]).await.map_err(drop), read, "{how}");
            calls.written.confirm();
            drop((stream, calls));
            assert_eq!(missed.load(Ordering::SeqCst), expected, "{how}");
        }
    }
}
