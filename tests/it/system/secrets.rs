//! The secrets stay where they are: in no answer, no log line and no metric, even when everything
//! goes wrong at once.
//!
//! Every test of this folder looks for them as well: the caller in each answer, the gateway's end
//! in its log and metrics.

use serde_json::json;

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, SHARED_KEY, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

#[tokio::test]
async fn no_shared_key_or_team_credential_is_ever_written_down() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "requests_per_hour": 12 }))
        .set("/upstream/answer_timeout", json!("1s"))
        // Switched off, since the upstream fails again and again, and each failure has something to
        // keep quiet.
        .set("/upstream/breaker", json!(null));
    let gateway = Gateway::serve(&installation).await;
    let (key, token) = (installation.key("design").to_owned(), installation.token("ann"));
    let elsewhere = format!("https://elsewhere.example/?key={SHARED_KEY}");
    let faults = [
        json!([]),
        json!([{ "fault": "echo_authorization", "text": "error" }]),
        json!([{ "fault": "raw", "text": format!("{SHARED_KEY}\r\n\r\n") }]),
        json!([{ "fault": "cut_body" }]),
        json!([{ "fault": "redirect", "text": elsewhere }]),
        json!([{ "fault": "slow_headers", "after": "20s" }]),
    ];
    for fault in &faults {
        firemoon.faults(fault).await;
        gateway.send(&picture().with(&key)).await;
        gateway.send(&picture().with(&token)).await;
    }
    firemoon.faults(&json!([])).await;
    assert_eq!(gateway.send(&picture().with(&token)).await.status, 429);
    gateway.send(&picture().with(&key).header("x-api-key", &key)).await;
    gateway.send(&picture().with(&format!("{key}x"))).await;
    gateway.send(&picture().with(&format!("{token}x"))).await;
    gateway.send(&Call::get(&format!("/api/v1/{key}")).with(&key)).await;
    gateway.send(&Call::get(&format!("/{key}?key={key}"))).await;
    gateway.send(&picture().with(SHARED_KEY).header("x-request-id", "the-last")).await;

    // The log is written in order, so the line of the last call is behind everything before it.
    gateway.line_written("request", |line| line["request_id"] == "the-last").await;
    let (output, metrics) = (gateway.output(), gateway.ask("/metrics").await);
    let lines = gateway.lines("request");
    assert!(
        lines.iter().any(|line| line["key_id"].as_str().is_some_and(|id| key.contains(id))),
        "the id may be shown"
    );
    assert!(lines.iter().any(|line| line["user"] == "ann"));
    for secret in [
        SHARED_KEY,
        key.rsplit('_').next().unwrap(),
        token.rsplit('.').next().unwrap(),
        firemoon.media(),
    ] {
        assert!(!output.contains(secret), "{secret} is in the log");
        assert!(!metrics.text().contains(secret), "{secret} is in the metrics");
    }
}

/// The team's listener has none of these pages.
#[tokio::test]
async fn the_operators_pages_show_no_secret() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for path in ["/metrics", "/livez", "/readyz", "/admin/v1/configuration"] {
        let page = gateway.ask(path).await;
        assert!(!page.text().contains(SHARED_KEY), "{path}");
        let reply = gateway.send(&Call::get(path).with(installation.key("design"))).await;
        assert_eq!(reply.refusal(), (404, "route_not_found".to_owned()), "{path}");
    }
    assert_eq!(gateway.ask("/livez").await.status, 200);
}
