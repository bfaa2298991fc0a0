//! The access line of a request: besides the caller and the route, the limit that refused, whether
//! the answer was a replay, the issuer, the shared key, and the caller's address.

use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// The access line of the request with this id, once it is written.
async fn line(gateway: &Gateway, id: &str) -> Value {
    let found = || gateway.lines("request").into_iter().find(|line| line["request_id"] == id);
    wait_until("the access line is written", || async { found().is_some() }).await;
    found().unwrap_or_default()
}

#[tokio::test]
async fn a_refused_call_names_the_limit_that_bound() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 10 }))
        .set("/teams/design/user_limits", json!({ "credits_per_day": 0 }));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design")).header("x-request-id", "refused");
    assert_eq!(gateway.send(&call).await.refusal(), (402, "budget_exhausted".to_owned()));
    let line = line(&gateway, "refused").await;
    assert_eq!(
        (&line["code"], &line["limit"], &line["upstream_key"]),
        (&json!("budget_exhausted"), &json!("user:credits_per_day"), &Value::Null)
    );
    let refused = r#"moongate_limit_refusals_total{team="design",limit="user:credits_per_day"}"#;
    assert_eq!(gateway.metric(refused).await, Some(1.0));
}

#[tokio::test]
async fn a_call_names_the_shared_key_its_replay_the_first() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for id in ["made", "replayed"] {
        let call = picture().with(installation.key("design"));
        let call = call.header("x-request-id", id).header("idempotency-key", "poster");
        assert_eq!(gateway.send(&call).await.status, 200);
    }
    let (made, replayed) = (line(&gateway, "made").await, line(&gateway, "replayed").await);
    assert_eq!((&made["upstream_key"], &made["replay"]), (&json!("primary"), &Value::Null));
    assert_eq!(
        (&replayed["upstream_key"], &replayed["replay"]),
        (&Value::Null, &json!("replayed"))
    );
    assert!(made["issuer"].is_null() && made["limit"].is_null(), "{made}");
}

#[tokio::test]
async fn a_tokens_line_names_its_issuer() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let call = Call::get("/gateway/v1/me").with(&installation.token("ann"));
    assert_eq!(gateway.send(&call.header("x-request-id", "token")).await.status, 200);
    let line = line(&gateway, "token").await;
    assert_eq!(
        (&line["credential"], &line["issuer"]),
        (&json!("jwt"), &json!("https://sso.example.com"))
    );
}

#[tokio::test]
async fn a_line_has_the_address_that_trusted_proxies_report() {
    let firemoon = Firemoon::start();
    let cases = [(json!(["127.0.0.0/8"]), "192.0.2.7"), (json!([]), "127.0.0.1")];
    for (proxies, client) in cases {
        let installation = Installation::before(&firemoon).set("/listen/trusted_proxies", proxies);
        let gateway = Gateway::serve(&installation).await;
        let call = Call::get("/api/models").header("x-forwarded-for", "203.0.113.9, 192.0.2.7");
        assert_eq!(gateway.send(&call.header("x-request-id", "far")).await.status, 200);
        assert_eq!(line(&gateway, "far").await["client"], json!(client));
    }
}
