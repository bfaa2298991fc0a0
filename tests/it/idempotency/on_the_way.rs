//! Callers who vanish while their answer is on its way: they have paid, so it is kept for them.

use std::io::{Read, Write};
use std::net::TcpStream;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::gateway::{prepaid, spent};
use super::left::{calls_of, kept_of};
use crate::support::caller::{Connection, generate};
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

/// How large the answers are.
const ANSWER: usize = 3 << 20;
/// How much of an answer comes over HTTP/2 that was not asked for yet.
const WINDOW: u32 = 64 << 10;
/// After how many bytes callers vanish.
const TAKEN: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

struct World {
    firemoon: Firemoon,
    installation: Installation,
    gateway: Gateway,
    _redis: Option<RedisServer>,
}

impl World {
    async fn start(redis: Option<RedisServer>) -> Self {
        let firemoon = Firemoon::start();
        let installation = match &redis {
            Some(redis) => Installation::on(redis, &firemoon),
            None => Installation::before(&firemoon),
        };
        // One worker, so that all that is kept goes the same way.
        let installation = prepaid(installation).set("/listen/workers", json!(1));
        let gateway = Gateway::serve(&installation).await;
        firemoon.faults(&json!([{ "fault": "data_uri", "amount": ANSWER }])).await;
        Self { firemoon, installation, gateway, _redis: redis }
    }

    fn key(&self) -> &str {
        self.installation.key("design")
    }

    fn head(&self, name: &str) -> String {
        let body = json!({ "prompt": "x" }).to_string();
        format!(
            "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\nx-request-id: {name}\r\n\
             authorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.key(),
            body.len()
        )
    }

    /// Sends a call.
    fn send_http1(&self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.gateway.team()).unwrap();
        stream.write_all(self.head(name).as_bytes()).unwrap();
        stream
    }

    /// Reads so many bytes of the answer and vanishes.
    fn vanish_http1(&self, name: &str, taken: usize) {
        self.send_http1(name).read_exact(&mut vec![0; taken]).unwrap();
    }

    /// The same over HTTP/2; the stream alone is reset, or the whole connection is gone.
    async fn vanish_http2(&self, name: &str, taken: usize, only_the_stream: bool) {
        let address = self.gateway.team();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // A window larger than what is left to read would let the whole answer arrive before the
        // caller vanishes.
        builder.initial_stream_window_size(WINDOW);
        let handshake = builder.handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::post(format!("http://{address}/api/v1/flux/dev"))
            .header("x-request-id", name)
            .header("authorization", format!("Bearer {}", self.key()))
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(json!({ "prompt": "x" }).to_string())))
            .unwrap();
        let mut answer = sender.send_request(request).await.unwrap();
        let mut read = 0;
        while read < taken {
            read += answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
        if !only_the_stream {
            connection.abort();
            let _ = connection.await;
            return;
        }
        drop(answer);
        // The connection lives on until the gateway has seen the reset.
        kept_of(&self.gateway, name, self.key()).await;
        drop(sender);
        let _ = connection.await;
    }

    async fn assert_kept(&self, name: &str) {
        let call = kept_of(&self.gateway, name, self.key()).await;
        assert_eq!((&call["state"], &call["status"]), (&json!("done"), &json!(200)));
        assert!(call["answerBytes"].as_u64().unwrap() >= ANSWER as u64, "{}", call["answerBytes"]);
        assert_eq!(call["answer"]["images"].as_array().unwrap().len(), 1, "it is whole");
    }
}

/// The answer is kept over HTTP/1 and HTTP/2.
#[tokio::test]
async fn an_answer_not_taken_to_its_end_is_kept() {
    for redis in [None, Some(RedisServer::start().await)] {
        let world = World::start(redis).await;
        let mut names = Vec::new();
        for taken in TAKEN {
            let [one, two, three] =
                ["http1", "http2", "stream"].map(|way| format!("{way}-{taken}"));
            world.vanish_http1(&one, taken);
            world.vanish_http2(&two, taken, false).await;
            world.vanish_http2(&three, taken, true).await;
            names.extend([one, two, three]);
        }
        for name in &names {
            world.assert_kept(name).await;
        }
        let calls = names.len() as u64;
        assert_eq!(
            (world.firemoon.requests().await, world.firemoon.executed().await),
            (calls, calls)
        );
        assert_eq!(spent(&world.gateway, world.key()).await.0, "0.225");
    }
}

#[tokio::test]
async fn two_hundred_callers_cut_off_at_once_lose_no_answer() {
    for redis in [None, Some(RedisServer::start().await)] {
        let world = World::start(redis).await;
        // Small ones, so that none has to wait for as long as an idle connection is kept.
        world.firemoon.faults(&json!([])).await;
        // No more than a hundred calls of one name are listed.
        let names = ["cut-1", "cut-2", "cut-3", "cut-4"];
        let mut callers: Vec<TcpStream> =
            (0..200).map(|number| world.send_http1(names[number % 4])).collect();
        for caller in &mut callers {
            caller.read_exact(&mut [0; 16]).unwrap();
        }
        drop(callers);
        let is_whole =
            |call: &Value| call["status"] == 200 && call["answer"]["images"][0]["url"].is_string();
        for name in names {
            wait_until("every answer is kept whole", || async {
                let calls = calls_of(&world.gateway, name, world.key()).await;
                assert_eq!(calls.len(), 50);
                calls.iter().all(is_whole)
            })
            .await;
        }
        assert_eq!(world.firemoon.executed().await, 200);
        assert_eq!(world.gateway.line("an outcome could not be remembered"), None);
    }
}

#[tokio::test]
async fn a_small_answer_written_to_a_departed_caller_is_kept() {
    let world = World::start(None).await;
    world.firemoon.hold().await;
    // The caller is gone before it has read a byte, but not before the gateway has written all of
    // them: the answer waits in the kernel's memory, unread, when the connection is reset.
    let mut stream = TcpStream::connect(world.gateway.team()).unwrap();
    stream.write_all(world.head("small").as_bytes()).unwrap();
    world.firemoon.until_held(1).await;
    world.firemoon.release().await;
    assert_eq!(stream.peek(&mut [0; 16]).unwrap(), 16, "the answer is here");
    let line =
        || world.gateway.lines("request").into_iter().find(|line| line["request_id"] == "small");
    wait_until("it is written", || async { line().is_some() }).await;
    drop(stream);
    let call = kept_of(&world.gateway, "small", world.key()).await;
    assert_eq!(call["answer"]["images"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_arrived_is_not_kept() {
    let world = World::start(None).await;
    world.firemoon.faults(&json!([])).await;
    let call = |name: &str| {
        generate("flux/dev", &json!({ "prompt": "x" }))
            .with(world.key())
            .header("x-request-id", name)
    };
    let mut kept_alive = Connection::open(world.gateway.team()).await;
    assert_eq!(kept_alive.send(&call("kept-alive")).await.status, 200);
    assert_eq!(kept_alive.send(&call("again")).await.status, 200);
    assert_eq!(world.gateway.send(&call("closed")).await.status, 200);
    assert_eq!(
        Connection::open_http2(world.gateway.team()).await.send(&call("http2")).await.status,
        200
    );
    drop(kept_alive);
    let all = async || calls_of(&world.gateway, "sentinel", world.key()).await;
    // The last caller vanishes after the others, so their answers are kept before its own is.
    world.firemoon.faults(&json!([{ "fault": "data_uri", "amount": ANSWER }])).await;
    world.vanish_http1("sentinel", 4096);
    wait_until("the last is kept", || async {
        all().await.iter().any(|call| !call["answerBytes"].is_null())
    })
    .await;
    for name in ["kept-alive", "again", "closed", "http2"] {
        let calls = calls_of(&world.gateway, name, world.key()).await;
        assert_eq!((calls.len(), &calls[0]["answerBytes"]), (1, &Value::Null), "{name}");
    }
}
