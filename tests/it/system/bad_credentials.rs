//! Credentials that are missing, doubled, broken, expired, forged or unknown: refused without a
//! reason that helps to guess, unpaid, unsent.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::spending::{assert_untouched, wide_limits};
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, PROMPT, SHARED_KEY};
use crate::support::gateway::Gateway;
use crate::support::installation::{Installation, claims};
use crate::support::tokens::{SigningKey, hmac, join};

const INVALID: &str = r#"{"error":"Invalid API key","message":"The credential is not valid for this gateway","code":"credential_invalid","requestId":"r1"}"#;
const EXPIRED: &str = r#"{"error":"Invalid API key","message":"The credential has expired: get a new one","code":"credential_expired","requestId":"r1"}"#;
const UNKNOWN: &str = r#"{"error":"Access denied","message":"The credential belongs to no team of this gateway: ask its operators","code":"team_unknown","requestId":"r1"}"#;
const SEVERAL: &str = r#"{"error":"Access denied","message":"The credential belongs to several teams (design, growth): choose one of them with X-Moongate-Team","code":"team_unknown","requestId":"r1"}"#;
const SUSPENDED: &str = r#"{"error":"Access denied","message":"Access is suspended: ask the operators of this gateway","code":"team_suspended","requestId":"r1"}"#;
const MISSING: &str = r#"{"error":"Invalid API key","message":"Send your credential in the header Authorization (Bearer <credential>) or in X-API-Key","code":"credential_missing","requestId":"r1"}"#;
const TWO: &str = r#"{"error":"Invalid input","message":"The request is malformed","errors":["send one credential, once: in Authorization or in X-API-Key"],"code":"invalid_request","requestId":"r1"}"#;

fn call() -> Call {
    Call::post("/api/v1/flux/dev").json(&json!({ "prompt": PROMPT })).header("x-request-id", "r1")
}

async fn gateway(firemoon: &Firemoon) -> (Installation, Gateway) {
    let mut installation = Installation::before(firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/teams/design/suspended_users", json!(["mallory"]));
    installation.add_key(
        "old",
        json!({ "team": "design", "name": "old", "expires_at": "2026-01-01T00:00:00Z" }),
    );
    installation.add_key("mallory", json!({ "team": "design", "name": "hers", "user": "mallory" }));
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
async fn a_request_shows_exactly_one_credential() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let key = installation.key("design");
    let rows = [
        (call(), 401, MISSING, Some("Bearer")),
        (call().header("cookie", &format!("token={key}")), 401, MISSING, Some("Bearer")),
        (call().with(key).header("x-api-key", key), 400, TWO, None),
        (call().with(key).with(key), 400, TWO, None),
        (call().header("x-api-key", key).header("x-api-key", key), 400, TWO, None),
        (
            call().header("authorization", &format!("Basic {key}")),
            401,
            INVALID,
            Some(r#"Bearer error="invalid_token""#),
        ),
        (
            call().header("authorization", key),
            401,
            INVALID,
            Some(r#"Bearer error="invalid_token""#),
        ),
        (
            call().header("authorization", "Bearer "),
            401,
            INVALID,
            Some(r#"Bearer error="invalid_token""#),
        ),
    ];
    for (call, status, golden, challenge) in rows {
        let reply = gateway.send(&call).await;
        assert_eq!((reply.status, reply.text()), (status, golden));
        assert_eq!(
            (reply.header("www-authenticate"), reply.header("x-error-source")),
            (challenge, Some("caller"))
        );
        assert_eq!(reply.header("x-ratelimit-limit"), None, "an unknown caller learns no limit");
    }
    let reply = gateway
        .send(&Call::post(&format!("/api/v1/flux/dev?token={key}")).header("x-request-id", "r1"))
        .await;
    assert_eq!((reply.status, reply.text()), (401, MISSING), "a credential in the query is none");
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

#[tokio::test]
async fn a_gateway_key_must_be_whole_known_and_in_time() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let key = installation.key("design").to_owned();
    let unknown = moongate::identity::GatewayKey::generate().unwrap().text.expose().to_owned();
    // The right id with another key's secret.
    let mixed = format!("{}{}", &key[..17], &unknown[17..]);
    let rows = [
        (unknown, 401, INVALID),
        (mixed, 401, INVALID),
        (key[..key.len() - 1].to_owned(), 401, INVALID),
        (format!("{key}x"), 401, INVALID),
        (key.to_uppercase(), 401, INVALID),
        (key[..16].to_owned(), 401, INVALID),
        ("test_key_12345".to_owned(), 401, INVALID),
        (SHARED_KEY.to_owned(), 401, INVALID),
        (installation.key("old").to_owned(), 401, EXPIRED),
        (installation.key("mallory").to_owned(), 403, SUSPENDED),
        (installation.key("closed").to_owned(), 403, SUSPENDED),
    ];
    for (credential, status, golden) in rows {
        let reply = gateway.send(&call().with(&credential)).await;
        assert_eq!((reply.status, reply.text()), (status, golden));
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
}

fn with(changes: Value) -> Value {
    let mut claims = claims("ann");
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// Tokens that nobody signed with our issuer's key.
fn forged(ours: &SigningKey, theirs: &SigningKey) -> Vec<(&'static str, String)> {
    let good = claims("ann");
    let header = |changes: Value| {
        let mut header = ours.header();
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let unsigned = |header: &Value| join(&header.to_string(), &good.to_string(), b"");
    let signed = ours.token(&good);
    let (start, signature) = signed.rsplit_once('.').unwrap();
    let other = ours.token(&with(json!({ "sub": "bob" })));
    let (other_start, _) = other.rsplit_once('.').unwrap();
    vec![
        ("alg none", unsigned(&json!({ "alg": "none", "typ": "JWT" }))),
        ("alg none with our kid", unsigned(&header(json!({ "alg": "none" })))),
        ("no signature", format!("{start}.")),
        ("another payload", format!("{other_start}.{signature}")),
        (
            "our public key as an HMAC secret",
            hmac(ours.public_pem.as_bytes(), &header(json!({ "alg": "HS256" })), &good),
        ),
        (
            "an algorithm that is not allowed",
            ours.sign_as(Algorithm::PS256, &header(json!({ "alg": "PS256" })), &good),
        ),
        ("another kind of key under our kid", SigningKey::ec("rsa-0").token(&good)),
        ("an unknown kid", theirs.token(&good)),
        ("a foreign key under our kid", theirs.sign(&header(json!({})), &good)),
        (
            "its own key in the header",
            theirs.sign(&json!({ "alg": "RS256", "kid": "rsa-0", "jwk": theirs.jwk() }), &good),
        ),
        ("crit", ours.sign(&header(json!({ "crit": ["exp"] })), &good)),
        ("not a token", "a.b.c".to_owned()),
    ]
}

/// Changes to good claims that make a signed token bad, with the refusal.
fn wrong_claims() -> Vec<(&'static str, Value, u16, &'static str)> {
    let now = jiff::Timestamp::now().as_second();
    vec![
        ("another issuer", json!({ "iss": "https://evil.example" }), 401, INVALID),
        ("another audience", json!({ "aud": "somebody-else" }), 401, INVALID),
        ("no audience", json!({ "aud": null }), 401, INVALID),
        ("no expiry", json!({ "exp": null }), 401, INVALID),
        ("not yet", json!({ "nbf": now + 600 }), 401, INVALID),
        ("expired", json!({ "iat": now - 700, "exp": now - 100 }), 401, EXPIRED),
        ("no team of ours", json!({ "groups": ["staff"] }), 403, UNKNOWN),
        ("two teams", json!({ "groups": ["grp-design", "grp-growth"] }), 403, SEVERAL),
        ("no groups", json!({ "groups": null }), 403, UNKNOWN),
        ("a suspended team", json!({ "groups": ["grp-closed"] }), 403, SUSPENDED),
        ("a suspended user", json!({ "sub": "mallory" }), 403, SUSPENDED),
    ]
}

#[tokio::test]
async fn a_token_must_be_signed_for_us_and_now() {
    let firemoon = Firemoon::start();
    let (installation, gateway) = gateway(&firemoon).await;
    let (ours, theirs) = (SigningKey::rsa(0), SigningKey::rsa(1));
    let good = ours.token(&claims("ann"));
    for (what, token) in forged(ours, theirs) {
        let reply = gateway.send(&call().with(&token)).await;
        assert_eq!((reply.status, reply.text()), (401, INVALID), "{what}");
    }
    for (what, changes, status, golden) in wrong_claims() {
        let reply = gateway.send(&call().with(&ours.token(&with(changes)))).await;
        assert_eq!((reply.status, reply.text()), (status, golden), "{what}");
    }
    assert_nothing_happened(&installation, &gateway, &firemoon).await;
    assert_eq!(gateway.send(&call().with(&good)).await.status, 200, "and the good one is accepted");
}
