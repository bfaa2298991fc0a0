//! Where an issuer's keys come from: a file that may change, or OIDC discovery.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moongate::identity::fetch::{FetchError, Fetcher};
use moongate::identity::settings::{IssuerSettings, KeySource};
use moongate::identity::{Authenticator, Rejection};
use serde_json::json;

use super::{identified, keep_fresh, watch};
use crate::support::authenticators::{
    Counts, claims_with, clock, eventually, good_claims, issuer_settings, issuer_with_file, pass,
    reloaded, verdict,
};
use crate::support::issuer::{Answer, IssuerServer};
use crate::support::tokens::{SigningKey, key_set};

#[tokio::test]
async fn a_key_file_is_read_again_when_it_changes() {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("keys.json");
    let (counts, clock) = (Arc::new(Counts::default()), clock());
    let made = |previous: Option<&Authenticator>| {
        reloaded(vec![issuer_with_file(&file)], vec![], &clock, previous, &counts)
    };
    for number in 1..=2 {
        let without = made(None).expect("it is this issuer's trouble");
        assert_eq!(
            verdict(&without, &old.token(&good_claims())),
            Err(Rejection::KeysUnavailable),
            "first no file"
        );
        assert_eq!(counts.failed.load(Ordering::SeqCst), number, "it is counted");
        std::fs::write(&file, "{}").expect("file");
    }
    let mending = keep_fresh(made(None).expect("directory"), Arc::clone(&counts), clock.clone());
    std::fs::write(&file, key_set(&[&old])).expect("file");
    pass(&clock, 1);
    eventually("the mended file", || mending.authenticator.issuers_without_keys().is_empty()).await;
    assert_eq!(
        verdict(&mending.authenticator, &old.token(&good_claims())),
        Ok("design/ann".to_owned())
    );
    std::fs::write(&file, key_set(&[&old])).expect("file");
    let watched = keep_fresh(made(None).expect("directory"), Arc::clone(&counts), clock.clone());
    assert_eq!(
        verdict(&watched.authenticator, &old.token(&good_claims())),
        Ok("design/ann".to_owned())
    );
    std::fs::write(&file, key_set(&[&new])).expect("file");
    pass(&clock, 30);
    assert_eq!(identified(&watched, &new.token(&good_claims())).await, Ok("design/ann".to_owned()));
    assert_eq!(
        verdict(&watched.authenticator, &old.token(&good_claims())),
        Err(Rejection::Invalid)
    );
    std::fs::write(&file, "half a key s").expect("file");
    let after = made(Some(&watched.authenticator)).expect("a broken file does not stop a reload");
    assert_eq!(verdict(&after, &new.token(&good_claims())), Ok("design/ann".to_owned()));
}

#[tokio::test]
async fn an_issuer_may_say_itself_where_its_keys_are() {
    let key = SigningKey::ec("a");
    let server = IssuerServer::start().await;
    let issuer = server.url("/realm");
    server.publish(&key_set(&[&key]));
    let document = |named: &str, keys: &str| {
        Answer::Ok(json!({ "issuer": named, "jwks_uri": keys }).to_string().into())
    };
    let fetcher = Fetcher::new(false, None, Duration::from_secs(5)).expect("fetcher");
    server.answer(
        "/realm/.well-known/openid-configuration",
        document("https://other.example.com", &server.url("/jwks")),
    );
    let refused =
        fetcher.discover(&issuer).await.expect_err("another issuer's document").to_string();
    assert!(
        refused.contains(&format!("{issuer:?}"))
            && refused.contains("\"https://other.example.com\""),
        "{refused}"
    );
    server.answer(
        "/realm/.well-known/openid-configuration",
        document(&format!("{issuer}/"), &server.url("/jwks")),
    );
    let refused = fetcher.discover(&issuer).await;
    assert!(
        matches!(refused, Err(FetchError::AnotherIssuer { .. })),
        "a slash makes another issuer: {refused:?}"
    );
    server.answer(
        "/realm/.well-known/openid-configuration",
        document(&issuer, "http://keys.example.com/jwks"),
    );
    assert!(
        matches!(fetcher.discover(&issuer).await, Err(FetchError::Url(_))),
        "keys over plain http"
    );
    server
        .answer("/realm/.well-known/openid-configuration", document(&issuer, &server.url("/jwks")));
    let settings =
        IssuerSettings { issuer: issuer.as_str().into(), ..issuer_settings(KeySource::Discovery) };
    let watched = watch(settings);
    eventually("the keys", || watched.authenticator.issuers_without_keys().is_empty()).await;
    assert_eq!(
        verdict(&watched.authenticator, &key.token(&claims_with(json!({ "iss": issuer })))),
        Ok("design/ann".to_owned())
    );
}
