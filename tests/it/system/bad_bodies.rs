//! Bodies that cannot be priced or do not arrive, and models that may not be used: refused, unpaid,
//! unsent.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};

use super::spending::{assert_untouched, wide_limits};
use crate::support::blocking;
use crate::support::caller::{Call, generate};
use crate::support::firemoon::{Firemoon, PROMPT};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

fn invalid(problem: &str) -> String {
    let problem = Value::from(problem);
    format!(
        r#"{{"error":"Invalid input","message":"Input validation failed","errors":[{problem}],"code":"invalid_body","requestId":"r1"}}"#
    )
}

async fn gateway(firemoon: &Firemoon) -> (Installation, Gateway) {
    let installation = Installation::before(firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/limits/body_bytes_max", json!(10_000))
        .set("/limits/body_timeout", json!("300ms"));
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
async fn a_number_of_pictures_outside_one_to_four_is_refused() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let values = [
        "0",
        "5",
        "\"4\"",
        "1e9",
        "-1",
        "-0.0",
        "1.5",
        "[1]",
        "{}",
        "true",
        "99999999999999999999",
    ];
    for value in values {
        let body = format!(r#"{{"prompt":"x","num_images":{value}}}"#);
        let call = Call::post("/api/v1/flux/dev")
            .with(installation.key("design"))
            .header("x-request-id", "r1")
            .text(&body);
        let reply = gateway.send(&call).await;
        assert_eq!(
            (reply.status, reply.text()),
            (400, invalid("num_images must be a whole number from 1 to 4").as_str()),
            "{value}"
        );
        assert_eq!(reply.header("x-error-source"), Some("caller"));
    }
    for value in ["\"7\"", "7", "-5", "5.5", "\"\"", "[]"] {
        let body = format!(r#"{{"prompt":"x","duration":{value}}}"#);
        let call = Call::post("/api/v1/kling/kling-2-1-master")
            .with(installation.key("design"))
            .header("x-request-id", "r1");
        let reply = gateway.send(&call.text(&body)).await;
        assert_eq!(
            (reply.status, reply.text()),
            (400, invalid("duration must be one of \"5\", \"10\"").as_str()),
            "{value}"
        );
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn a_body_that_is_not_one_json_object_is_refused() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let (not_json, no_object) = ("the body is not valid JSON", "the body must be one JSON object");
    let rows = [
        ("", not_json),
        ("{", not_json),
        (r#"{"prompt":"x""#, not_json),
        (r#"{"prompt":x}"#, not_json),
        (r#"{"prompt":"x"} {}"#, not_json),
        (r#"{"prompt":"x",}"#, not_json),
        ("prompt=x", not_json),
        ("\u{feff}{}", "the body begins with a byte order mark (BOM), which JSON does not have"),
        ("[]", no_object),
        ("[{\"prompt\":\"x\"}]", no_object),
        ("null", no_object),
        ("1", no_object),
        (r#"{"num_images":1,"num_images":4}"#, "num_images is given twice"),
        (r#"{"num_images":1,"num\u005fimages":4}"#, "num_images is given twice"),
    ];
    for (body, problem) in rows {
        let call = Call::post("/api/v1/flux/dev")
            .with(installation.key("design"))
            .header("x-request-id", "r1");
        let reply = gateway.send(&call.text(body)).await;
        assert_eq!((reply.status, reply.text()), (400, invalid(problem).as_str()), "{body}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn a_body_outside_utf8_is_refused_wherever_it_is() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    for route in ["/api/v1/flux/dev", "/gateway/v1/quote/flux/dev"] {
        let call = Call::post(route).with(installation.key("design")).header("x-request-id", "r1");
        let call =
            call.bytes(&b"{\"prompt\":\"caf\xe9\"}"[..]).header("content-type", "application/json");
        let reply = gateway.send(&call).await;
        let problem = "the body is not UTF-8, as JSON must be: its first 14 bytes are";
        assert_eq!((reply.status, reply.text()), (400, invalid(problem).as_str()), "{route}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn null_is_unset_and_whole_numbers_may_have_points() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let rows = [
        ("flux/dev", r#"{"prompt":"x","num_images":null,"seed":null}"#, "0.025"),
        ("flux/dev", r#"{"prompt":"x","num_images":2.0}"#, "0.05"),
        ("flux/dev", r#"{"prompt":"x","num_images":2e0}"#, "0.05"),
        ("kling/kling-2-1-master", r#"{"prompt":"x","duration":null}"#, "1.4"),
    ];
    for (model, body, cost) in rows {
        let quote = Call::post(&format!("/gateway/v1/quote/{model}"))
            .with(installation.key("design"))
            .text(body);
        assert_eq!(gateway.send(&quote).await.json()["price"].to_string(), cost, "{body}");
        let call =
            Call::post(&format!("/api/v1/{model}")).with(installation.key("design")).text(body);
        let reply = gateway.send(&call).await;
        assert_eq!(
            (reply.status, reply.header("x-credits-cost")),
            (200, Some(cost)),
            "{body}: {}",
            reply.text()
        );
    }
    assert_eq!(firemoon.charged().await, "1.525");
}

#[tokio::test]
async fn a_body_not_declared_as_json_is_refused() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let golden = r#"{"error":"Invalid input","message":"The body must be JSON and not compressed: send Content-Type: application/json and no Content-Encoding","code":"media_type_unsupported","requestId":"r1"}"#;
    let call = || {
        Call::post("/api/v1/flux/dev")
            .with(installation.key("design"))
            .header("x-request-id", "r1")
            .bytes(r#"{"prompt":"x"}"#)
    };
    for call in [
        call(),
        call().header("content-type", "text/plain"),
        call().header("content-type", "application/x-www-form-urlencoded"),
        call().header("content-type", "multipart/form-data; boundary=x"),
        call().header("content-type", "application/jsonp"),
        call().header("content-type", "application/json").header("content-encoding", "gzip"),
    ] {
        let reply = gateway.send(&call).await;
        assert_eq!((reply.status, reply.text()), (415, golden));
    }
    let call = call().header("content-type", "application/json");
    for key in ["", "a b", &"x".repeat(256)] {
        let reply = gateway.send(&call.clone().header("idempotency-key", key)).await;
        assert_eq!(reply.refusal(), (400, "invalid_request".to_owned()), "{key}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

/// Too large, too slow or cut short.
#[tokio::test]
async fn a_bad_body_is_refused_before_anything_is_reserved() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let head = |length: &str| {
        format!(
            "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\nx-request-id: r1\r\n\
             authorization: Bearer {}\r\n\
             content-type: application/json\r\n{length}\r\n\r\n",
            installation.key("design")
        )
    };
    let large = format!("{{\"prompt\":\"{}\"}}", "x".repeat(10_000));
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let rows = [
        (
            format!("{}{large}", head(&format!("content-length: {}", large.len()))),
            413,
            "body_too_large",
        ),
        (format!("{}{chunk}", head("transfer-encoding: chunked")), 413, "body_too_large"),
        (head("content-length: 99999999999"), 413, "body_too_large"),
        (format!("{}{{\"prompt\"", head("content-length: 100")), 408, "body_timeout"),
        (format!("{}5\r\n{{\"pro\r\n", head("transfer-encoding: chunked")), 408, "body_timeout"),
        (
            format!("{}zz\r\n{{}}\r\n0\r\n\r\n", head("transfer-encoding: chunked")),
            400,
            "invalid_body",
        ),
    ];
    for (request, status, code) in rows {
        let answer = blocking::exchange(gateway.team(), request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{code}: {answer}");
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body["code"], &body["requestId"]), (&json!(code), &json!("r1")));
        if status != 400 {
            assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        }
    }
    // Cut short: the sender is gone, so nothing is answered.
    let mut stream = TcpStream::connect(gateway.team()).unwrap();
    stream.write_all(format!("{}{{\"prompt\"", head("content-length: 100")).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    wait_until("every request has ended", || async { gateway.lines("request").len() >= 7 }).await;
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

/// A key, a model that it may not use or that has no price, and the refusal: status, error, message
/// and code.
const REFUSED_MODELS: [(&str, &str, u16, &str, &str, &str); 8] = [
    (
        "design",
        "flux/pro",
        403,
        "Access denied",
        "Your team may not use the model flux/pro",
        "model_not_allowed",
    ),
    (
        "growth",
        "kling/kling-2-1-master",
        403,
        "Access denied",
        "Your team may not use the model kling/kling-2-1-master",
        "model_not_allowed",
    ),
    (
        "narrow",
        "flux/dev",
        403,
        "Access denied",
        "This gateway key may not use the model flux/dev",
        "model_not_allowed",
    ),
    (
        "empty",
        "flux/dev",
        403,
        "Access denied",
        "Your team may not use the model flux/dev",
        "model_not_allowed",
    ),
    (
        "design",
        "nano-banana",
        404,
        "Model not found",
        "Model configuration not found for nano-banana: the operators of this gateway have set no \
         price for it",
        "model_unknown",
    ),
    (
        "design",
        "flux/devv",
        404,
        "Model not found",
        "Model configuration not found for flux/devv: the operators of this gateway have set no \
         price for it; did you mean flux/dev?",
        "model_unknown",
    ),
    // The nearest one is flux/pro, which the team may not use: it is not named.
    (
        "design",
        "flux/prp",
        404,
        "Model not found",
        "Model configuration not found for flux/prp: the operators of this gateway have set no \
         price for it",
        "model_unknown",
    ),
    (
        "design",
        "FLUX/DEV",
        404,
        "Model not found",
        "Model configuration not found for FLUX/DEV: the operators of this gateway have set no \
         price for it; did you mean flux/dev?",
        "model_unknown",
    ),
];

#[tokio::test]
async fn a_forbidden_or_unpriced_model_is_refused() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/teams/empty", json!({ "models": [] }));
    installation.add_key(
        "narrow",
        json!({ "team": "design", "name": "narrow", "models": ["flux/schnell"] }),
    );
    installation.add_key("empty", json!({ "team": "empty", "name": "ci" }));
    let gateway = Gateway::serve(&installation).await;
    for (key, model, status, error, message, code) in REFUSED_MODELS {
        let call = generate(model, &json!({ "prompt": PROMPT }))
            .with(installation.key(key))
            .header("x-request-id", "r1");
        let reply = gateway.send(&call).await;
        let golden = format!(
            r#"{{"error":"{error}","message":"{message}","code":"{code}","requestId":"r1"}}"#
        );
        assert_eq!((reply.status, reply.text()), (status, golden.as_str()));
        let source = if status == 403 { "policy" } else { "caller" };
        assert_eq!(reply.header("x-error-source"), Some(source));
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
    let series = gateway.ask("/metrics").await;
    assert!(
        !series.text().contains("flux/devv") && !series.text().contains("FLUX/DEV"),
        "input of a caller is not a label"
    );
}

#[tokio::test]
async fn an_unpriced_model_costs_what_the_operator_set() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/pricing/unknown_model_credits", json!("0.5"));
    let gateway = Gateway::serve(&installation).await;
    let reply = gateway
        .send(
            &generate("nano-banana", &json!({ "prompt": PROMPT })).with(installation.key("design")),
        )
        .await;
    assert_eq!((reply.status, reply.header("x-credits-cost")), (200, Some("0.5")));
    let other = r#"moongate_team_credits_total{team="design",model="other"}"#;
    assert_eq!(gateway.metric(other).await, Some(0.5));
}
