//! Tokens while their issuer rotates its keys, publishes nonsense, or is down.

mod sources;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use moongate::clock::Clock;
use moongate::identity::credential_guard::{CredentialGuard, Turned};
use moongate::identity::settings::{IssuerSettings, KeySource};
use moongate::identity::{Authenticator, AuthenticatorError, Rejection};
use moongate::request::TrustedProxies;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::authenticators::{
    Counts, ISSUER, claims_with, clock, eventually, good_claims, issuer_settings, pass, reloaded,
    verdict,
};
use crate::support::issuer::{Answer, IssuerServer};
use crate::support::tokens::{SigningKey, key_set};

/// An authenticator that reads an issuer's keys over HTTP, in the background, until it is dropped.
struct Watched {
    authenticator: Arc<Authenticator>,
    counts: Arc<Counts>,
    clock: Clock,
    guard: CredentialGuard,
    /// How many have asked: each comes from an address of its own.
    callers: AtomicU32,
    _task: DropGuard,
}

fn watch(issuer: IssuerSettings) -> Watched {
    let (counts, clock) = (Arc::new(Counts::default()), clock());
    let authenticator = reloaded(vec![issuer], vec![], &clock, None, &counts).expect("directory");
    keep_fresh(authenticator, counts, clock)
}

fn keep_fresh(authenticator: Authenticator, counts: Arc<Counts>, clock: Clock) -> Watched {
    let (authenticator, cancel) = (Arc::new(authenticator), CancellationToken::new());
    let (task, until) = (Arc::clone(&authenticator), cancel.clone());
    tokio::spawn(async move { task.keep_key_sets_fresh(until).await });
    let guard = CredentialGuard::new(TrustedProxies::default(), clock.clone());
    Watched {
        authenticator,
        counts,
        clock,
        guard,
        callers: AtomicU32::new(0),
        _task: cancel.drop_guard(),
    }
}

/// An issuer that publishes these keys, and an authenticator that has read them.
async fn published(keys: &[&SigningKey]) -> (IssuerServer, Watched) {
    let server = IssuerServer::start().await;
    server.publish(&key_set(keys));
    let watched = watch(issuer_settings(KeySource::Url(server.url("/jwks"))));
    eventually("the first key set", || watched.counts.readings() == 1).await;
    (server, watched)
}

/// Judges a token as a worker does; waits for the issuer when only newer keys can tell.
fn identified(
    watched: &Watched,
    token: &str,
) -> impl Future<Output = Result<String, Rejection>> + Send + 'static {
    let (authenticator, guard, token) =
        (Arc::clone(&watched.authenticator), watched.guard.clone(), token.to_owned());
    let from = IpAddr::from(watched.callers.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    async move {
        match guard.judge(&authenticator, &token, from).await {
            Ok((principal, _)) => Ok(format!("{}/{}", principal.team, principal.user)),
            Err(Turned::Away { rejection, .. }) => Err(rejection),
            Err(turned @ Turned::AwayUntil { .. }) => panic!("{turned:?}"),
        }
    }
}

#[tokio::test]
async fn tokens_are_judged_by_the_keys_their_issuer_publishes() {
    let key = SigningKey::ec("a");
    let (server, watched) = published(&[&key]).await;
    assert_eq!(
        verdict(&watched.authenticator, &key.token(&good_claims())),
        Ok("design/ann".to_owned())
    );
    assert_eq!(server.requested(), 1);
    assert_eq!(watched.authenticator.key_set_ages(), [(ISSUER.into(), Duration::ZERO)]);
    pass(&watched.clock, 7);
    assert_eq!(watched.authenticator.key_set_ages(), [(ISSUER.into(), Duration::from_secs(7))]);
}

#[tokio::test]
async fn a_new_keys_tokens_are_good_once_it_is_published() {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let (server, watched) = published(&[&old]).await;
    pass(&watched.clock, 30);
    server.publish(&key_set(&[&old, &new]));
    assert!(
        watched.authenticator.authenticate_now(&new.token(&good_claims())).is_none(),
        "the issuer's keys have to be fetched"
    );
    assert_eq!(identified(&watched, &new.token(&good_claims())).await, Ok("design/ann".to_owned()));
    assert_eq!(
        verdict(&watched.authenticator, &old.token(&good_claims())),
        Ok("design/ann".to_owned())
    );
    assert_eq!(server.requested(), 2);
}

#[tokio::test]
async fn an_early_token_is_refused_until_the_next_fetch() {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let (server, watched) = published(&[&old]).await;
    pass(&watched.clock, 30);
    let token = new.token(&good_claims());
    assert_eq!(identified(&watched, &token).await, Err(Rejection::Invalid));
    server.publish(&key_set(&[&old, &new]));
    assert_eq!(identified(&watched, &token).await, Err(Rejection::Invalid));
    assert_eq!(server.requested(), 2, "not asked again so soon");
    pass(&watched.clock, 30);
    assert_eq!(identified(&watched, &token).await, Ok("design/ann".to_owned()));
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_key() {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let (server, watched) = published(&[&old]).await;
    let token = old.token(&good_claims());
    assert!(verdict(&watched.authenticator, &token).is_ok());
    pass(&watched.clock, 30);
    server.publish(&key_set(&[&new]));
    assert!(identified(&watched, &new.token(&good_claims())).await.is_ok());
    assert_eq!(verdict(&watched.authenticator, &token), Err(Rejection::Invalid));
    assert_eq!(watched.authenticator.remembered_tokens(), 1);
}

#[tokio::test]
async fn a_replaced_key_invalidates_its_remembered_tokens() {
    let (old, new) = (SigningKey::ec("same"), SigningKey::ec("same"));
    let (server, watched) = published(&[&old]).await;
    let token = old.token(&good_claims());
    assert!(verdict(&watched.authenticator, &token).is_ok());
    pass(&watched.clock, 30);
    server.publish(&key_set(&[&new]));
    let _ = identified(&watched, &SigningKey::ec("other").token(&good_claims())).await;
    assert_eq!(verdict(&watched.authenticator, &token), Err(Rejection::Invalid));
    assert_eq!(
        verdict(&watched.authenticator, &new.token(&good_claims())),
        Ok("design/ann".to_owned())
    );
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_once_in_thirty_seconds() {
    let key = SigningKey::ec("a");
    let (server, watched) = published(&[&key]).await;
    for round in 2..5 {
        pass(&watched.clock, 30);
        let flood = (0..200).map(|number| {
            let token = SigningKey::ec(&format!("unknown-{number}")).token(&good_claims());
            tokio::spawn(identified(&watched, &token))
        });
        for answer in flood.collect::<Vec<_>>() {
            assert_eq!(answer.await.expect("task"), Err(Rejection::Invalid));
        }
        assert_eq!(server.requested(), round);
        assert!(verdict(&watched.authenticator, &key.token(&good_claims())).is_ok());
    }
}

#[tokio::test]
async fn callers_who_hang_up_cause_no_further_fetch() {
    let key = SigningKey::ec("a");
    let (server, watched) = published(&[&key]).await;
    pass(&watched.clock, 30);
    server.answer("/jwks", Answer::Silence);
    let token = SigningKey::ec("unknown").token(&good_claims());
    let callers: Vec<_> = (0..50).map(|_| tokio::spawn(identified(&watched, &token))).collect();
    eventually("the question", || server.requested() == 2).await;
    for caller in callers {
        caller.abort();
        assert!(caller.await.is_err_and(|error| error.is_cancelled()), "they were waiting");
    }
    assert!(
        verdict(&watched.authenticator, &key.token(&good_claims())).is_ok(),
        "nobody else waits"
    );
    assert_eq!(server.requested(), 2);
}

#[tokio::test]
async fn callers_who_hang_up_before_the_verdict_still_fail() {
    let (_server, watched) = published(&[&SigningKey::ec("a")]).await;
    let (authenticator, guard) = (&watched.authenticator, &watched.guard);
    let (from, forged) = (IpAddr::from([192, 0, 2, 1]), SigningKey::ec("a").token(&good_claims()));
    let counted = &watched.counts.authenticated;
    let invalid = || counted.lock().expect("lock").get(&("jwt", "signature")).copied().unwrap_or(0);
    for number in 1..=30 {
        assert!(
            guard.judge(authenticator, &forged, from).now_or_never().is_none(),
            "judged beside the caller"
        );
        eventually("the verdict", || invalid() == number).await;
    }
    let turned = guard.turn_away(authenticator, Rejection::Invalid, from).await;
    assert!(matches!(turned, Turned::AwayUntil { .. }), "{turned:?}");
}

#[tokio::test]
async fn a_token_that_would_be_refused_anyway_asks_nobody() {
    let (server, watched) = published(&[&SigningKey::ec("a")]).await;
    pass(&watched.clock, 30);
    let stranger = SigningKey::ec("unknown");
    for changes in [
        json!({ "exp": 1 }),
        json!({ "aud": "other" }),
        json!({ "iss": "https://evil.example.com" }),
    ] {
        assert_eq!(
            verdict(&watched.authenticator, &stranger.token(&claims_with(changes))),
            Err(Rejection::Invalid)
        );
    }
    assert_eq!(server.requested(), 1);
}

#[tokio::test]
async fn the_last_good_keys_hold_while_the_issuer_fails() {
    let key = SigningKey::ec("a");
    let (server, watched) = published(&[&key]).await;
    let token = key.token(&claims_with(json!({ "exp": 1_900_900_000 })));
    let many = json!({ "keys": vec![key.jwk(); 201] }).to_string();
    let nonsense = [
        Answer::Other(500, &[], "oops".into()),
        Answer::Other(302, &[("location", "/elsewhere")], "".into()),
        Answer::Other(200, &[("content-encoding", "gzip")], key_set(&[&key]).into()),
        Answer::Other(204, &[], "".into()),
        Answer::Ok("<html>sign in</html>".into()),
        Answer::Ok("".into()),
        Answer::Ok("{}".into()),
        Answer::Ok(r#"{"keys":[]}"#.into()),
        Answer::Ok(r#"{"keys":{}}"#.into()),
        Answer::Ok(many.into()),
        Answer::Ok(format!(r#"{{"keys":[],"padding":"{}"}}"#, "x".repeat(1 << 20)).into()),
    ];
    server.answer("/elsewhere", Answer::Ok(key_set(&[&SigningKey::ec("thief")]).into()));
    for (number, answer) in nonsense.into_iter().enumerate() {
        server.answer("/jwks", answer);
        pass(&watched.clock, 30);
        let unknown = SigningKey::ec("thief").token(&good_claims());
        assert_eq!(identified(&watched, &unknown).await, Err(Rejection::Invalid));
        assert_eq!(watched.counts.failed.load(Ordering::SeqCst), number + 1);
        assert_eq!(
            verdict(&watched.authenticator, &token),
            Ok("design/ann".to_owned()),
            "nonsense {number}"
        );
    }
    drop(server);
    pass(&watched.clock, 6 * 3600);
    assert_eq!(
        identified(&watched, &SigningKey::ec("b").token(&token_for_later())).await,
        Err(Rejection::Invalid)
    );
    assert_eq!(verdict(&watched.authenticator, &token), Ok("design/ann".to_owned()), "hours later");
    assert!(
        watched.authenticator.key_set_ages()[0].1 >= Duration::from_secs(6 * 3600),
        "and its age is seen"
    );
}

#[tokio::test]
async fn keys_that_are_too_stale_verify_nothing() {
    let (key, stranger) =
        (SigningKey::ec("a"), SigningKey::ec("unknown").token(&token_for_later()));
    let (server, watched) = published(&[&key]).await;
    let token = key.token(&token_for_later());
    assert_eq!(verdict(&watched.authenticator, &token), Ok("design/ann".to_owned()));
    server.answer("/jwks", Answer::Other(503, &[], "".into()));
    pass(&watched.clock, 24 * 3600 - 1);
    assert_eq!(
        identified(&watched, &stranger).await,
        Err(Rejection::Invalid),
        "the last good keys are still used"
    );
    assert_eq!(
        verdict(&watched.authenticator, &token),
        Ok("design/ann".to_owned()),
        "and accept whom they accepted"
    );
    pass(&watched.clock, 30);
    assert_eq!(
        identified(&watched, &stranger).await,
        Err(Rejection::KeysUnavailable),
        "not a verdict of old keys"
    );
    assert_eq!(
        verdict(&watched.authenticator, &token),
        Err(Rejection::KeysUnavailable),
        "although it was cached"
    );
    assert_eq!(watched.authenticator.issuers_without_keys(), [Arc::<str>::from(ISSUER)]);
    assert!(
        watched.authenticator.key_set_ages()[0].1 > Duration::from_secs(24 * 3600),
        "its age is still shown"
    );
    server.publish(&key_set(&[&key]));
    pass(&watched.clock, 30);
    // A new task reads what is due at once; the old one would in half a minute.
    let Watched { authenticator, counts, clock, .. } = &watched;
    let same = issuer_settings(KeySource::Url(server.url("/jwks")));
    let again =
        reloaded(vec![same], vec![], clock, Some(authenticator), counts).expect("directory");
    let again = keep_fresh(again, Arc::clone(counts), clock.clone());
    eventually("the keys", || again.authenticator.issuers_without_keys().is_empty()).await;
    assert_eq!(verdict(&again.authenticator, &token), Ok("design/ann".to_owned()));
}

fn token_for_later() -> serde_json::Value {
    claims_with(json!({ "exp": 1_900_900_000 }))
}

#[tokio::test]
async fn tokens_of_an_unreached_issuer_are_neither_good_nor_bad() {
    let server = IssuerServer::start().await;
    let key = SigningKey::ec("a");
    let watched = watch(issuer_settings(KeySource::Url(server.url("/jwks"))));
    eventually("the first attempt", || watched.counts.readings() == 1).await;
    assert_eq!(
        verdict(&watched.authenticator, &key.token(&good_claims())),
        Err(Rejection::KeysUnavailable)
    );
    assert_eq!(verdict(&watched.authenticator, "not.a.token"), Err(Rejection::Invalid));
    assert_eq!(watched.authenticator.issuers_without_keys(), [Arc::<str>::from(ISSUER)]);
    server.publish(&key_set(&[&key]));
    pass(&watched.clock, 1);
    eventually("the keys", || watched.authenticator.issuers_without_keys().is_empty()).await;
    assert_eq!(
        verdict(&watched.authenticator, &key.token(&good_claims())),
        Ok("design/ann".to_owned())
    );
}

#[tokio::test]
async fn keys_survive_a_reload_that_leaves_their_source_alone() {
    let key = SigningKey::ec("a");
    let (server, watched) = published(&[&key]).await;
    let Watched { authenticator, counts, clock, .. } = &watched;
    let same = issuer_settings(KeySource::Url(server.url("/jwks")));
    let elsewhere = issuer_settings(KeySource::Url(server.url("/other")));
    let after = reloaded(vec![same.clone()], vec![], clock, Some(authenticator), counts)
        .expect("directory");
    assert_eq!(verdict(&after, &key.token(&good_claims())), Ok("design/ann".to_owned()));
    assert_eq!(after.key_set_ages().len(), 1);
    let after =
        reloaded(vec![elsewhere], vec![], clock, Some(authenticator), counts).expect("directory");
    assert_eq!(verdict(&after, &key.token(&good_claims())), Err(Rejection::KeysUnavailable));
    let twice = reloaded(vec![same.clone(), same], vec![], clock, None, counts);
    assert!(matches!(twice, Err(AuthenticatorError::IssuerTwice(issuer)) if &*issuer == ISSUER));
    assert_eq!(server.requested(), 1);
}
