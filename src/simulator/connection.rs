//! One accepted connection: its socket, means to break it, and bodies that are slow, cut or whole.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::faults::Then;

/// The socket, with the bytes that were read to detect the protocol.
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    ahead: Bytes,
}

/// A request's handle on its connection. It does not keep the socket open.
pub(super) struct ConnectionHandle {
    /// Connections are counted from 1.
    pub(super) number: u64,
    stream: Weak<TcpStream>,
    /// Makes the driver drop the connection at once.
    pub(super) cut: CancellationToken,
    /// Makes the driver close after the answer, without further requests.
    pub(super) finish: CancellationToken,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, number: u64) -> (Self, Arc<ConnectionHandle>) {
        let stream = Arc::new(stream);
        let handle = ConnectionHandle {
            number,
            stream: Arc::downgrade(&stream),
            cut: CancellationToken::new(),
            finish: CancellationToken::new(),
        };
        (Self { stream, ahead: Bytes::new() }, Arc::new(handle))
    }

    /// Whether the caller speaks HTTP/2 from the first byte (RFC 9113, section 3.3): no HTTP/1
    /// method starts like its preface.
    pub(super) async fn speaks_http2(&mut self) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI ";
        let mut read = Vec::with_capacity(PREFACE.len());
        while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
            let mut byte = [0];
            if self.read(&mut byte).await? == 0 {
                break;
            }
            read.extend_from_slice(&byte);
        }
        let http2 = read == PREFACE;
        self.ahead = read.into();
        Ok(http2)
    }
}

impl ConnectionHandle {
    /// Ends the connection at once, with unsent data.
    pub(super) fn end(&self, then: Then) {
        match then {
            // A linger time of zero makes closing the socket send RST instead of FIN and drop
            // unsent data: the caller sees "connection reset by peer".
            Then::Reset => {
                if let Some(stream) = self.stream.upgrade() {
                    // A socket that refuses is closed already.
                    let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                }
                self.cut.cancel();
            }
            Then::Close => self.cut.cancel(),
            Then::Keep => {}
        }
    }

    /// Writes bytes around HTTP (and TLS).
    pub(super) async fn write(&self, mut bytes: &[u8]) {
        let Some(stream) = self.stream.upgrade() else { return };
        while !bytes.is_empty() {
            if stream.writable().await.is_err() {
                return;
            }
            match stream.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(into.remaining());
            into.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(into.initialize_unfilled()) {
                Ok(length) => {
                    into.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Connection {
    fn poll_send(
        &self,
        context: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match send(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |stream| stream.try_write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write))
    }
}

/// A part of a spoilt body.
pub(super) enum Piece {
    Data(Bytes),
    Pause(Duration),
    /// The connection takes no further request after this, without announcing it.
    LastAnswer,
    /// Ends the connection.
    End(Then),
}

/// Body of an answer.
pub(super) enum Content {
    Whole(Bytes),
    Pieces { left: VecDeque<Piece>, pause: Option<Pin<Box<Sleep>>>, handle: Arc<ConnectionHandle> },
}

impl Content {
    pub(super) fn pieces(
        pieces: impl IntoIterator<Item = Piece>,
        handle: &Arc<ConnectionHandle>,
    ) -> Self {
        Self::Pieces { left: pieces.into_iter().collect(), pause: None, handle: Arc::clone(handle) }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (left, pause, handle) = match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Whole(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces { left, pause, handle } => (left, pause, handle),
        };
        loop {
            if let Some(sleep) = pause {
                ready!(sleep.as_mut().poll(context));
                *pause = None;
            }
            match left.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Data(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Piece::Pause(length)) => *pause = Some(Box::pin(sleep(length))),
                Some(Piece::LastAnswer) => handle.finish.cancel(),
                Some(Piece::End(then)) => {
                    handle.end(then);
                    // The driver drops this body with the connection, so nothing must be woken.
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            // Unknown, so that the announced length stays even if the body is shorter.
            Self::Pieces { .. } => SizeHint::default(),
        }
    }
}
