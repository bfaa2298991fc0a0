//! Idle upstream connections: those that a burst needed are not kept for longer than one call's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use moongate::live::Live;
use moongate::permits::Allowance;
use moongate::request::{Buffer, Shares};
use moongate::upstream::settings::Protocol;
use moongate::upstream::{Settings, Upstream, UpstreamClient, queue};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::redis::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_millis(300);
const BURST: usize = 8;

/// An upstream that answers calls to `/together` once there are as many as a burst has, and all
/// others at once; and how many connections it has.
async fn start() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(BURST)));
    let counted = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (open, together) = (Arc::clone(&counted), Arc::clone(&together));
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let together = Arc::clone(&together);
                async move {
                    if request.uri().path() == "/together" {
                        together.wait().await;
                    }
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
                }
            });
            tokio::spawn(async move {
                open.fetch_add(1, SeqCst);
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                open.fetch_sub(1, SeqCst);
            });
        }
    });
    (address, open)
}

fn upstream(address: SocketAddr) -> Live<Upstream> {
    let settings = Settings {
        base_url: format!("http://{address}/api").parse().unwrap(),
        keys: Vec::new(),
        limits: Allowance::default(),
        queue: queue::Settings { max_wait: PATIENCE, length_max: 1, team_length_max: 1 },
        reconcile: None,
        breaker: None,
        protocol: Protocol::Http1,
        ca_file: None,
        connect_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        idle_timeout: IDLE,
        answer_bytes_max: 1 << 20,
    };
    Live::new(Upstream::new(settings, None).unwrap())
}

async fn ask(client: &UpstreamClient, upstream: &Live<Upstream>, path: &str) {
    let upstream = upstream.read();
    let request = Request::post(path).body(Full::new(Bytes::new())).unwrap();
    client.ask(&upstream.origin, request, upstream.bounds).await.unwrap();
}

/// A wire whose connections were needed by a burst of calls.
async fn after_a_burst(upstream: &Live<Upstream>, open: &AtomicUsize) -> UpstreamClient {
    let client = UpstreamClient::new(Buffer::new(1 << 24, 1, Live::new(Shares::default())));
    let mut calls = JoinSet::new();
    for _ in 0..BURST {
        let (client, upstream) = (client.clone(), upstream.clone());
        calls.spawn(async move { ask(&client, &upstream, "/together").await });
    }
    calls.join_all().await;
    assert_eq!(open.load(SeqCst), BURST);
    client
}

#[tokio::test]
async fn a_bursts_connections_close_while_calls_go_on() {
    let (address, open) = start().await;
    let upstream = upstream(address);
    let client = after_a_burst(&upstream, &open).await;
    wait_until("the others are closed", || async {
        ask(&client, &upstream, "/").await;
        open.load(SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn connections_of_a_burst_are_closed_although_no_call_comes() {
    let (address, open) = start().await;
    let upstream = upstream(address);
    let client = after_a_burst(&upstream, &open).await;
    let stop = CancellationToken::new();
    let tending = tokio::spawn(client.clone().tend(upstream, stop.clone()));
    wait_until("all are closed", || async { open.load(SeqCst) == 0 }).await;
    stop.cancel();
    tending.await.unwrap();
}
