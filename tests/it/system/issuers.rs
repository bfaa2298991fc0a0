//! A gateway whose issuers are away when it starts: it accepts no token of theirs, and works as
//! soon as their keys are read.

use serde_json::{Value, json};

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::{ISSUER, Installation};
use crate::support::issuer::{Answer, IssuerServer};
use crate::support::redis::wait_until;
use crate::support::tokens::{SigningKey, key_set};

/// The replica refuses tokens that it cannot judge.
#[tokio::test]
async fn a_replica_without_its_issuer_is_ready_and_says_so() {
    let (firemoon, issuer) = (Firemoon::start(), IssuerServer::start().await);
    issuer.answer("/jwks", Answer::Other(503, &[], "".into()));
    let installation = Installation::before(&firemoon)
        .set("/identity/keys", json!([]))
        .set("/identity/issuers/0/jwks", json!({ "url": issuer.url("/jwks") }));
    let gateway = Gateway::serve(&installation).await;
    wait_until("the issuer was asked", || async { issuer.requested() > 0 }).await;
    let state = async || gateway.readiness().await.1["issuers"][ISSUER].clone();
    assert_eq!(state().await, json!("no_keys"));
    let token = installation.token("ann");
    let reply = gateway.send(&picture().with(&token)).await;
    assert_eq!(reply.refusal(), (503, "identity_unavailable".to_owned()));
    assert_eq!(
        (reply.header("retry-after"), reply.header("x-error-source")),
        (Some("1"), Some("gateway"))
    );
    assert_eq!(
        gateway.send(&picture().with("a.b.c")).await.refusal(),
        (401, "credential_invalid".to_owned())
    );
    assert_eq!(firemoon.requests().await, 0);

    issuer.publish(&key_set(&[SigningKey::rsa(0)]));
    wait_until("the issuer's keys are here", || async { state().await == json!("ok") }).await;
    assert_eq!(gateway.send(&picture().with(&token)).await.status, 200);
}

#[tokio::test]
async fn one_issuer_that_is_away_keeps_nobody_else_out() {
    let (firemoon, issuer) = (Firemoon::start(), IssuerServer::start().await);
    let away = json!({
        "issuer": "https://away.example.com",
        "audiences": ["moongate"],
        "algorithms": ["RS256"],
        "jwks": { "url": issuer.url("/nothing") },
        "team_claim": "/groups",
        "teams": { "grp-design": "design" },
    });
    let mut installation = Installation::before(&firemoon).set("/identity/keys", json!([]));
    let here = installation.value("/identity/issuers/0").clone();
    installation.change("/identity/issuers", json!([away, here]));
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(gateway.send(&picture().with(&installation.token("ann"))).await.status, 200);
    let mut claims = crate::support::installation::claims("ann");
    claims["iss"] = json!("https://away.example.com");
    assert_ne!(claims["iss"], ISSUER);
    let reply = gateway.send(&picture().with(&SigningKey::rsa(0).token(&claims))).await;
    assert_eq!(reply.refusal(), (503, "identity_unavailable".to_owned()));
}

#[tokio::test]
async fn an_issuers_broken_key_file_affects_only_that_issuer() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon);
    let mut other = installation.value("/identity/issuers/0").clone();
    other["issuer"] = json!("https://other.example.com");
    other["jwks"] = json!({ "file": "other.jwks.json" });
    let first = installation.value("/identity/issuers/0").clone();
    installation.change("/identity/issuers", json!([first, other]));
    let gateway = Gateway::serve(&installation).await;
    let mut claims = crate::support::installation::claims("ann");
    claims["iss"] = json!("https://other.example.com");
    let theirs = SigningKey::rsa(1).token(&claims);
    let reply = gateway.send(&picture().with(&theirs)).await;
    assert_eq!(reply.refusal(), (503, "identity_unavailable".to_owned()));
    assert_eq!(gateway.send(&picture().with(&installation.token("ann"))).await.status, 200);
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    let failed =
        "moongate_jwks_refreshes_total{issuer=\"https://other.example.com\",result=\"failed\"}";
    assert!(gateway.metric(failed).await.is_some_and(|count| count >= 1.0));
    let unread = "the key set could not be read; its tokens are answered 503 until it can be read";
    gateway.line_written(unread, |line| line["issuer"] == "https://other.example.com").await;
    std::fs::write(installation.folder().join("other.jwks.json"), key_set(&[SigningKey::rsa(1)]))
        .unwrap();
    wait_until("the mended file is read", || async {
        gateway.send(&picture().with(&theirs)).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn the_log_says_why_a_key_is_left_out() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let mut set: Value =
        serde_json::from_str(&key_set(&[SigningKey::rsa(0), SigningKey::rsa(1)])).unwrap();
    let write = |set: &Value| {
        std::fs::write(installation.folder().join("jwks.json"), set.to_string()).unwrap()
    };
    set["keys"][1]["use"] = json!("enc");
    write(&set);
    let gateway = Gateway::serve(&installation).await;
    let changes = || gateway.lines("the key set has changed");
    wait_until("the set is read", || async { !changes().is_empty() }).await;
    let line = &changes()[0];
    assert_eq!((&line["issuer"], &line["usable"]), (&json!(ISSUER), &json!(1)));
    let why = r#""rsa-1": its use or key_ops says that it does not check signatures"#;
    assert_eq!(line["ignored"], json!(why));
    set["keys"][1]["use"] = json!("sig");
    write(&set);
    wait_until("the mended set is read", || async { changes().len() == 2 }).await;
    assert_eq!((&changes()[1]["usable"], &changes()[1]["ignored"]), (&json!(2), &json!("none")));
}
