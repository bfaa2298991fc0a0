//! One connection to the upstream: opening it, and sending one request over it.

use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::origin::Origin;
use super::settings::Protocol;

/// An open connection, spoken to in the HTTP that was agreed on.
pub(super) enum Connection {
    /// Serves one request at a time.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// Serves many; clones are the same connection.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Why a request got no answer.
pub(super) enum Lost {
    /// Not a byte of it was accepted: here it is back, it may be sent again.
    Unsent(Box<Request<Full<Bytes>>>),
    /// It was sent, at least in part. Nobody knows what became of it.
    Sent(hyper::Error),
}

/// The largest head an answer may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;

impl Connection {
    /// Opens a connection: name look-up, TCP, TLS, HTTP.
    pub(super) async fn open(origin: &Origin) -> io::Result<Self> {
        let stream = TcpStream::connect(origin.address()).await?;
        stream.set_nodelay(true)?;
        match &origin.tls {
            None => Self::over(stream, origin.protocol == Protocol::Http2).await,
            Some(tls) => {
                let stream = tls.connector.connect(tls.name.clone(), stream).await?;
                let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Self::over(stream, speaks_http2).await
            }
        }
    }

    async fn over<T>(stream: T, speaks_http2: bool) -> io::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        if speaks_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_header_list_size(64 * 1024).keep_alive_interval(KEEP_ALIVE);
            let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            return Ok(Self::Http2(sender));
        }
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX * 8).max_header_size(HEAD_BYTES_MAX);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    /// Whether it is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until the connection takes a request; `false` when it is closed.
    pub(super) async fn is_usable(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Lost> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await.map_err(lost),
            Self::Http2(sender) => sender.try_send_request(request).await.map_err(lost),
        }
    }

    /// The connection for the next caller: HTTP/2 shares it, HTTP/1 cannot while an answer is being read.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }
}

/// How often an HTTP/2 connection is asked whether it is still there.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(20);

fn lost(mut error: TrySendError<Request<Full<Bytes>>>) -> Lost {
    match error.take_message() {
        Some(request) => Lost::Unsent(Box::new(request)),
        None => Lost::Sent(error.into_error()),
    }
}
