//! Server of the operator's listener: a few HTTP/1.1 connections from probes, Prometheus and
//! people.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use super::Operator;
use crate::answer::panicked::message;
use crate::clock::Clock;
use crate::http::{Answer, X_REQUEST_ID};
use crate::refusal::{Refusal, body};
use crate::request::RequestId;
use crate::server::{LogLimiter, linger};

/// Most connections: more than probes, a pair of Prometheus servers and every operator need.
const CONNECTIONS_MAX: usize = 256;
/// Timeout of a request's head and of an idle connection: longer than the longest usual scrape
/// interval.
const HEAD_WITHIN: Duration = Duration::from_secs(90);
/// How long the shutdown waits for answers that are being written.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// How long, and how much of, an unread body is discarded.
const LINGER_WITHIN: Duration = Duration::from_secs(10);
const LINGER_BYTES_MAX: u64 = 64 << 20;
/// Pause when the system gives no more connections.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then finishes the answers being written. Needs a runtime of its own.
pub async fn serve(listener: TcpListener, operator: Operator, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let failed = LogLimiter::default();
    let connections = TaskTracker::new();
    while let Some((stream, from, place)) =
        or_shutdown(&shutdown, accept(&listener, &places, &failed)).await
    {
        let connection = connection(stream, from, operator.clone(), shutdown.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    connections.close();
    if tokio::time::timeout(FINISH_WITHIN, connections.wait()).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "stopped: connections to the operator's listener were cut off"
        );
    }
}

async fn or_shutdown<T>(
    shutdown: &CancellationToken,
    work: impl Future<Output = Option<T>>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        done = work => done,
    }
}

/// Waits for a place and the next connection.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    failed: &LogLimiter,
) -> Option<(TcpStream, IpAddr, impl Drop + Send + use<>)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, from)) => return Some((stream, from.ip(), place)),
            Err(error) => {
                if let Some(times) = failed.count() {
                    tracing::warn!(
                        times,
                        %error,
                        "the operator's listener cannot accept connections: operators wait"
                    );
                }
                tokio::time::sleep(RETRY_ACCEPT).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    from: IpAddr,
    operator: Operator,
    shutdown: CancellationToken,
) {
    let stack = stack(operator, from);
    let service = hyper::service::service_fn(move |request| stack.clone().oneshot(request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(64 * 1024);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = shutdown.cancelled() => None,
    };
    let Some(ended) = ended else {
        Pin::new(&mut connection).graceful_shutdown();
        return note(connection.await);
    };
    note(ended);
    // A caller refused before its body was read still sends it, and reads the refusal afterwards.
    let stream = connection.into_parts().io.into_inner();
    let _ = or_shutdown(&shutdown, linger(stream, LINGER_WITHIN, LINGER_BYTES_MAX).map(Some)).await;
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the operator's listener broke");
    }
}

type Page = Response<tower_http::body::UnsyncBoxBody<Bytes, tower::BoxError>>;

/// The stack of an operator's request: a panic in a page is only that page's 500.
fn stack(
    operator: Operator,
    from: IpAddr,
) -> impl Service<Request<Incoming>, Response = Page, Error = Infallible, Future: Send> + Clone {
    let panicked = |panic: Box<dyn Any + Send>| panicked(&*panic);
    let answer = move |request: Request<Incoming>| {
        let operator = operator.clone();
        async move { Ok(operator.answer(request, from).await) }
    };
    ServiceBuilder::new().layer(CatchPanicLayer::custom(panicked)).service(service_fn(answer))
}

fn panicked(panic: &(dyn Any + Send)) -> Answer {
    let id = RequestId::new();
    tracing::error!(
        request_id = %id,
        panic = message(panic),
        "a page of the operator's listener panicked"
    );
    let mut answer =
        body::answer(&Refusal::Internal, id.as_str(), Version::HTTP_11, Clock::system().now());
    let headers = answer.headers_mut();
    headers.insert(X_REQUEST_ID, id.to_header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
