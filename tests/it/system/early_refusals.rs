//! Refusals before the body was read: a caller that still sends can read the whole refusal, and its
//! body is never taken for another request.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// More than all buffers between the two hold.
const BODY: usize = 4_000_000;

/// A caller that reads and writes only when the test says.
pub(super) struct Raw(pub(super) TcpStream);

impl Raw {
    pub(super) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(stream)
    }

    /// Fails when the other side has closed.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.0
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("the gateway does not take the body: {error}"));
    }

    /// One whole answer: its status and its text.
    fn answer(&mut self) -> (u16, String) {
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        let is_whole = |text: &str| {
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            (body.len() >= length.parse().unwrap()).then_some(())
        };
        while is_whole(&text).is_none() {
            let count = self
                .0
                .read(&mut piece)
                .unwrap_or_else(|error| panic!("no whole answer: {error}: {text}"));
            assert_ne!(count, 0, "no whole answer: {text}");
            text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
    }

    /// Fails when anything comes before the end, or the end comes with violence.
    fn ends(&mut self) {
        let mut rest = Vec::new();
        self.0
            .read_to_end(&mut rest)
            .unwrap_or_else(|error| panic!("reset, and what was not read yet is lost: {error}"));
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

/// A request that is refused for its head, and how.
struct Refused {
    status: u16,
    code: &'static str,
    /// The head without the headers that say how long the body is.
    head: String,
}

fn refused(
    status: u16,
    code: &'static str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Refused {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    Refused { status, code, head }
}

fn all_refused(key: &str) -> Vec<Refused> {
    let (bearer, json) = (format!("Bearer {key}"), ("content-type", "application/json"));
    let (known, large) = (("authorization", bearer.as_str()), "x".repeat(65 * 1024));
    vec![
        refused(400, "invalid_path", "POST", "/api/v1/flux/../dev", &[known, json]),
        refused(401, "credential_missing", "POST", "/api/v1/flux/dev", &[json]),
        refused(
            401,
            "credential_invalid",
            "POST",
            "/api/v1/flux/dev",
            &[("x-api-key", "no-key-at-all"), json],
        ),
        refused(403, "model_not_allowed", "POST", "/api/v1/flux/pro", &[known, json]),
        refused(404, "route_not_found", "POST", "/api/v2/flux/dev", &[known, json]),
        refused(404, "model_unknown", "POST", "/api/v1/flux/none", &[known, json]),
        refused(405, "method_not_allowed", "PUT", "/api/v1/flux/dev", &[known, json]),
        refused(415, "media_type_unsupported", "POST", "/api/v1/flux/dev", &[known]),
        refused(
            431,
            "headers_too_large",
            "POST",
            "/api/v1/flux/dev",
            &[known, json, ("x-large", &large)],
        ),
    ]
}

/// A body of so many bytes and the header that says how long it is.
fn body(bytes: usize, chunked: bool) -> (String, Vec<u8>) {
    if !chunked {
        return (format!("content-length: {bytes}\r\n"), vec![b' '; bytes]);
    }
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let body = [chunk.repeat(bytes / 0x10000), b"0\r\n\r\n".to_vec()].concat();
    ("transfer-encoding: chunked\r\n".to_owned(), body)
}

/// Sends a request, and reads its answer either when all of it is sent or while most of it is not.
fn exchange(gateway: &Gateway, refused: &Refused, chunked: bool, close: bool, reads_first: bool) {
    let (length, body) = body(BODY, chunked);
    let close = if close { "connection: close\r\n" } else { "" };
    let mut caller = Raw::open(gateway.team());
    caller.write(format!("{}{length}{close}\r\n", refused.head).as_bytes());
    let (begun, rest) = body.split_at(if reads_first { 1000 } else { body.len() });
    caller.write(begun);
    let (status, answer) = caller.answer();
    caller.write(rest);
    let code = format!("\"code\":\"{}\"", refused.code);
    assert!(status == refused.status && answer.contains(&code), "{} {answer}", refused.head);
    if answer.contains("connection: close") {
        return caller.ends();
    }
    // The connection goes on behind the body, and nothing of the body was taken for a request.
    caller.write(b"GET /nowhere HTTP/1.1\r\nhost: gateway\r\n\r\n");
    assert_eq!(caller.answer().0, 404, "{}", refused.head);
}

#[tokio::test]
async fn whoever_still_sends_its_body_reads_the_whole_refusal() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for (number, refused) in all_refused(installation.key("design")).iter().enumerate() {
        for close in [false, true] {
            for reads_first in [false, true] {
                exchange(&gateway, refused, number % 2 == 0, close, reads_first);
            }
        }
    }
    assert_eq!(firemoon.requests().await, 0);
}

#[tokio::test]
async fn oversized_and_repeatedly_refused_callers_read_the_refusal() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/limits/body_bytes_max", json!("1MB"));
    let gateway = Gateway::serve(&installation).await;
    let known = format!("Bearer {}", installation.key("design"));
    let headers = [("authorization", known.as_str()), ("content-type", "application/json")];
    let too_large = refused(413, "body_too_large", "POST", "/api/v1/flux/dev", &headers);
    for (chunked, close) in [(false, false), (false, true), (true, false), (true, true)] {
        exchange(&gateway, &too_large, chunked, close, false);
    }
    exchange(&gateway, &too_large, false, false, true);
    let missing = [("x-api-key", "no-key-at-all"), ("content-type", "application/json")];
    let often = refused(429, "rate_limited", "POST", "/api/v1/flux/dev", &missing);
    for _ in 0..40 {
        gateway.send(&picture().with("no-key-at-all")).await;
    }
    exchange(&gateway, &often, false, false, false);
}

#[tokio::test]
async fn a_newcomer_at_a_stopping_gateway_reads_its_refusal() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    firemoon.hold().await;
    let (address, open) = (gateway.team().to_owned(), picture().with(installation.key("design")));
    let open = tokio::spawn(async move { open.send(&address).await.status });
    firemoon.until_held(1).await;
    gateway.signal("-TERM");
    let refuses = "stopping: new requests are refused, open calls are finished";
    wait_until("it refuses", || async { gateway.line(refuses).is_some() }).await;
    let draining = refused(503, "draining", "POST", "/api/v1/flux/dev", &[]);
    for (chunked, close) in [(false, false), (false, true), (true, false), (true, true)] {
        exchange(&gateway, &draining, chunked, close, false);
        exchange(&gateway, &draining, chunked, close, true);
    }
    firemoon.release().await;
    assert_eq!(open.await.unwrap(), 200);
}

#[tokio::test]
async fn what_follows_an_unread_body_is_never_a_request() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/limits/body_timeout", json!("300ms"));
    let mut gateway = Gateway::serve(&installation).await;
    let inner = format!(
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n\
         content-length: 14\r\n\r\n{{\"prompt\":\"x\"}}",
        installation.key("design")
    );
    let outer = "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\n";
    // The body is kept back until the gateway asks for it; or begun, and sent on only when the
    // gateway's patience is over; or has no chunk at all.
    let rows = [
        ("expect: 100-continue\r\ncontent-length: 4000", true, true),
        ("content-length: 4000", false, true),
        ("transfer-encoding: chunked", false, false),
    ];
    for (length, closes, waits) in rows {
        let mut caller = Raw::open(gateway.team());
        caller.write(format!("{outer}{length}\r\n\r\n").as_bytes());
        let (status, answer) = caller.answer();
        assert_eq!((status, answer.contains("connection: close")), (401, closes), "{answer}");
        assert!(!answer.contains("100 Continue"), "{answer}");
        if waits {
            caller.ends();
        }
        caller.write(inner.as_bytes());
        caller.0.shutdown(Shutdown::Write).unwrap();
        caller.ends();
    }
    assert_eq!(firemoon.requests().await, 0, "a part of a body was taken for a call");
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    wait_until("the three are logged", || async { gateway.lines("request").len() >= 3 }).await;
    assert_eq!(gateway.lines("request").len(), 3, "{}", gateway.output());
}

#[tokio::test]
async fn a_refused_body_is_read_within_bounds() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/limits/body_bytes_max", json!("100KB"))
        .set("/limits/body_timeout", json!("60s"));
    let gateway = Gateway::serve(&installation).await;
    let mut endless = Raw::open(gateway.team());
    endless
        .write(b"POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(endless.answer().0, 401);
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    // The sockets' own buffers hold some megabytes more than the gateway takes.
    let taken = (0..2000).take_while(|_| endless.0.write_all(&chunk).is_ok()).count();
    assert!(taken < 2000, "a caller sends without end and is not cut off");

    let installation = Installation::before(&firemoon).set("/limits/body_timeout", json!("200ms"));
    let gateway = Gateway::serve(&installation).await;
    let mut silent = Raw::open(gateway.team());
    silent.write(b"POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n");
    assert_eq!(silent.answer().0, 401);
    silent.ends();
    wait_until("the connection is closed", || async {
        gateway.metric("moongate_connections_open").await == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn an_http2_refusal_is_read_and_the_connection_stays() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let mut connection = Connection::open_http2(gateway.team()).await;
    for _ in 0..5 {
        let refused = Call::post("/api/v1/flux/dev").bytes(vec![b' '; BODY]);
        assert_eq!(
            connection.send(&refused).await.refusal(),
            (401, "credential_missing".to_owned())
        );
    }
    assert_eq!(connection.send(&picture().with(installation.key("design"))).await.status, 200);

    let (folder, url) =
        (installation.folder(), format!("http://{}/api/v1/flux/dev", gateway.team()));
    let large = folder.join("large");
    std::fs::write(&large, vec![b' '; BODY]).unwrap();
    for version in ["--http2-prior-knowledge", "--http1.1"] {
        let data = format!("@{}", large.display());
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            version,
            "-o",
            folder.join("answer").to_str().unwrap(),
        ]);
        curl.args(["-w", "%{http_code}", "-H", "Expect:", "--data-binary", &data, &url]);
        let done = curl.output().unwrap();
        let answer =
            (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
        assert_eq!(answer, ("401".to_owned(), String::new()), "{version}");
        assert!(
            std::fs::read_to_string(folder.join("answer")).unwrap().contains("credential_missing"),
            "{version}"
        );
    }
}

#[tokio::test]
async fn a_malformed_request_is_answered_despite_its_body() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    let length = format!("content-length: {BODY}\r\n");
    for (status, head) in [
        (431, format!("POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\n{length}{many}\r\n")),
        (400, format!("POST /api/v1/flux /dev HTTP/1.1\r\nhost: a\r\n{length}\r\n")),
        (
            400,
            format!(
                "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\n{length}content-length: 1\r\n\r\n"
            ),
        ),
    ] {
        let mut caller = Raw::open(gateway.team());
        caller.write(head.as_bytes());
        caller.write(&vec![b' '; BODY]);
        assert_eq!(caller.answer().0, status);
        caller.ends();
    }
}

#[tokio::test]
async fn an_operator_still_sending_reads_the_whole_refusal() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    let operator = gateway.operator();
    for path in ["/admin/v1/keys", "/metrics", "/nowhere"] {
        let mut caller = Raw::open(operator);
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {operator}\r\ncontent-length: {BODY}\r\n\r\n");
        caller.write(head.as_bytes());
        caller.write(&vec![b' '; BODY]);
        let (status, answer) = caller.answer();
        assert!((400..500).contains(&status), "{path}: {answer}");
        caller.ends();
    }
}
