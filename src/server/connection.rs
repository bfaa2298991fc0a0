//! One connection: TLS or not, HTTP/1.1 or HTTP/2, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::{Drain, Server, Settings};
use crate::request::Inbound;

/// What an HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long to wait for the rest of a preface that came in parts.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Serves a connection until it ends, or until the drain closes it.
pub async fn serve<S, R>(stream: TcpStream, peer: IpAddr, service: S, server: &Server)
where
    S: Service<Inbound<Incoming>, Response = Response<R>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    // A peer that says nothing is not waited for longer than for a request's head.
    let greeting = tokio::time::timeout(server.settings.header_timeout, greet(stream, server));
    let closing_at_start = server.drain.closing.is_cancelled();
    let greeted = tokio::select! {
        biased;
        greeted = greeting => greeted,
        // Nor is it waited for when the gateway stops.
        () = server.drain.closing.cancelled(), if !closing_at_start => return,
    };
    let Ok(Ok((stream, speaks_http2))) = greeted else { return };
    let handle = move |request: Request<Incoming>, drain: Drain| {
        let service = service.clone();
        async move {
            let answers_http1 = request.version() < Version::HTTP_2;
            let mut answer = service.oneshot(Inbound { request, peer }).await?;
            if answers_http1 && drain.is_leaving() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    };
    match stream {
        Greeted::Plain(stream) => speak(stream, speaks_http2, handle, server).await,
        Greeted::Tls(stream) => speak(*stream, speaks_http2, handle, server).await,
    }
}

enum Greeted {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Finds out which HTTP is spoken: by ALPN, or without TLS by looking at the first bytes (prior knowledge).
async fn greet(stream: TcpStream, server: &Server) -> io::Result<(Greeted, bool)> {
    match &server.tls {
        Some(acceptor) => {
            let stream = acceptor.accept(stream).await?;
            let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Greeted::Tls(Box::new(stream)), speaks_http2))
        }
        None => {
            let speaks_http2 = begins_with_preface(&stream).await?;
            Ok((Greeted::Plain(stream), speaks_http2))
        }
    }
}

/// Looks without taking: HTTP/1 is told after a byte or two, and no wrapper stays around the stream.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 || seen[..count] != PREFACE[..count] {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        // Part of the preface. The socket stays readable, so its next byte cannot be waited for: look again soon.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn speak<T, H, F, R>(stream: T, speaks_http2: bool, handle: H, server: &Server)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>, Drain) -> F,
    F: Future<Output = Result<Response<R>, Infallible>> + Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let io = TokioIo::new(stream);
    let drain = server.drain.clone();
    let service = service_fn(move |request| handle(request, drain.clone()));
    let closing = server.drain.closing.cancelled();
    let closing_at_start = server.drain.closing.is_cancelled();
    if speaks_http2 {
        let mut connection = pin!(http2_builder(&server.settings).serve_connection(io, service));
        tokio::select! {
            result = connection.as_mut() => return note(result),
            () = closing, if !closing_at_start => connection.as_mut().graceful_shutdown(),
        }
        note(connection.await);
    } else {
        let mut connection = pin!(http1_builder(&server.settings).serve_connection(io, service));
        tokio::select! {
            result = connection.as_mut() => return note(result),
            () = closing, if !closing_at_start => connection.as_mut().graceful_shutdown(),
        }
        note(connection.await);
    }
}

fn http1_builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        // hyper's own bound is 100, answered with a bare 431; ours is lower and has an answer.
        .max_headers(128)
        // Room for a head that is too large by up to as much again, so that it gets our answer and not a bare 431.
        .max_buf_size((settings.header_bytes_max * 2).max(16 * 1024));
    builder
}

fn http2_builder(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_per_connection_max)
        .max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        // Streams that are opened and reset at once: the connection is closed before they become work (rapid reset).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout);
    builder
}

/// Connections end badly all the time; that is the peer's affair.
fn note(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
