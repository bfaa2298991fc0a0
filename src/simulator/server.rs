//! Two listeners: the API over HTTP/1.1 and HTTP/2, plain or TLS, and the media host.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, ConnectionHandle, Content};
use super::firemoon::Firemoon;
use super::spoil::Reply;
use super::{Simulator, api, media};

/// Timeout of an idle connection, and of a request's headers.
const IDLE: Duration = Duration::from_secs(75);
/// Timeout of the first bytes, which show the protocol.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Serves a simulator on two listeners until `shutdown`, then closes all connections at once.
///
/// # Errors
/// A listener has no address. A failing `accept` is retried.
pub async fn serve(
    simulator: Simulator,
    api: TcpListener,
    media: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let firemoon = simulator.firemoon;
    firemoon.set_media_url(format!("http://{}", media.local_addr()?));
    tokio::join!(
        accept(&api, &shutdown, |stream, number| {
            tokio::spawn(serve_api(Arc::clone(&firemoon), stream, number, shutdown.clone()));
        }),
        accept(&media, &shutdown, |stream, number| {
            tokio::spawn(serve_media(stream, number, shutdown.clone()));
        }),
    );
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    shutdown: &CancellationToken,
    serve: impl Fn(TcpStream, u64),
) {
    let mut number = 0;
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Small answers must not wait for acknowledgements. A socket that refuses is about
                // to fail anyway.
                let _ = stream.set_nodelay(true);
                number += 1;
                serve(stream, number);
            }
            // No descriptors left, or the caller hung up before it was accepted: try again.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn serve_api(
    firemoon: Arc<Firemoon>,
    stream: TcpStream,
    number: u64,
    shutdown: CancellationToken,
) {
    let (mut stream, handle) = Connection::new(stream, number);
    // A connection that fails before its first request has nowhere to report it.
    match firemoon.settings.tls.clone() {
        None => {
            let Ok(Ok(http2)) = timeout(HANDSHAKE, stream.speaks_http2()).await else { return };
            talk(firemoon, stream, http2, handle, &shutdown).await;
        }
        Some(tls) => {
            let accepted =
                timeout(HANDSHAKE, tokio_rustls::TlsAcceptor::from(tls).accept(stream)).await;
            let Ok(Ok(stream)) = accepted else { return };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            talk(firemoon, stream, http2, handle, &shutdown).await;
        }
    }
}

async fn talk<S>(
    firemoon: Arc<Firemoon>,
    stream: S,
    http2: bool,
    handle: Arc<ConnectionHandle>,
    shutdown: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, io) = (Arc::clone(&handle), TokioIo::new(stream));
    let service = service_fn(move |request| {
        // Spawned: a caller that hangs up drops this future, but not the generation.
        let task = tokio::spawn(api::answer(Arc::clone(&firemoon), Arc::clone(&requests), request));
        let handle = Arc::clone(&requests);
        async move { respond(task.await, &handle).await }
    });
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let connection = builder.timer(TokioTimer::new()).serve_connection(io, service);
        drive(connection, http2::Connection::graceful_shutdown, &handle, shutdown).await;
    } else {
        let mut builder = http1::Builder::new();
        let connection = builder
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .serve_connection(io, service);
        drive(connection, http1::Connection::graceful_shutdown, &handle, shutdown).await;
    }
}

/// The answer for hyper; never resolves where nothing is to be sent, until the connection ends.
async fn respond(
    reply: Result<Reply, tokio::task::JoinError>,
    handle: &ConnectionHandle,
) -> Result<Response<Content>, tokio::task::JoinError> {
    match reply? {
        Reply::Answer(answer) => return Ok(answer),
        Reply::Raw(text, then) => {
            handle.write(text.as_bytes()).await;
            handle.end(then);
        }
        Reply::End(then) => handle.end(then),
    }
    std::future::pending().await
}

/// Runs a connection until it ends, or is ended.
async fn drive<C, T>(
    connection: C,
    finish: fn(Pin<&mut C>),
    handle: &ConnectionHandle,
    shutdown: &CancellationToken,
) where
    C: Future<Output = T>,
{
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        () = handle.cut.cancelled() => return,
        () = shutdown.cancelled() => return,
        () = handle.finish.cancelled() => finish(connection.as_mut()),
        _ = &mut connection => return,
    }
    tokio::select! {
        biased;
        () = handle.cut.cancelled() => {}
        () = shutdown.cancelled() => {}
        _ = &mut connection => {}
    }
}

async fn serve_media(stream: TcpStream, number: u64, shutdown: CancellationToken) {
    let (stream, handle) = Connection::new(stream, number);
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(media::answer(&request).map(Full::<Bytes>::new))
    });
    let mut builder = http1::Builder::new();
    let connection = builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, http1::Connection::graceful_shutdown, &handle, &shutdown).await;
}

/// TLS settings for the API: HTTP/2 or HTTP/1.1, as the caller prefers (RFC 7301).
///
/// # Errors
/// The private key does not match the certificate, or one of them is unusable.
pub fn tls(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<rustls::ServerConfig, rustls::Error> {
    // Named here rather than taken from the process, where it may not be installed.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
