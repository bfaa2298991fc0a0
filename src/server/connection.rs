//! One connection: TLS or not, HTTP/1.1 or HTTP/2, from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryFutureExt};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::calls::{Calls, Unmoved};
use super::discard::bytes_max;
use super::linger::linger;
use super::observed_stream::ObservedStream;
use super::reclaim::Reclaimable;
use super::streams::Streams;
use super::{Discarding, Drain, Server, Settings};
use crate::http::{Deliver, SOCKET_ROOM};
use crate::request::Inbound;
use crate::step::Under;

/// First bytes of an HTTP/2 client (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Pause before the first look for the rest of a preface that comes in parts; it doubles with each
/// look.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long the rest of a preface may take.
const PREFACE_MAX: Duration = Duration::from_secs(1);

/// How long a TLS handshake may still take that was under way when the gateway began to refuse.
const LAST_HANDSHAKES: Duration = Duration::from_secs(1);

/// The peer of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// The address.
    pub(super) address: IpAddr,
    /// Whether the connection was accepted after the gateway had begun to refuse.
    pub(super) too_late: bool,
}

/// Serves a connection until it ends, or until the drain closes it or cuts it off. It is cut off
/// here and not with its runtime, so that the reservations of its calls are still settled.
pub(super) async fn serve<S, R>(
    stream: TcpStream,
    peer: Peer,
    service: S,
    calls: &Arc<Calls>,
    server: &Server,
) where
    S: Under<Inbound<Discarding>, Response<R>, Infallible>,
    R: Body<Data = Bytes, Error = Infallible> + Deliver + Send + 'static,
{
    // Boxed, so that the connection does not keep room for its greeting.
    let greeting = Box::pin(greet_in_time(stream, peer, calls, server));
    let greeted = server.drain.ended.run_until_cancelled(greeting).await;
    let Some((stream, speaks_http2)) = greeted.flatten() else { return };
    let watched = Arc::clone(calls);
    let handle = move |request: Request<Incoming>| {
        let answers_http1 = request.version() < Version::HTTP_2;
        if answers_http1 {
            // The next request shows that the answer before it was read.
            watched.written.confirm();
        }
        let (service, mut call) = (service.clone(), watched.begin());
        // hyper leaves out the body of an answer to HEAD by itself over HTTP/1.
        let only_head = !answers_http1 && request.method() == Method::HEAD;
        if !answers_http1 {
            call.has_stream();
        }
        let Peer { address: peer, too_late } = peer;
        // HTTP/2 has no `100 Continue` to wait for.
        let is_withheld = answers_http1 && request.headers().contains_key(EXPECT);
        let request =
            request.map(|body| Discarding::new(body, Arc::clone(call.all()), is_withheld));
        // A plain future and no `async` block, which would keep the request beside what is made of
        // it: hyper moves this future into place for each call.
        service.oneshot(Inbound { request, peer, too_late }).map_ok(move |answer| {
            let (mut head, body) = answer.into_parts();
            if answers_http1 && call.is_last() {
                head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let body = if only_head { leave_out(body, &mut head.headers) } else { Some(body) };
            Response::from_parts(head, call.answered(body))
        })
    };
    let unread = match stream {
        Greeted::Plain(stream) => speak(stream, speaks_http2, handle, calls, server).await,
        // TLS comes off here: the caller's last bytes are dropped, so they need not be decrypted.
        Greeted::Tls(stream) => {
            // Boxed, so that a plain connection does not keep room for the state of TLS.
            let spoken = Box::pin(speak(*stream, speaks_http2, handle, calls, server));
            spoken.await.map(|tls| tls.into_inner().0)
        }
    };
    if let Some(stream) = unread {
        let settings = &server.settings;
        let lingers = Box::pin(linger(stream, settings.body_timeout, bytes_max(settings)));
        server.drain.ended.run_until_cancelled(lingers).await;
    }
}

/// Drops the body of an answer to HEAD and keeps its length (RFC 9110, 9.3.2).
fn leave_out<R: Body>(body: R, headers: &mut HeaderMap) -> Option<R> {
    if let Some(length) = body.size_hint().exact() {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    None
}

enum Greeted {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Greets the peer within the time of a request's head; ends when the gateway stops.
async fn greet_in_time(
    stream: TcpStream,
    peer: Peer,
    calls: &Calls,
    server: &Server,
) -> Option<(Greeted, bool)> {
    let mut greeting =
        pin!(tokio::time::timeout(server.settings.header_timeout, greet(stream, server)));
    let greeted = tokio::select! {
        biased;
        greeted = greeting.as_mut() => greeted,
        () = calls.asked_to_go() => return None,
        () = server.drain.closing.cancelled(), if !peer.too_late => {
            // A plain connection was not read from, so its caller loses no call.
            server.tls.as_ref()?;
            tokio::time::timeout(LAST_HANDSHAKES, greeting).await.ok()?
        }
    };
    greeted.ok()?.ok()
}

/// Finds out which HTTP is spoken: by ALPN, or without TLS by the first bytes (prior knowledge).
async fn greet(stream: TcpStream, server: &Server) -> io::Result<(Greeted, bool)> {
    match &server.tls {
        Some(certificate) => {
            let mut stream = certificate.read().acceptor.accept(stream).await?;
            // rustls would buffer 64 KiB for a socket that takes nothing, and what is buffered
            // counts as written.
            stream.get_mut().1.set_buffer_limit(Some(SOCKET_ROOM));
            let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Greeted::Tls(Box::new(stream)), speaks_http2))
        }
        None => {
            let speaks_http2 = begins_with_preface(&stream).await?;
            Ok((Greeted::Plain(stream), speaks_http2))
        }
    }
}

/// Whether the stream begins with the HTTP/2 preface. Peeks only, so no wrapper stays around the
/// stream.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    let (mut pause, mut paused) = (LOOK_AGAIN, Duration::ZERO);
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 || seen[..count] != PREFACE[..count] {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        if paused >= PREFACE_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Part of the preface. The socket stays readable, so there is no waiting for the next byte:
        // peek again soon.
        tokio::time::sleep(pause).await;
        paused += pause;
        pause = (pause * 2).min(PREFACE_MAX.saturating_sub(paused)).max(LOOK_AGAIN);
    }
}

/// Serves a connection. Returns the stream when its caller may still be sending.
async fn speak<T, H, F, R>(
    stream: T,
    speaks_http2: bool,
    handle: H,
    calls: &Arc<Calls>,
    server: &Server,
) -> Option<T>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<R>, Infallible>> + Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    if speaks_http2 {
        // Boxed: its state is several times that of HTTP/1, and every connection would keep room
        // for it.
        return Box::pin(speak_http2(stream, handle, calls, server)).await;
    }
    let (service, drain) = (service_fn(handle), &server.drain);
    // The first head is arriving, within its timeout.
    calls.read();
    let stream = TokioIo::new(ObservedStream::new(stream, Arc::clone(calls), false));
    let mut connection = http1_builder(&server.settings).serve_connection(stream, service);
    // A connection that came too late, or was greeted as the gateway began to refuse, closes after
    // its first answer.
    let closing_at_start = drain.closing.is_cancelled();
    let close = async {
        drain.closing.cancelled().await;
        if closing_at_start {
            std::future::pending().await
        }
    };
    let pinned = Pin::new(&mut connection);
    let ended =
        drive(pinned, |connection| connection.graceful_shutdown(), close, drain, calls).await?;
    let parts = connection.into_parts();
    let may_send = match &ended {
        Ok(()) => calls.leaves_unread() || !parts.read_buf.is_empty(),
        // Bytes that are not HTTP were answered with an error, and more of them may come.
        Err(error) => error.is_parse(),
    };
    note(ended, calls);
    may_send.then(|| parts.io.into_inner().into_inner())
}

async fn speak_http2<T, H, F, R>(
    stream: T,
    handle: H,
    calls: &Arc<Calls>,
    server: &Server,
) -> Option<T>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<R>, Infallible>> + Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (service, drain) = (service_fn(handle), &server.drain);
    let (stream, reclaimer) = Reclaimable::new(stream);
    let stream = TokioIo::new(ObservedStream::new(stream, Arc::clone(calls), true));
    let going_away = send_away(calls, drain);
    let ended = {
        let connection =
            pin!(http2_builder(&server.settings, calls).serve_connection(stream, service));
        drive(connection, |connection| connection.graceful_shutdown(), going_away, drain, calls)
            .await?
    };
    let is_well = ended.is_ok();
    note(ended, calls);
    reclaimer.take().filter(|_| is_well)
}

/// Resolves when an HTTP/2 caller is to get GOAWAY: at once when the gateway leaves. A connection
/// made after that gets it only after its first call, which would otherwise find the connection
/// closed.
async fn send_away(calls: &Calls, drain: &Drain) {
    if !drain.is_leaving() {
        return drain.leaving.cancelled().await;
    }
    let closing_at_start = drain.closing.is_cancelled();
    tokio::select! {
        () = calls.first() => {}
        () = drain.closing.cancelled(), if !closing_at_start => {}
    }
}

/// Events of a connection beside its calls.
enum Event {
    GoingAway,
    CutOff,
    Unmoved(Unmoved),
}

/// Runs a connection to its end. Closes it gracefully when `going_away` resolves or when it is
/// idle. Returns none when it is to be dropped: the caller does not read or sends a head too
/// slowly, or the drain is over.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    close: impl Fn(Pin<&mut C>),
    going_away: impl Future<Output = ()>,
    drain: &Drain,
    calls: &Calls,
) -> Option<hyper::Result<()>>
where
    C: Future<Output = hyper::Result<()>>,
{
    let unmoved = |is_closing| Either::Right(calls.unmoved(is_closing).map(Event::Unmoved));
    let going_away = Either::Left(going_away.map(|()| Event::GoingAway));
    let cut_off = Either::Right(drain.ended.cancelled().map(|()| Event::CutOff));
    // A set polls only what has woken: the connection is polled several times a call, and polling a
    // timer and two cancellations each time would cost instructions.
    let mut beside = FuturesUnordered::from_iter([
        Either::Left(going_away),
        Either::Left(cut_off),
        unmoved(false),
    ]);
    loop {
        let served = poll_fn(|cx| {
            let ended = connection.as_mut().poll(cx);
            calls.waits();
            ended
        });
        tokio::select! {
            biased;
            result = served => return Some(result),
            Some(event) = beside.next() => match event {
                Event::GoingAway => {}
                Event::CutOff => return None,
                Event::Unmoved(Unmoved::Idle) => {
                    // Unread answers are all that is left now.
                    calls.moved();
                    beside.push(unmoved(true));
                }
                Event::Unmoved(why @ (Unmoved::Slow | Unmoved::Unread)) => {
                    tracing::debug!(
                        ?why,
                        "a connection was dropped: its caller does not read, or sends a \
                         head too slowly"
                    );
                    return None;
                }
            },
        }
        close(connection.as_mut());
    }
}

fn http1_builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // hyper's timeout would also bound the idle time, and costs each call a timer. `Calls`
        // keeps both.
        .header_read_timeout(None::<Duration>)
        // Room for a head up to twice as large as allowed, so that it gets our answer and not a
        // bare 431.
        .max_buf_size((settings.header_bytes_max * 2).max(16 * 1024));
    builder
}

fn http2_builder(settings: &Settings, calls: &Arc<Calls>) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams(Arc::clone(calls)));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_per_connection_max)
        .max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        // What is handed over to hyper counts as written, and a caller that resets its stream loses
        // it: so hand over little ahead.
        .max_send_buf_size(64 * 1024)
        // Rapid reset: closes the connection before streams that are opened and reset at once
        // become work.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout);
    builder
}

/// Logs how a connection ended, at debug level: peers break connections all the time.
fn note(result: hyper::Result<()>, calls: &Calls) {
    match result {
        Ok(()) => calls.written.confirm(),
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}
