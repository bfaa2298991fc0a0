//! Firemoon fails in every way it can: what the caller gets, what the team is charged, and that
//! nothing is sent twice.

use moongate::credits::Credits;
use serde_json::{Value, json};

use super::spending::{assert_given_back, spent, wide_limits};
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::free_port;

/// What a picture is reserved at.
const PRICE: &str = "0.025";
const NOTHING: &str = "0";

/// A fault, the status and code the caller gets (no code: Firemoon's own words), and what the team
/// is charged.
type Row = (Value, u16, Option<&'static str>, &'static str);

fn failures() -> Vec<Row> {
    vec![
        // Calls that were sent, with an unknown outcome.
        (json!({ "fault": "reset_before_answer" }), 502, Some("upstream_broken"), PRICE),
        (
            json!({ "fault": "reset_before_answer", "executed": false }),
            502,
            Some("upstream_broken"),
            PRICE,
        ),
        (json!({ "fault": "reset_after_headers" }), 502, Some("upstream_broken"), PRICE),
        (json!({ "fault": "cut_body" }), 502, Some("upstream_broken"), PRICE),
        (json!({ "fault": "cut_body", "then": "reset" }), 502, Some("upstream_broken"), PRICE),
        (json!({ "fault": "slow_headers", "after": "30s" }), 504, Some("upstream_timeout"), PRICE),
        (json!({ "fault": "slow_body", "after": "30s" }), 504, Some("upstream_timeout"), PRICE),
        (json!({ "fault": "bad_gateway" }), 502, Some("upstream_broken"), PRICE),
        (
            json!({ "fault": "answer", "amount": 503, "text": "<html>busy</html>" }),
            503,
            Some("upstream_broken"),
            PRICE,
        ),
        (json!({ "fault": "platform_timeout" }), 504, Some("upstream_timeout"), PRICE),
        (json!({ "fault": "generation_failed" }), 500, None, PRICE),
        (
            json!({ "fault": "raw", "text": "SSH-2.0-OpenSSH_9.2\r\n" }),
            502,
            Some("upstream_broken"),
            PRICE,
        ),
        (json!({ "fault": "raw", "text": "" }), 502, Some("upstream_broken"), PRICE),
        (json!({ "fault": "oversized_header" }), 502, Some("upstream_broken"), PRICE),
        (
            json!({ "fault": "redirect", "amount": 302, "text": "https://elsewhere.example/" }),
            502,
            Some("upstream_broken"),
            PRICE,
        ),
        // Calls that were refused: nothing was made.
        (
            json!({ "fault": "redirect", "amount": 307, "text": "https://elsewhere.example/" }),
            502,
            Some("upstream_broken"),
            NOTHING,
        ),
        (
            json!({ "fault": "redirect", "amount": 308, "text": "/api/v1/flux/dev" }),
            502,
            Some("upstream_broken"),
            NOTHING,
        ),
        (json!({ "fault": "html_not_found" }), 404, Some("upstream_broken"), NOTHING),
        (json!({ "fault": "payload_too_large" }), 413, Some("upstream_broken"), NOTHING),
        (json!({ "fault": "model_not_found" }), 404, None, NOTHING),
        (json!({ "fault": "access_denied" }), 403, None, NOTHING),
    ]
}

#[tokio::test]
async fn every_failure_of_firemoon_is_told_and_recorded() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/upstream/answer_timeout", json!("2s"))
        // One failure after the other is what this is about.
        .set("/upstream/breaker", Value::Null);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let mut charged = Credits::ZERO;
    for (number, (fault, status, code, cost)) in failures().into_iter().enumerate() {
        firemoon.faults(&json!([fault])).await;
        let id = format!("fault-{number}");
        let reply = gateway.send(&picture().with(key).header("x-request-id", &id)).await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (status, code),
            "{fault}: {}",
            reply.text()
        );
        assert_eq!(reply.header("x-error-source"), Some("upstream"), "{fault}");
        assert!(!reply.text().contains("elsewhere"), "{fault}");
        assert_eq!(firemoon.calls_of(&id).await.len(), 1, "{fault}: sent once");
        charged = charged.plus(cost.parse().unwrap());
        let counted = spent(&gateway, key, "team:credits_total").await;
        assert_eq!(counted, (charged.to_string(), "0".to_owned()), "{fault}");
    }
    firemoon.faults(&json!([])).await;
    assert_eq!(
        gateway.send(&picture().with(key)).await.status,
        200,
        "and then calls are taken again"
    );
}

#[tokio::test]
async fn firemoons_own_words_are_passed_on() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let call = Call::post("/api/v1/flux/dev")
        .with(key)
        .json(&json!({ "prompt": "x", "guidance_scale": 99 }));
    let reply = gateway.send(&call).await;
    assert_eq!((reply.status, reply.header("x-error-source")), (400, Some("upstream")));
    assert_eq!(reply.json()["error"], "Invalid input");
    assert!(
        reply.json()["errors"][0].as_str().unwrap().contains("guidance_scale"),
        "{}",
        reply.text()
    );
    assert_eq!(reply.header("x-credits-cost"), Some("0"));
    firemoon.faults(&json!([{ "fault": "generation_failed", "text": "timeout" }])).await;
    let reply = gateway.send(&picture().with(key)).await;
    assert_eq!(
        (reply.status, &reply.json()["message"]),
        (500, &json!("Failed to generate image: timeout"))
    );
}

/// The answer is charged by what came.
#[tokio::test]
async fn an_answers_charge_never_exceeds_its_reservation() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/teams/design/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let rows = [
        (json!({ "fault": "empty_images" }), "0"),
        (json!({ "fault": "more_images", "amount": 9 }), "0.025"),
        (json!({ "fault": "nsfw" }), "0.025"),
        (json!({ "fault": "null_fields" }), "0.025"),
        (json!({ "fault": "media_missing" }), "0.025"),
        (json!({ "fault": "data_uri", "amount": 3_000_000 }), "0.025"),
        (json!({ "fault": "broken_json" }), "0.025"),
        (json!({ "fault": "close_after_answer" }), "0.025"),
    ];
    let mut charged = Credits::ZERO;
    for (fault, cost) in rows {
        firemoon.faults(&json!([fault])).await;
        let reply = gateway.send(&picture().with(key)).await;
        assert_eq!((reply.status, reply.header("x-credits-cost")), (200, Some(cost)), "{fault}");
        charged = charged.plus(cost.parse().unwrap());
        let counted = spent(&gateway, key, "team:credits_total").await;
        assert_eq!(counted, (charged.to_string(), "0".to_owned()), "{fault}");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_charged() {
    let installation = Installation::before_url(&format!("http://127.0.0.1:{}/api", free_port()))
        .set("/teams/design/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    let reply = gateway.send(&picture().with(installation.key("design"))).await;
    assert_eq!(reply.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(
        reply.json()["message"],
        "The generation service cannot be reached; nothing was charged"
    );
    assert_given_back(&gateway, installation.key("design")).await;
    let reply = gateway.send(&Call::get("/api/models")).await;
    assert_eq!(reply.refusal(), (502, "upstream_unreachable".to_owned()));
}

#[tokio::test]
async fn a_firemoon_that_returns_is_used_again() {
    let mut firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/teams/design/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    let address = firemoon.address().to_owned();
    firemoon.kill();
    // The kept connection was closed by the other side: that is noticed, and a new one is tried.
    assert_eq!(gateway.send(&call).await.refusal(), (502, "upstream_unreachable".to_owned()));
    let _firemoon = Firemoon::start_at(&address, &[]);
    assert_eq!(gateway.send(&call).await.status, 200);
    let spent = spent(&gateway, installation.key("design"), "team:credits_total").await;
    assert_eq!(spent, ("0.05".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn an_operator_may_release_calls_of_unknown_outcome() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/pricing/on_unknown", json!("release"));
    let gateway = Gateway::serve(&installation).await;
    firemoon.faults(&json!([{ "fault": "reset_before_answer" }])).await;
    let reply = gateway.send(&picture().with(installation.key("design"))).await;
    assert_eq!(reply.refusal(), (502, "upstream_broken".to_owned()));
    let spent = spent(&gateway, installation.key("design"), "team:credits_total").await;
    assert_eq!(spent, ("0".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn stale_catalogue_pages_are_served_while_firemoon_is_down() {
    let mut firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/catalogue/fresh_for", json!("0s"));
    let gateway = Gateway::serve(&installation).await;
    let before = gateway.send(&Call::get("/api/models")).await;
    firemoon.kill();
    let after = gateway.send(&Call::get("/api/models")).await;
    assert_eq!((before.status, after.status, &before.body), (200, 200, &after.body));
}
