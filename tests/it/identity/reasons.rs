//! Why a token is refused: each cause has its own name in the metrics and its own words in the log,
//! the caller learns no more than before, and a member of several teams chooses one.

use std::collections::HashSet;
use std::sync::Arc;

use jsonwebtoken::Algorithm as Jws;
use moongate::identity::settings::ClaimPath;
use moongate::identity::{Authenticator, FailedCheck, Presented, Rejection};
use moongate::team::TeamId;
use serde_json::{Value, json};

use crate::support::authenticators::{
    Counts, ISSUER, NOW, World, claims_with, clock, good_claims, issuer_with_file, reloaded,
    verdict, world, world_with,
};
use crate::support::tokens::{SigningKey, hmac, join};

/// A token, the check it does not pass, and what the log must say of it.
struct Case {
    token: String,
    check: FailedCheck,
    reasons: &'static [&'static str],
}

fn case(token: String, check: FailedCheck, reasons: &'static [&'static str]) -> Case {
    Case { token, check, reasons }
}

fn cases(world: &World) -> Vec<Case> {
    [
        of_bad_form_or_algorithm(world),
        of_bad_claims(world),
        of_another_key(),
        of_another_team(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_bad_form_or_algorithm(world: &World) -> Vec<Case> {
    let mut without_kid = SigningKey::ec("x").header();
    without_kid["kid"] = json!(5);
    vec![
        case("nonsense".to_owned(), FailedCheck::Form, &["three parts"]),
        case(join("{}", "{}", b"x"), FailedCheck::Algorithm, &["no algorithm"]),
        case(world.ec.sign(&without_kid, &good_claims()), FailedCheck::Form, &["kid is no text"]),
        case(
            hmac(b"x", &json!({ "alg": "HS256" }), &good_claims()),
            FailedCheck::Algorithm,
            &["\"HS256\""],
        ),
        case(
            world.rsa.sign_as(
                Jws::PS256,
                &json!({ "alg": "PS256", "kid": "rsa-0" }),
                &good_claims(),
            ),
            FailedCheck::Algorithm,
            &["signed with PS256", "RS256, ES256, EdDSA"],
        ),
    ]
}

fn of_bad_claims(world: &World) -> Vec<Case> {
    let token = |changes: Value| world.ec.token(&claims_with(changes));
    vec![
        case(
            token(json!({ "iss": format!("{ISSUER}/") })),
            FailedCheck::Issuer,
            &["\"https://sso.example.com/\"", "\"https://sso.example.com\"", "differs by a slash"],
        ),
        case(token(json!({ "iss": null })), FailedCheck::Issuer, &["its iss is missing"]),
        case(
            token(json!({ "aud": ["account", "other\u{202e}"] })),
            FailedCheck::Audience,
            &["\"account\", \"other\\u{202e}\"", "\"moongate\", \"moongate-batch\""],
        ),
        case(token(json!({ "exp": "tomorrow" })), FailedCheck::Times, &["exp is \"tomorrow\""]),
        case(token(json!({ "exp": null })), FailedCheck::Times, &["exp is missing"]),
        case(
            token(json!({ "nbf": NOW + 3600 })),
            FailedCheck::NotYetValid,
            &["nbf 2030-03-17T18:46:40Z"],
        ),
        case(
            token(json!({ "exp": NOW - 3600 })),
            FailedCheck::Expired,
            &["exp 2030-03-17T16:46:40Z"],
        ),
        case(token(json!({ "sub": 12345 })), FailedCheck::User, &["/sub is a number"]),
    ]
}

fn of_another_key() -> Vec<Case> {
    vec![
        case(
            SigningKey::ec("new").token(&good_claims()),
            FailedCheck::KeyUnknown,
            &["kid \"new\"", "\"ec-0\""],
        ),
        case(
            SigningKey::ec("ec-0").token(&good_claims()),
            FailedCheck::Signature,
            &["kid \"ec-0\""],
        ),
    ]
}

fn of_another_team(world: &World) -> Vec<Case> {
    let token = |changes: Value| world.ec.token(&claims_with(changes));
    vec![
        case(
            token(json!({ "groups": ["staff", "grp-desing"] })),
            FailedCheck::TeamUnknown,
            &["/groups is \"staff\", \"grp-desing\"", "\"grp-design\""],
        ),
        case(token(json!({ "groups": null })), FailedCheck::TeamUnknown, &["/groups is missing"]),
        case(
            token(json!({ "groups": ["grp-growth", "grp-design"] })),
            FailedCheck::TeamAmbiguous,
            &["growth, design", "x-moongate-team"],
        ),
        case(
            token(json!({ "groups": ["grp-closed"] })),
            FailedCheck::TeamSuspended,
            &["suspended"],
        ),
    ]
}

/// The answer to the caller gives no reason.
#[test]
fn each_cause_has_its_own_name_and_words() {
    let world = world();
    let (counts, clock) = (Arc::new(Counts::default()), clock());
    let file = world.folder.path().join("keys.json");
    let authenticator =
        reloaded(vec![issuer_with_file(&file)], vec![], &clock, None, &counts).expect("directory");
    let mut names = HashSet::new();
    for Case { token, check, reasons } in cases(&world) {
        let examined = authenticator.examine(&token);
        assert_eq!(examined.verdict.as_ref().map(drop), Err(&check), "{examined:?}");
        let failed: Vec<_> =
            examined.findings.iter().filter(|finding| finding.passed == Some(false)).collect();
        assert!(!failed.is_empty(), "{check}: {examined:?}");
        for words in reasons {
            assert!(
                failed[0].detail.contains(words),
                "{check}: {:?} says nothing of {words:?}",
                failed[0].detail
            );
        }
        let shown = format!("{:?}", examined.findings);
        let (_, signature) = token.rsplit_once('.').unwrap_or(("", "none"));
        assert!(
            !shown.contains(&token) && (signature.len() < 20 || !shown.contains(signature)),
            "{shown}"
        );
        let before = counts
            .authenticated
            .lock()
            .expect("lock")
            .get(&("jwt", check.name()))
            .copied()
            .unwrap_or(0);
        // A key that is not known may be asked for first.
        if let Some(judged) = authenticator.authenticate_now(&token) {
            assert_eq!(judged.map(drop).expect_err("refused"), check.rejection(), "{check}");
            assert_eq!(
                counts.authenticated.lock().expect("lock")[&("jwt", check.name())],
                before + 1,
                "{check}"
            );
        }
        names.insert(check.name());
    }
    assert_eq!(names.len(), 13, "{names:?}");
    let invalid = FailedCheck::ALL
        .into_iter()
        .filter(|check| check.rejection() == Rejection::Invalid)
        .count();
    assert_eq!(invalid, 10, "the caller does not learn which part was wrong");
}

#[test]
fn what_an_examination_says_is_what_a_caller_meets() {
    let world = world_with(|issuer| issuer.user_claim = ClaimPath::parse("/email").expect("path"));
    for changes in [
        json!({ "email": "ann@example.com" }),
        json!({ "email": "ann@example.com", "groups": ["grp-growth"] }),
        json!({ "email": "ann@example.com", "groups": ["grp-closed"] }),
        json!({}),
        json!({ "email": "", "aud": 7, "exp": 1, "groups": [] }),
    ] {
        let token = world.ec.token(&claims_with(changes.clone()));
        let examined = world.authenticator.examine(&token);
        let all_passed = examined.findings.iter().all(|finding| finding.passed == Some(true));
        let identified =
            examined.verdict.map(|(principal, _)| format!("{}/{}", principal.team, principal.user));
        assert_eq!(identified.is_ok(), all_passed, "{changes}");
        assert_eq!(
            identified.map_err(FailedCheck::rejection),
            verdict(&world.authenticator, &token),
            "{changes}"
        );
        assert_eq!(examined.findings.len(), 9);
    }
}

fn of_team(
    authenticator: &Authenticator,
    credential: &str,
    team: &str,
) -> Result<String, Rejection> {
    let team = TeamId::parse(team).expect("a team");
    let judged =
        authenticator.authenticate_now(Presented { credential, team: Some(&team) }).expect("now");
    judged.map(|(principal, team)| {
        assert_eq!(principal.team, team.id);
        format!("{}/{}", principal.team, principal.user)
    })
}

/// The member chooses with a remembered token, too.
#[test]
fn a_member_of_several_teams_chooses_for_each_request() {
    let World { ec, authenticator, .. } = &world();
    let groups = |groups: &[&str], user: &str| {
        ec.token(&claims_with(json!({ "groups": groups, "sub": user })))
    };
    let both = groups(&["grp-design", "grp-growth", "grp-closed", "grp-design-leads"], "ann");
    for round in 0..3 {
        assert_eq!(of_team(authenticator, &both, "design"), Ok("design/ann".to_owned()), "{round}");
        assert_eq!(of_team(authenticator, &both, "growth"), Ok("growth/ann".to_owned()), "{round}");
        assert_eq!(
            of_team(authenticator, &both, "closed"),
            Err(Rejection::TeamSuspended),
            "{round}"
        );
        assert_eq!(
            of_team(authenticator, &both, "nobody"),
            Err(Rejection::TeamNotTheirs),
            "{round}"
        );
        assert_eq!(verdict(authenticator, &both), Err(Rejection::TeamAmbiguous), "{round}");
        assert!(
            authenticator.lookup_cached(&both).is_some(),
            "the token's teams are cached, not the team that was chosen"
        );
    }
    assert_eq!(authenticator.remembered_tokens(), 1);
    assert_eq!(authenticator.teams_of(&both).len(), 3);
    let mallory = groups(&["grp-design", "grp-growth"], "mallory");
    assert_eq!(
        of_team(authenticator, &mallory, "growth"),
        Err(Rejection::TeamSuspended),
        "a user's suspension is for one team"
    );
    assert_eq!(of_team(authenticator, &mallory, "design"), Ok("design/mallory".to_owned()));
    let one = groups(&["grp-design"], "ann");
    for _ in 0..2 {
        assert_eq!(of_team(authenticator, &one, "design"), Ok("design/ann".to_owned()));
        assert_eq!(of_team(authenticator, &one, "growth"), Err(Rejection::TeamNotTheirs));
        assert_eq!(verdict(authenticator, &one), Ok("design/ann".to_owned()));
    }
}
