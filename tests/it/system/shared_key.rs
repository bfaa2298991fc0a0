//! What is sent with the shared key: only what the gateway itself writes; and what happens when the
//! key is refused.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::spending::{limit_status, spent, wide_limits};
use crate::support::caller::{Call, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::{ISSUER, Installation};

#[tokio::test]
async fn only_the_callers_body_goes_out_byte_for_byte() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let body = "{ \"prompt\" : \"\\u0061 cat\",\n\t\"num_images\":1, \
                \"unknown\": [1.0e0, {\"deep\":null}] }\r\n";
    let reply = gateway.send(&with_every_header(installation.key("design")).text(body)).await;
    assert_eq!(
        (reply.status, reply.header("x-request-id")),
        (200, Some("whole-1")),
        "{}",
        reply.text()
    );
    let calls = firemoon.calls_of("whole-1").await;
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_only_our_headers(call, firemoon.address());
    assert_eq!(
        (call["key"].as_str(), call["path"].as_str()),
        (Some("shared"), Some("/api/v1/flux/dev"))
    );
    assert_eq!(call["body_bytes"], body.len());
    assert_eq!(
        call["body_sha256"],
        moongate::identity::SecretHash::of(body).to_hex(),
        "byte for byte"
    );
}

/// A call with headers that must not go out, or not as they are.
fn with_every_header(key: &str) -> Call {
    Call::post("/api/v1/flux/dev?api_key=1")
        .header("x-api-key", key)
        .header("x-moongate-team", "design")
        .header("x-request-id", "whole-1")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("tracestate", "a=b")
        .header("baggage", "user=ann")
        .header("cookie", "session=1")
        .header("x-forwarded-for", "203.0.113.9")
        .header("forwarded", "for=203.0.113.9")
        .header("x-real-ip", "203.0.113.9")
        .header("user-agent", "somebody/1")
        .header("accept", "text/html")
        .header("accept-encoding", "gzip, br")
        .header("idempotency-key", "once")
        .header("x-simulator-fault", "bad_gateway")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
}

fn assert_only_our_headers(call: &Value, host: &str) {
    let headers = call["headers"].as_array().unwrap();
    let mut names: Vec<&str> = headers.iter().map(|pair| pair[0].as_str().unwrap()).collect();
    names.sort_unstable();
    let wanted = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "traceparent",
        "user-agent",
        "x-request-id",
    ];
    assert_eq!(names, wanted);
    let header = |wanted: &str| {
        headers.iter().find(|pair| pair[0] == wanted).unwrap()[1].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (header("accept"), header("accept-encoding")),
        ("application/json".to_owned(), "identity".to_owned())
    );
    assert_eq!(header("user-agent"), format!("moongate/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(header("host"), host);
    assert!(
        header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "the trace is continued"
    );
}

#[tokio::test]
async fn an_answer_that_holds_the_shared_key_loses_it() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for place in ["body", "split", "header", "content_type", "error"] {
        firemoon.faults(&json!([{ "fault": "echo_authorization", "text": place }])).await;
        // The caller itself fails when the key is anywhere in the answer.
        let reply = gateway.send(&picture().with(installation.key("design"))).await;
        let wanted = if place == "error" { 500 } else { 200 };
        assert_eq!(reply.status, wanted, "{place}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_rejected_shared_key_charges_and_blames_nobody_else() {
    let rows = [
        ("invalid_key", 502, "upstream_key_rejected", "gateway"),
        ("suspended", 502, "upstream_key_rejected", "gateway"),
        ("insufficient_credits", 503, "shared_credits_exhausted", "gateway"),
    ];
    for (fault, status, code, source) in rows {
        let firemoon = Firemoon::start();
        let installation =
            Installation::before(&firemoon).set("/teams/design/limits", wide_limits());
        let gateway = Gateway::serve(&installation).await;
        let call = picture().with(installation.key("design"));
        firemoon.faults(&json!([{ "fault": fault, "times": 1 }])).await;
        let reply = gateway.send(&call).await;
        assert_eq!(reply.refusal(), (status, code.to_owned()), "{fault}");
        assert_eq!(reply.header("x-error-source"), Some(source), "{fault}");
        let key = installation.key("design");
        assert_eq!(
            spent(&gateway, key, "team:credits_total").await,
            ("0".to_owned(), "0".to_owned()),
            "{fault}"
        );
        // The key rests: the next call is refused the same way, and not sent.
        assert_eq!(gateway.send(&call).await.refusal(), (status, code.to_owned()), "{fault}");
        assert_eq!(firemoon.requests().await, 1, "{fault}");
        assert_eq!(
            limit_status(&gateway, key, "team:requests_per_day").await["used"],
            1,
            "{fault}: only what was sent"
        );
        let healthy = gateway.metric(r#"moongate_upstream_key_healthy{key="primary"}"#).await;
        assert_eq!(healthy, Some(0.0), "{fault}");
        let (status, report) = gateway.readiness().await;
        let why = if fault == "insufficient_credits" { "no_credits" } else { "rejected" };
        assert_eq!(
            (status, &report["upstream_keys"]["primary"]),
            (200, &json!(why)),
            "{fault}: {report}"
        );
        assert_eq!(report.get("issuers"), Some(&json!({ ISSUER: "ok" })), "{report}");
    }
}

/// The refusals are as before.
#[tokio::test]
async fn without_a_usable_key_views_and_replays_still_serve() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/identity/issuers", json!([]));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let once = || picture().with(key).header("idempotency-key", "once");
    assert_eq!(gateway.send(&once()).await.status, 200);
    firemoon.faults(&json!([{ "fault": "invalid_key" }])).await;
    assert_eq!(
        gateway.send(&picture().with(key)).await.refusal(),
        (502, "upstream_key_rejected".to_owned())
    );
    let (status, report) = gateway.readiness().await;
    assert_eq!(
        (status, &report["ready"]),
        (200, &json!(true)),
        "balancers go on sending callers: {report}"
    );
    assert_eq!(
        report.get("issuers"),
        None,
        "no issuers are listed where none is configured: {report}"
    );
    assert!(!report.to_string().contains("issuer"), "{report}");
    assert_eq!(gateway.send(&once()).await.status, 200, "a replay");
    assert_eq!(gateway.send(&Call::get("/gateway/v1/me").with(key)).await.status, 200);
    assert_eq!(gateway.send(&Call::get("/api/usage?period=today").with(key)).await.status, 200);
}

#[tokio::test]
async fn a_full_shared_account_tells_callers_when_to_retry() {
    let firemoon = Firemoon::start_with(&["--requests-per-minute", "1"]);
    let installation = Installation::before(&firemoon).set("/teams/design/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    // The minute of the wall clock may turn between two calls; not more often than once.
    let mut reply = gateway.send(&picture().with(key)).await;
    let mut made = 0;
    while reply.status == 200 {
        made += 1;
        assert!(made <= 2, "one call a minute was let through {made} times");
        reply = gateway.send(&picture().with(key)).await;
    }
    assert_eq!(reply.refusal(), (429, "shared_rate_limited".to_owned()));
    assert_eq!(reply.header("x-error-source"), Some("upstream"));
    let wait = reply.number("retry-after");
    let reset: Timestamp = reply.json()["resetAt"].as_str().unwrap().parse().unwrap();
    assert!(
        (1..=60).contains(&wait) && (reset - Timestamp::now()).get_seconds() <= wait,
        "{wait} {reset}"
    );
    let cost = if made == 1 { "0.025" } else { "0.05" };
    assert_eq!(spent(&gateway, key, "team:credits_total").await, (cost.to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn a_call_refused_with_one_key_uses_the_next() {
    let firemoon = Firemoon::start_with(&["--key", "second=fm_live_second_0c51"]);
    let mut installation = Installation::before(&firemoon);
    std::fs::write(installation.folder().join("second-key"), "fm_live_second_0c51").unwrap();
    let keys = json!([
        { "name": "primary", "secret": { "file": "shared-key" } },
        { "name": "second", "secret": { "file": "second-key" } },
    ]);
    installation.change("/upstream/keys", keys);
    let gateway = Gateway::serve(&installation).await;
    firemoon.faults(&json!([{ "fault": "invalid_key", "key": "shared" }])).await;
    let call = generate("flux/dev", &json!({ "prompt": PROMPT })).with(installation.key("design"));
    for _ in 0..4 {
        assert_eq!(gateway.send(&call).await.status, 200);
    }
    assert_eq!(gateway.readiness().await.0, 200);
    let keys = &firemoon.sums().await["keys"];
    assert_eq!(keys["second"]["executed"], 4);
    assert_eq!(
        (&keys["shared"]["requests"], &keys["shared"]["executed"]),
        (&json!(1), &json!(0)),
        "it rests: {keys}"
    );
    assert!(!gateway.output().contains("fm_live_second"));
}
