//! Reclaims the stream of an HTTP/2 connection when hyper drops it, so that the socket can be
//! drained before it is closed.
//!
//! A caller sends over HTTP/2 while it only reads (window updates, answers to pings), and a socket
//! that is closed at once answers these with a reset.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that goes to its [`Reclaimer`] when it is dropped.
#[derive(Debug)]
pub(super) struct Reclaimable<T> {
    /// Set until it is dropped.
    stream: Option<T>,
    reclaimer: Reclaimer<T>,
}

/// Receives the stream when hyper has dropped it.
#[derive(Debug)]
pub(super) struct Reclaimer<T>(Arc<Mutex<Option<T>>>);

impl<T> Reclaimable<T> {
    pub(super) fn new(stream: T) -> (Self, Reclaimer<T>) {
        let place = Arc::new(Mutex::new(None));
        (Self { stream: Some(stream), reclaimer: Reclaimer(Arc::clone(&place)) }, Reclaimer(place))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut T>>
    where
        T: Unpin,
    {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T> Reclaimer<T> {
    /// Takes the stream, once hyper has dropped it.
    pub(super) fn take(self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Drop for Reclaimable<T> {
    fn drop(&mut self) {
        *self.reclaimer.0.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Reclaimable<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Reclaimable<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
