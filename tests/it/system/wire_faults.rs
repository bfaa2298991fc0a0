//! The upstream connection against upstreams that refuse streams, go away, answer too early, or
//! limit how many streams they take.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use moongate::live::Live;
use moongate::permits::Allowance;
use moongate::request::{Buffer, Shares};
use moongate::upstream::client::{Failed, Received};
use moongate::upstream::settings::Protocol;
use moongate::upstream::{Bounds, Origin, Settings, UpstreamClient, queue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

const BOUNDS: Bounds =
    Bounds { connect: PATIENCE, answer: PATIENCE, idle: PATIENCE, answer_bytes_max: 1 << 20 };

fn origin(address: SocketAddr, protocol: Protocol) -> Arc<Origin> {
    let settings = Settings {
        base_url: format!("http://{address}/api").parse().unwrap(),
        keys: Vec::new(),
        limits: Allowance::default(),
        queue: queue::Settings { max_wait: PATIENCE, length_max: 1, team_length_max: 1 },
        reconcile: None,
        breaker: None,
        protocol,
        ca_file: None,
        connect_timeout: BOUNDS.connect,
        answer_timeout: BOUNDS.answer,
        idle_timeout: BOUNDS.idle,
        answer_bytes_max: BOUNDS.answer_bytes_max,
    };
    Arc::new(Origin::new(&settings).unwrap())
}

/// A wire whose answers have memory, and belong to no team.
fn client() -> UpstreamClient {
    UpstreamClient::new(Buffer::new(1 << 24, 1, Live::new(Shares::default())))
}

fn call(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/api/v1/flux/dev").body(Full::new(body.into())).unwrap()
}

/// An upstream that takes a few streams at once on each connection, and answers when the test says.
struct Narrow {
    origin: Arc<Origin>,
    /// A permit is an answer.
    answers: Arc<Semaphore>,
    /// Calls that are being worked on.
    working: Arc<AtomicUsize>,
    /// Connections that brought a call.
    connections: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Narrow {
    async fn start(streams_max: u32) -> Self {
        Self::speaking(Protocol::Http2, streams_max).await
    }

    async fn speaking(protocol: Protocol, streams_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let narrow = Self {
            origin: origin(listener.local_addr().unwrap(), protocol),
            answers: Arc::new(Semaphore::new(0)),
            working: Arc::default(),
            connections: Arc::default(),
        };
        let (answers, working) = (Arc::clone(&narrow.answers), Arc::clone(&narrow.working));
        let connections = Arc::clone(&narrow.connections);
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (answers, working, connections) =
                    (answers.clone(), working.clone(), connections.clone());
                let service = hyper::service::service_fn(move |_| {
                    let (answers, working) = (answers.clone(), working.clone());
                    connections.lock().unwrap().insert(peer);
                    async move {
                        working.fetch_add(1, SeqCst);
                        answers.acquire().await.unwrap().forget();
                        working.fetch_sub(1, SeqCst);
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
                    }
                });
                if protocol == Protocol::Http1 {
                    tokio::spawn(
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                    );
                    continue;
                }
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.max_concurrent_streams(streams_max);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        narrow
    }

    async fn until_working_on(&self, calls: usize) {
        let all = async {
            while self.working.load(SeqCst) != calls {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("that many calls");
    }
}

fn send(
    calls: &mut JoinSet<Result<Received, Failed>>,
    client: &UpstreamClient,
    origin: &Arc<Origin>,
    bounds: Bounds,
) {
    let (client, origin) = (client.clone(), Arc::clone(origin));
    calls.spawn(async move { client.ask(&origin, call("{}"), bounds).await });
}

#[tokio::test]
async fn calls_beyond_the_streams_of_one_connection_open_another() {
    let narrow = Narrow::start(2).await;
    let client = client();
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        send(&mut calls, &client, &narrow.origin, BOUNDS);
    }
    narrow.until_working_on(6).await;
    assert_eq!(narrow.connections.lock().unwrap().len(), 3);
    narrow.answers.add_permits(6);
    assert!(calls.join_all().await.iter().all(Result::is_ok));
}

/// The others are untouched.
#[tokio::test]
async fn a_call_without_a_place_in_time_is_unsent() {
    let narrow = Narrow::start(1).await;
    let client = client();
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        send(&mut calls, &client, &narrow.origin, BOUNDS);
    }
    narrow.until_working_on(8).await;
    let hasty = Bounds { connect: Duration::from_millis(100), ..BOUNDS };
    let outcome = client.ask(&narrow.origin, call("{}"), hasty).await;
    assert!(matches!(outcome, Err(Failed::NoStream)), "{outcome:?}");
    // One that is patient gets the place of the first that ends.
    send(&mut calls, &client, &narrow.origin, BOUNDS);
    narrow.answers.add_permits(9);
    let outcomes = calls.join_all().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(narrow.connections.lock().unwrap().len(), 8);
}

#[tokio::test]
async fn a_crowd_shares_the_connection_that_its_first_call_opens() {
    let narrow = Narrow::start(100).await;
    let client = client();
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        send(&mut calls, &client, &narrow.origin, BOUNDS);
    }
    narrow.until_working_on(50).await;
    assert_eq!(narrow.connections.lock().unwrap().len(), 1);
    narrow.answers.add_permits(50);
    assert!(calls.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_shared_connection_idle_too_long_is_not_reused() {
    let narrow = Narrow::start(100).await;
    narrow.answers.add_permits(3);
    let client = client();
    for idle in [PATIENCE, PATIENCE, Duration::ZERO] {
        client.ask(&narrow.origin, call("{}"), Bounds { idle, ..BOUNDS }).await.unwrap();
    }
    assert_eq!(narrow.connections.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_waiting_call_precedes_one_that_only_looks() {
    let (narrow, client) = (Narrow::start(1).await, client());
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(client.connect(&narrow.origin, BOUNDS).await.unwrap());
    }
    let mut calls = JoinSet::new();
    send(&mut calls, &client, &narrow.origin, BOUNDS);
    tokio::task::yield_now().await;
    drop(held.pop());
    assert!(client.at_hand(&narrow.origin, BOUNDS).is_none(), "it is the waiting call's");
    narrow.answers.add_permits(1);
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert!(client.at_hand(&narrow.origin, BOUNDS).is_some());
}

#[tokio::test]
async fn an_unused_held_connection_serves_the_next_call() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (narrow, client) = (Narrow::speaking(protocol, 1).await, client());
        narrow.answers.add_permits(2);
        client.ask(&narrow.origin, call("{}"), BOUNDS).await.unwrap();
        let at_hand = async {
            loop {
                match client.at_hand(&narrow.origin, BOUNDS) {
                    Some(line) => break line,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        let line = tokio::time::timeout(PATIENCE, at_hand)
            .await
            .expect("it is there when the call is over");
        let other = origin("127.0.0.1:9".parse().unwrap(), protocol);
        assert!(line.is_ready(&narrow.origin) && !line.is_ready(&other));
        assert!(client.at_hand(&narrow.origin, BOUNDS).is_none(), "it is one call's");
        drop(line);
        assert!(
            client
                .at_hand(&narrow.origin, BOUNDS)
                .is_some_and(|line| line.is_ready(&narrow.origin))
        );
        client.ask(&narrow.origin, call("{}"), BOUNDS).await.unwrap();
        assert_eq!(narrow.connections.lock().unwrap().len(), 1);
    }
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Last stream 0: nothing was processed.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Stream 1, REFUSED_STREAM.
const REFUSED: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// Stream 1, INTERNAL_ERROR: the upstream may have done something.
const RESET: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];

/// Speaks HTTP/2 by hand until the first HEADERS frame has come, and says `last`.
async fn say_at_the_first_call(stream: &mut TcpStream, last: &[u8]) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&SETTINGS).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            return stream.write_all(last).await.unwrap();
        }
    }
}

/// Calls an upstream whose first connections end in these ways and whose next one answers. Returns
/// the call's result, and how many connections were made.
async fn after(endings: &'static [&'static [u8]]) -> (Result<Received, Failed>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = origin(listener.local_addr().unwrap(), Protocol::Http2);
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        let mut open = Vec::new();
        for ending in endings {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, SeqCst);
            say_at_the_first_call(&mut stream, ending).await;
            // Closed, so that the next try opens another.
            stream.shutdown().await.unwrap();
            open.push(stream);
        }
        let (stream, _) = listener.accept().await.unwrap();
        count.fetch_add(1, SeqCst);
        let service = hyper::service::service_fn(async |_| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
        });
        let server = http2::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(stream), service).await.ok();
    });
    let outcome = client().ask(&origin, call("{}"), BOUNDS).await;
    (outcome, connections.load(SeqCst))
}

#[tokio::test]
async fn a_call_reported_as_unprocessed_is_sent_again() {
    for ending in [&[&GOAWAY[..]] as &[_], &[&REFUSED[..]], &[&REFUSED[..], &GOAWAY[..]]] {
        let (outcome, connections) = after(Vec::leak(ending.to_vec())).await;
        assert!(outcome.is_ok(), "{ending:?}: {outcome:?}");
        assert_eq!(connections, ending.len() + 1);
    }
}

#[tokio::test]
async fn a_call_refused_every_time_ends_as_not_sent() {
    let (outcome, connections) = after(&[&REFUSED, &REFUSED, &REFUSED]).await;
    assert!(matches!(outcome, Err(Failed::Unreachable(_))), "{outcome:?}");
    assert_eq!(connections, 3);
}

#[tokio::test]
async fn a_call_that_may_have_been_processed_is_never_resent() {
    let (outcome, connections) = after(&[&RESET]).await;
    assert!(matches!(outcome, Err(Failed::Broken(_))), "{outcome:?}");
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn a_connection_with_an_unread_body_is_not_awaited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = origin(listener.local_addr().unwrap(), Protocol::Http1);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            // The head's first bytes are enough for this upstream.
            stream.read_exact(&mut [0; 16]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            open.push(stream);
        }
    });
    let client = client();
    let large = Bytes::from(vec![b' '; 32 << 20]);
    for _ in 0..2 {
        let outcome =
            tokio::time::timeout(PATIENCE, client.ask(&origin, call(large.clone()), BOUNDS)).await;
        assert!(matches!(outcome, Ok(Ok(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn each_call_on_a_kept_connection_has_its_own_timeout() {
    let upstream = Narrow::speaking(Protocol::Http1, 1).await;
    let client = client();
    let within =
        async |answer| client.ask(&upstream.origin, call("{}"), Bounds { answer, ..BOUNDS }).await;
    let brief = Duration::from_secs(2);
    let began = Instant::now();
    upstream.answers.add_permits(1);
    assert!(within(brief).await.is_ok());
    let later = async {
        tokio::time::sleep_until((began + 2 * brief).into()).await;
        upstream.answers.add_permits(1);
    };
    let (patient, ()) = tokio::join!(within(PATIENCE), later);
    assert!(patient.is_ok(), "it had more time than the one before it: {patient:?}");
    assert_eq!(upstream.connections.lock().unwrap().len(), 1, "over the same connection");
    let began = Instant::now();
    let hasty = within(brief).await;
    assert!(matches!(hasty, Err(Failed::TimedOut)), "{hasty:?}");
    assert!((brief..PATIENCE).contains(&began.elapsed()), "it had less: {:?}", began.elapsed());
}
