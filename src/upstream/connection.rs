//! One connection to the upstream: opening it and sending one request.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dial;
use super::http2_connection::{Http2Connection, Http2Stream, RequestBody};
use super::origin::Origin;
use super::settings::Protocol;

/// A connection for one request.
pub(super) enum Connection {
    /// A connection for one request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// A stream on a shared HTTP/2 connection.
    Http2(Arc<Http2Stream>),
}

/// A new connection.
pub(super) enum Opened {
    /// A connection for one request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// A connection for many requests.
    Http2(Arc<Http2Connection>),
}

/// Why a request got no answer.
pub(super) enum Lost {
    /// None of it was accepted: it may be sent over another connection.
    Unsent,
    /// Sent, and the upstream says that it was not processed (RFC 9113, section 8.7): it may
    /// be resent.
    Unprocessed(Box<Request<RequestBody>>),
    /// Sent, at least in part. Its outcome is unknown.
    Sent(hyper::Error),
}

/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long a kept HTTP/1 connection may take to be ready. One that is still busy with the last
/// request (answered before its body was taken) may never be.
const READY_WITHIN: Duration = Duration::from_millis(10);

impl Opened {
    /// Opens a connection: DNS, TCP, TLS, HTTP.
    pub(super) async fn to(origin: &Origin) -> io::Result<Self> {
        let (host, port) = origin.address();
        let stream = dial::reach(host, port).await?;
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
        if speaks_http2 {
            return Ok(Self::Http2(Arc::new(Http2Connection::over(stream, HEAD_BYTES_MAX).await?)));
        }
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX * 8).max_header_size(HEAD_BYTES_MAX);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }
}

/// Whether a kept connection takes a request now.
pub(super) async fn is_ready(sender: &mut http1::SendRequest<RequestBody>) -> bool {
    matches!(tokio::time::timeout(READY_WITHIN, sender.ready()).await, Ok(Ok(())))
}

impl Connection {
    /// Whether it takes a request at once, as far as is known.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(stream) => !stream.is_closed(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// Not an `async fn`, which would keep room for the request until the end.
    pub(super) fn send(
        &mut self,
        mut request: Box<Request<RequestBody>>,
    ) -> impl Future<Output = Result<Response<Incoming>, Lost>> + Send {
        match self {
            Self::Http1(sender) => {
                Either::Left(sender.try_send_request(*request).map_err(|mut error| {
                    match error.take_message() {
                        Some(_) => Lost::Unsent,
                        None => Lost::Sent(error.into_error()),
                    }
                }))
            }
            Self::Http2(stream) => {
                let (copy, mut sender) = (Box::clone(&request), stream.sender());
                request.body_mut().hold(Arc::clone(stream));
                Either::Right(Box::pin(async move {
                    sender.try_send_request(*request).await.map_err(|error| lost(error, copy))
                }))
            }
        }
    }
}

fn lost(mut error: TrySendError<Request<RequestBody>>, copy: Box<Request<RequestBody>>) -> Lost {
    if error.take_message().is_some() {
        return Lost::Unsent;
    }
    let error = error.into_error();
    if is_unprocessed(&error) { Lost::Unprocessed(copy) } else { Lost::Sent(error) }
}

/// Whether the upstream says that it did not process the request: its stream is above the last one
/// of a GOAWAY, or was reset with REFUSED_STREAM (RFC 9113, section 8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_remote()
            && (cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}
