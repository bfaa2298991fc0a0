//! Tests which tokens are accepted, for how long, and what is cached of them.

use std::sync::Arc;

use moongate::identity::Rejection;
use moongate::identity::settings::{Algorithm, ClaimPath, IssuerSettings};
use serde_json::json;

use crate::support::authenticators::{
    Counts, ISSUER, NOW, World, authenticator, claims_with, clock, good_claims, issuer_with_file,
    pass, reloaded, verdict, world, world_with,
};
use crate::support::tokens::SigningKey;

#[test]
fn a_good_token_of_any_algorithm_is_accepted() {
    let world = world();
    for key in [world.rsa, &world.ec, &world.ed] {
        assert_eq!(
            verdict(&world.authenticator, &key.token(&good_claims())),
            Ok("design/ann".to_owned()),
            "{}",
            key.kid
        );
    }
    let (principal, _) = world
        .authenticator
        .authenticate_now(&world.ec.token(&good_claims()))
        .expect("now")
        .expect("good");
    assert_eq!((principal.credential.kind(), principal.credential.id()), ("jwt", ISSUER));
}

/// RFC 9864: an algorithm named after the curve, in the token, in the key set, in both.
#[test]
fn ed25519_is_another_name_of_eddsa_and_ed448_is_not() {
    let key = SigningKey::ed("ed-0");
    let named = |alg: &str| {
        let mut header = key.header();
        header["alg"] = json!(alg);
        key.sign(&header, &good_claims())
    };
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("keys.json");
    for published in [json!(null), json!("EdDSA"), json!("Ed25519")] {
        let mut jwk = key.jwk();
        if !published.is_null() {
            jwk["alg"] = published.clone();
        }
        std::fs::write(&file, json!({ "keys": [jwk] }).to_string()).expect("file");
        let authenticator = authenticator(vec![issuer_with_file(&file)], vec![], &clock());
        for name in ["EdDSA", "Ed25519"] {
            assert_eq!(
                verdict(&authenticator, &named(name)),
                Ok("design/ann".to_owned()),
                "{name}, published {published}"
            );
        }
        for name in ["Ed448", "ed25519", "EDDSA"] {
            assert_eq!(verdict(&authenticator, &named(name)), Err(Rejection::Invalid), "{name}");
        }
    }
}

#[test]
fn a_key_without_a_kid_serves_tokens_that_name_one() {
    let (key, other) =
        (SigningKey::ec("named-in-tokens-only"), SigningKey::ec("named-in-tokens-only"));
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("keys.json");
    let mut jwk = key.jwk();
    jwk.as_object_mut().expect("object").remove("kid");
    std::fs::write(&file, json!({ "keys": [jwk, SigningKey::rsa(0).jwk()] }).to_string())
        .expect("file");
    let authenticator = authenticator(vec![issuer_with_file(&file)], vec![], &clock());
    assert_eq!(verdict(&authenticator, &key.token(&good_claims())), Ok("design/ann".to_owned()));
    // One that it did not sign may be of a key that is not published yet: the issuer is asked.
    assert!(
        authenticator
            .authenticate_now(&other.token(&good_claims()))
            .is_none_or(|judged| judged.is_err())
    );
}

#[test]
fn every_form_that_the_specifications_allow_is_accepted() {
    let World { ec, authenticator, .. } = &world();
    for changes in [
        json!({ "aud": ["moongate"] }),
        json!({ "aud": ["other", "moongate-batch"] }),
        json!({ "iat": null }),
        json!({ "nbf": NOW - 5 }),
        json!({ "exp": NOW as f64 + 60.5 }),
        json!({ "groups": "grp-design" }),
        json!({ "groups": ["grp-design", "grp-design-leads", 7, null, ["grp-growth"]] }),
        json!({ "exp": NOW - 29 }),
        json!({ "nbf": NOW + 30, "iat": NOW + 30 }),
    ] {
        assert_eq!(
            verdict(authenticator, &ec.token(&claims_with(changes.clone()))),
            Ok("design/ann".to_owned()),
            "{changes}"
        );
    }
    for (name, value) in [
        ("typ", json!("at+jwt")),
        ("typ", json!("jwt")),
        ("typ", json!("application/at+JWT")),
        ("cty", json!("json")),
        ("x-of-the-issuer", json!(1)),
    ] {
        let mut header = ec.header();
        header[name] = value;
        assert_eq!(
            verdict(authenticator, &ec.sign(&header, &good_claims())),
            Ok("design/ann".to_owned()),
            "{header}"
        );
    }
}

#[test]
fn only_a_well_signed_token_is_called_expired() {
    let World { ec, authenticator, clock, .. } = &world();
    let expired = claims_with(json!({ "exp": NOW - 30 }));
    assert_eq!(verdict(authenticator, &ec.token(&expired)), Err(Rejection::Expired));
    assert_eq!(
        verdict(authenticator, &SigningKey::ec("ec-0").token(&expired)),
        Err(Rejection::Invalid)
    );
    let short = ec.token(&claims_with(json!({ "exp": NOW + 10 })));
    assert!(verdict(authenticator, &short).is_ok());
    pass(clock, 39);
    assert!(verdict(authenticator, &short).is_ok(), "leeway");
    pass(clock, 1);
    for _ in 0..2 {
        assert_eq!(
            verdict(authenticator, &short),
            Err(Rejection::Expired),
            "although it was cached"
        );
    }
}

#[test]
fn a_token_older_than_its_issuer_allows_is_refused() {
    let World { ec, authenticator, clock, .. } =
        &world_with(|issuer| issuer.max_token_age = Some(std::time::Duration::from_secs(600)));
    let token = ec.token(&good_claims());
    assert!(verdict(authenticator, &token).is_ok());
    assert_eq!(
        verdict(authenticator, &ec.token(&claims_with(json!({ "iat": NOW - 630 })))),
        Err(Rejection::Expired)
    );
    assert_eq!(
        verdict(authenticator, &ec.token(&claims_with(json!({ "iat": null })))),
        Err(Rejection::Invalid)
    );
    pass(clock, 630);
    assert_eq!(verdict(authenticator, &token), Err(Rejection::Expired));
}

#[test]
fn a_good_token_names_exactly_one_team_that_may_call() {
    let World { ec, authenticator, .. } = &world();
    for (changes, expected) in [
        (json!({ "groups": ["grp-growth"] }), Ok("growth/ann")),
        (json!({ "groups": ["grp-growth"], "sub": "mallory" }), Err(Rejection::TeamSuspended)),
        (json!({ "groups": ["grp-design"], "sub": "mallory" }), Ok("design/mallory")),
        (json!({ "groups": ["grp-closed"] }), Err(Rejection::TeamSuspended)),
        (json!({ "groups": ["grp-design", "grp-growth"] }), Err(Rejection::TeamAmbiguous)),
        (json!({ "groups": ["staff"] }), Err(Rejection::TeamUnknown)),
        (json!({ "groups": [] }), Err(Rejection::TeamUnknown)),
        (json!({ "groups": null }), Err(Rejection::TeamUnknown)),
        (json!({ "groups": 7 }), Err(Rejection::TeamUnknown)),
        (json!({ "groups": { "0": "grp-design" } }), Err(Rejection::TeamUnknown)),
        (json!({ "groups": "GRP-DESIGN" }), Err(Rejection::TeamUnknown)),
        (json!({ "groups": "design" }), Err(Rejection::TeamUnknown)),
    ] {
        for _ in 0..2 {
            let judged = verdict(authenticator, &ec.token(&claims_with(changes.clone())));
            assert_eq!(judged.as_deref().map_err(|rejection| *rejection), expected, "{changes}");
        }
    }
}

#[test]
fn a_service_account_speaks_for_its_namespaces_team() {
    let World { rsa, authenticator, .. } = &world_with(|issuer| {
        issuer.team_claim = ClaimPath::parse("/kubernetes.io/namespace").expect("path");
        issuer.teams =
            [("render".to_owned(), moongate::team::TeamId::parse("growth").expect("team"))].into();
    });
    let claims = json!({
        "iss": ISSUER, "aud": ["moongate"], "exp": NOW + 3607, "iat": NOW, "nbf": NOW, "jti": "x",
        "kubernetes.io": { "namespace": "render", "serviceaccount": { "name": "farm" } },
        "sub": "system:serviceaccount:render:farm",
    });
    let token = rsa.sign(&json!({ "alg": "RS256", "kid": "rsa-0" }), &claims);
    assert_eq!(
        verdict(authenticator, &token),
        Ok("growth/system:serviceaccount:render:farm".to_owned())
    );
}

#[test]
fn a_remembered_token_never_answers_for_another() {
    let World { ec, authenticator, .. } = &world();
    let ann = ec.token(&good_claims());
    assert!(verdict(authenticator, &ann).is_ok());
    assert_eq!(authenticator.remembered_tokens(), 1);
    for place in 0..ann.len() {
        let mut bytes = ann.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(bytes).expect("ascii");
        assert!(verdict(authenticator, &other).is_err(), "changed at {place}: {other}");
    }
    let bob = ec.token(&claims_with(json!({ "sub": "bob" })));
    for _ in 0..3 {
        assert_eq!(verdict(authenticator, &bob), Ok("design/bob".to_owned()));
        assert_eq!(verdict(authenticator, &ann), Ok("design/ann".to_owned()));
    }
    assert_eq!(authenticator.remembered_tokens(), 2, "bad ones are not cached");
}

#[test]
fn tokens_without_number_leave_the_memory_bounded() {
    let World { ed, authenticator, .. } = &world();
    let long = ed.token(&claims_with(json!({ "padding": "x".repeat(4096) })));
    assert!(verdict(authenticator, &long).is_ok());
    assert_eq!(authenticator.remembered_tokens(), 0, "long tokens are verified, not cached");
    for user in 0..10_500 {
        assert!(
            verdict(
                authenticator,
                &ed.token(&claims_with(json!({ "sub": format!("user-{user}") })))
            )
            .is_ok()
        );
    }
    assert!(
        (5_000..=10_100).contains(&authenticator.remembered_tokens()),
        "{}",
        authenticator.remembered_tokens()
    );
}

#[test]
fn reused_tokens_stay_in_memory_through_a_flood() {
    let World { ed, authenticator, .. } = &world();
    let token = |user: String| ed.token(&claims_with(json!({ "sub": user })));
    let used: Vec<String> = (0..500).map(|user| token(format!("user-{user}"))).collect();
    for _ in 0..3 {
        used.iter().for_each(|token| assert!(verdict(authenticator, token).is_ok()));
    }
    for number in 0..25_000 {
        assert!(verdict(authenticator, &token(format!("once-{number}"))).is_ok());
    }
    let kept = used.iter().filter(|token| authenticator.lookup_cached(*token).is_some()).count();
    assert!(kept >= 475, "{kept} of 500");
}

#[test]
fn what_costs_nothing_is_recalled_and_nothing_else() {
    let World { ec, authenticator, clock, .. } = &world();
    let token = ec.token(&claims_with(json!({ "exp": NOW + 10 })));
    assert!(authenticator.lookup_cached(&token).is_none(), "not seen before");
    assert!(authenticator.authenticate_now(&token).is_some_and(|judged| judged.is_ok()));
    assert!(authenticator.lookup_cached(&token).is_some_and(|judged| judged.is_ok()));
    let forged = SigningKey::ec("ec-0").token(&good_claims());
    assert!(authenticator.authenticate_now(&forged).is_some_and(|judged| judged.is_err()));
    assert!(authenticator.lookup_cached(&forged).is_none(), "bad ones are not cached");
    assert!(
        authenticator
            .lookup_cached("mgk_k7Qp2mZr9aBc_nothing")
            .is_some_and(|judged| judged.is_err()),
        "a key is judged at once"
    );
    pass(clock, 40);
    assert!(matches!(authenticator.lookup_cached(&token), Some(Err(Rejection::Expired))), "once");
    assert!(authenticator.lookup_cached(&token).is_none(), "and forgotten");
}

#[test]
fn a_removed_issuer_or_audience_invalidates_its_remembered_tokens() {
    let World { ec, authenticator, clock, folder, .. } = &world();
    let token = ec.token(&good_claims());
    assert!(verdict(authenticator, &token).is_ok());
    let counts = Arc::new(Counts::default());
    let same = issuer_with_file(&folder.path().join("keys.json"));
    let without = reloaded(vec![], vec![], clock, Some(authenticator), &counts).expect("directory");
    assert_eq!(verdict(&without, &token), Err(Rejection::Invalid));
    for change in [
        |issuer: &mut IssuerSettings| issuer.audiences = vec!["other".to_owned()],
        |issuer: &mut IssuerSettings| issuer.algorithms = vec![Algorithm::RS256],
    ] {
        let mut changed = same.clone();
        change(&mut changed);
        let changed = reloaded(vec![changed], vec![], clock, Some(authenticator), &counts)
            .expect("directory");
        assert_eq!(verdict(&changed, &token), Err(Rejection::Invalid));
    }
    let mut elsewhere = same;
    elsewhere
        .teams
        .insert("grp-design".to_owned(), moongate::team::TeamId::parse("growth").expect("team"));
    let elsewhere =
        reloaded(vec![elsewhere], vec![], clock, Some(authenticator), &counts).expect("directory");
    assert_eq!(verdict(&elsewhere, &token), Ok("growth/ann".to_owned()));
    assert_eq!(
        verdict(authenticator, &token),
        Ok("design/ann".to_owned()),
        "the old directory has not changed"
    );
}
