//! Malformed requests, unknown routes and wrong methods: each gets its documented words, none
//! reaches Firemoon or the ledger.

use serde_json::{Value, json};

use super::spending::{assert_untouched, wide_limits};
use crate::support::blocking;
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, SHARED_KEY};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

const PATH: &str = r#"{"error":"Invalid input","message":"The path must be plain: no encoded or backward slashes, dot segments or control characters","code":"invalid_path","requestId":"r1"}"#;
const ROUTE: &str = r#"{"error":"Not found","message":"This gateway has no such route","code":"route_not_found","requestId":"r1"}"#;
const METHOD: &str = r#"{"error":"Method not allowed","message":"This route takes only POST","code":"method_not_allowed","requestId":"r1"}"#;
const HEADERS: &str = r#"{"error":"Invalid input","message":"The headers are too large","code":"headers_too_large","requestId":"r1"}"#;

fn malformed(problem: &str) -> String {
    let problem = Value::from(problem);
    format!(
        r#"{{"error":"Invalid input","message":"The request is malformed","errors":[{problem}],"code":"invalid_request","requestId":"r1"}}"#
    )
}

/// An answer to raw bytes: status, head in small letters, body.
fn raw(gateway: &Gateway, request: &str) -> (u16, String, String) {
    let answer = blocking::exchange(gateway.team(), request.as_bytes());
    assert!(!answer.contains(SHARED_KEY), "{answer}");
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer to {request:?}: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// A gateway whose teams have every limit, so that anything that is counted would show.
async fn gateway(firemoon: &Firemoon) -> (Installation, Gateway) {
    let installation = Installation::before(firemoon).set("/teams/design/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    (installation, gateway)
}

async fn assert_nothing_happened(
    installation: &Installation,
    gateway: &Gateway,
    firemoon: &Firemoon,
) {
    assert_eq!(firemoon.requests().await, 0, "something reached Firemoon");
    assert_untouched(gateway, installation.key("design")).await;
}

#[tokio::test]
async fn a_malformed_path_is_refused_and_a_strange_one_unknown() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let long = format!("/api/v1/{}", "a".repeat(129));
    let endless = format!("/api/v1/{}", "a/".repeat(5_000));
    let rows = [
        ("/api/v1/flux%2fdev", 400, PATH),
        ("/api/v1/flux%2Fdev", 400, PATH),
        ("/api/v1/flux%5cdev", 400, PATH),
        ("/api/v1/%2e%2e/generate", 400, PATH),
        ("/api/v1/%252e%252e/generate", 400, PATH),
        ("/api/v1/flux/dev%00", 400, PATH),
        ("/api/v1/../generate", 400, PATH),
        ("/api/v1/./flux/dev", 400, PATH),
        ("/api/v1/flux\\dev", 400, PATH),
        ("/api/v1/flux/dév", 400, PATH),
        (&endless, 400, PATH),
        ("/api", 404, ROUTE),
        ("/api/v1", 404, ROUTE),
        ("/api/v1/", 404, ROUTE),
        ("/api/v1/flux/dev/", 404, ROUTE),
        ("/api/v1/a/b/c/d/e", 404, ROUTE),
        ("/api/v1/-flux/dev", 404, ROUTE),
        ("/api/v1/flux/d%65v", 404, ROUTE),
        ("/api/v1/flux/dev;x=1", 404, ROUTE),
        (&long, 404, ROUTE),
        ("/API/v1/flux/dev", 404, ROUTE),
        ("/api/v2/flux/dev", 404, ROUTE),
        ("/v1/flux/dev", 404, ROUTE),
        ("/api/generate", 404, ROUTE),
        ("/api/keys", 404, ROUTE),
        ("/api/auth/session", 404, ROUTE),
        ("/api/v1/providers", 405, METHOD),
        ("/gateway/v1/", 404, ROUTE),
        ("/metrics", 404, ROUTE),
    ];
    for (path, status, body) in rows {
        // `providers` could be a model's id, and a model is not read.
        let method = if status == 405 { "GET" } else { "POST" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nx-request-id: r1\r\n\
             connection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
            installation.key("design")
        );
        let (got, head, text) = raw(&gateway, &request);
        assert_eq!((got, text.as_str()), (status, body), "{path}");
        assert!(
            head.contains("x-error-source: caller") && head.contains("x-request-id: r1"),
            "{path}: {head}"
        );
        assert_eq!(head.contains("\r\nallow: post"), status == 405, "{path}: {head}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_allowed_ones() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let rows = [
        ("GET", "/api/v1/flux/dev", "post"),
        ("HEAD", "/api/v1/flux/dev", "post"),
        ("PUT", "/api/v1/flux/dev", "post"),
        ("OPTIONS", "/api/v1/flux/dev", "post"),
        ("BREW", "/api/v1/flux/dev", "post"),
        ("POST", "/api/models", "get, head"),
        ("DELETE", "/api/models-config/flux/dev", "get, head"),
        ("POST", "/api/sample-images", "get, head"),
        ("POST", "/api/credits/balance", "get, head"),
        ("PATCH", "/gateway/v1/me", "get, head"),
    ];
    for (method, path, allow) in rows {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nx-request-id: r1\r\n\
             connection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let (status, head, body) = raw(&gateway, &request);
        let expected = METHOD.replace("POST", &allow.to_uppercase());
        assert_eq!(
            (status, body.as_str()),
            (405, if method == "HEAD" { "" } else { &*expected }),
            "{method} {path}"
        );
        assert!(head.contains(&format!("\r\nallow: {allow}")), "{method} {path}: {head}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn an_ambiguous_head_is_refused_and_its_connection_closed() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let rows = [
        ("x-request-id: r1", malformed("Host is missing")),
        ("host: a\r\nhost: a\r\nx-request-id: r1", malformed("Host is given twice")),
        ("host: a, b\r\nx-request-id: r1", malformed("Host is not a host and port")),
        ("host: user@a\r\nx-request-id: r1", malformed("Host is not a host and port")),
        (
            "host: a\r\nexpect: the-unexpected\r\nx-request-id: r1",
            malformed("Expect may only be 100-continue"),
        ),
    ];
    for (headers, body) in rows {
        let (status, head, text) =
            raw(&gateway, &format!("POST /api/v1/flux/dev HTTP/1.1\r\n{headers}\r\n\r\n"));
        assert_eq!((status, text), (400, body), "{headers}");
        assert!(head.contains("\r\nconnection: close"), "{headers}: {head}");
    }
    // What hyper itself cannot read is answered with a bare 400; all that matters is that it ends
    // there.
    for nonsense in [
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello\r\n\r\n",
        // What only begins as HTTP/2 does is answered as HTTP/1.
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.0\r\nhost: a\r\n\r\nSM\r\n\r\n",
    ] {
        let (status, head, _) = raw(&gateway, nonsense);
        assert!(status == 400 && head.starts_with("http/1.1 400 "), "{nonsense:?}: {head}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn chunks_win_over_a_length_and_nothing_follows_them() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let lengths = [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    ];
    for (number, lengths) in lengths.iter().enumerate() {
        let request = |credential: &str| {
            let head =
                "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
            format!("{head}{credential}{lengths}\r\n\r\ne\r\n{{\"prompt\":\"x\"}}\r\n0\r\n\r\n")
        };
        let known = request(&format!("x-api-key: {}\r\n", installation.key("design")));
        for (first, status) in [(known.clone(), 200), (request(""), 401)] {
            let answer = blocking::exchange(gateway.team(), format!("{first}{known}").as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
            assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        }
        assert_eq!(
            firemoon.executed().await,
            number as u64 + 1,
            "the request behind it was executed too"
        );
    }
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_together() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let one = format!("x-large: {}\r\n", "x".repeat(70_000));
    let together: String =
        (0..9).map(|number| format!("x-{number}: {}\r\n", "x".repeat(8_000))).collect();
    for headers in [&one, &together] {
        let request =
            format!("GET /api/models HTTP/1.1\r\nhost: a\r\nx-request-id: r1\r\n{headers}\r\n");
        let (status, head, body) = raw(&gateway, &request);
        assert_eq!((status, body.as_str()), (431, HEADERS), "{} bytes of headers", headers.len());
        assert!(head.contains("\r\nconnection: close"), "{head}");
    }
    let many =
        |count| -> String { (0..count).map(|number| format!("x-{number}: 1\r\n")).collect() };
    let with = |headers: &str| {
        format!("GET /api/models HTTP/1.1\r\nhost: a\r\nx-request-id: r1\r\n{headers}\r\n")
    };
    let (status, _, body) = raw(&gateway, &with(&many(95)));
    assert_eq!((status, body.as_str()), (431, HEADERS));
    // More than hyper counts: it answers before we see the request, with the bare status.
    assert_eq!(raw(&gateway, &with(&many(99))).0, 431);
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn a_plain_request_name_is_kept_others_are_replaced() {
    let firemoon = Firemoon::start();
    let (_, gateway) = gateway(&firemoon).await;
    for name in ["r1", "A-b_c.9", &"x".repeat(128)] {
        let reply = gateway.send(&Call::get("/nowhere").header("x-request-id", name)).await;
        assert_eq!(
            (reply.header("x-request-id"), &reply.json()["requestId"]),
            (Some(name), &json!(name))
        );
    }
    for name in ["", "a b", "a\"b", "a/b", "é", &"x".repeat(129)] {
        let reply = gateway.send(&Call::get("/nowhere").header("x-request-id", name)).await;
        let given = reply.header("x-request-id").unwrap();
        assert_ne!(given, name);
        assert_eq!(given.len(), 36, "{name:?} got {given}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let firemoon = Firemoon::start();
    let installation =
        Installation::before(&firemoon).set("/limits/header_timeout", json!("200ms"));
    let gateway = Gateway::serve(&installation).await;
    for start in ["", "G", "PRI * HTTP/2.0\r\n", "GET /api/models HTTP/1.1\r\nhost: a\r\n"] {
        // Returns when the gateway closes the connection; the client's own patience would be ten
        // seconds.
        let before = std::time::Instant::now();
        let answer = blocking::exchange(gateway.team(), start.as_bytes());
        assert!(before.elapsed().as_secs() < 9, "{start:?} was waited for");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{start:?}: {answer}");
    }
}
