//! Golden test of every refusal: `golden.txt` holds one block for each, and a new variant does not
//! compile without a row here.

use std::time::Duration;

use http::{StatusCode, Version};

use super::{Bound, Refusal, SpentCall, body};
use crate::credits::Credits;
use crate::ledger::{LimitStatus, Scope};
use crate::model::ModelId;
use crate::team::{LimitKind, TeamId, UserId};

const GOLDEN: &str = include_str!("golden.txt");

/// One row per variant: the pattern makes the match exhaustive, the value is the example.
macro_rules! one_of_each {
    ($($pattern:pat => $example:expr,)*) => {
        fn one_of_each() -> Vec<Refusal> {
            const fn complete(refusal: &Refusal) {
                match refusal {
                    $($pattern => (),)*
                }
            }
            let all = vec![$($example),*];
            all.iter().for_each(complete);
            all
        }
    };
}

one_of_each! {
    Refusal::InvalidRequest(_) => Refusal::InvalidRequest(vec![
        "Host is missing".to_owned(),
        "a \"quoted\" problem".to_owned(),
    ]),
    Refusal::InvalidPath => Refusal::InvalidPath,
    Refusal::InvalidBody(_) => Refusal::InvalidBody(vec![
        "num_images must be a whole number from 1 to 4".to_owned(),
    ]),
    Refusal::CredentialMissing => Refusal::CredentialMissing,
    Refusal::OperatorTokenMissing => Refusal::OperatorTokenMissing,
    Refusal::CredentialInvalid => Refusal::CredentialInvalid,
    Refusal::CredentialExpired => Refusal::CredentialExpired,
    Refusal::CredentialRevoked => Refusal::CredentialRevoked,
    Refusal::BudgetExhausted(_) => Refusal::BudgetExhausted(bound(budget())),
    Refusal::ModelNotAllowed(_) => Refusal::ModelNotAllowed(model()),
    Refusal::ModelNotAllowedToKey(_) => Refusal::ModelNotAllowedToKey(model()),
    Refusal::TeamSuspended => Refusal::TeamSuspended,
    Refusal::TeamUnknown => Refusal::TeamUnknown,
    Refusal::TeamAmbiguous(_) => Refusal::TeamAmbiguous(
        ["design", "growth"].iter().filter_map(|name| TeamId::parse(name)).collect(),
    ),
    Refusal::TeamNotTheirs => Refusal::TeamNotTheirs,
    Refusal::RoleNotAllowed => Refusal::RoleNotAllowed,
    Refusal::RouteNotFound => Refusal::RouteNotFound,
    Refusal::ModelUnknown(_) => Refusal::ModelUnknown(model()),
    Refusal::ModelUnpriced { .. } => Refusal::ModelUnpriced {
        model: model(),
        nearest: ModelId::parse("flux/dev"),
    },
    Refusal::RequestNotFound => Refusal::RequestNotFound,
    Refusal::TeamNotFound => Refusal::TeamNotFound,
    Refusal::KeyNotFound => Refusal::KeyNotFound,
    Refusal::CallNotFound => Refusal::CallNotFound,
    Refusal::KeyConflict(_) => Refusal::KeyConflict("The key is revoked"),
    Refusal::TopUpConflict(_) => Refusal::TopUpConflict("Another top-up of the team has this id"),
    Refusal::MethodNotAllowed { .. } => Refusal::MethodNotAllowed { allow: "GET, HEAD" },
    Refusal::BodyTimeout => Refusal::BodyTimeout,
    Refusal::BodyTooLarge { .. } => Refusal::BodyTooLarge { bytes_max: 4_500_000 },
    Refusal::MediaTypeUnsupported => Refusal::MediaTypeUnsupported,
    Refusal::HeadersTooLarge => Refusal::HeadersTooLarge,
    Refusal::IdempotencyInProgress => Refusal::IdempotencyInProgress,
    Refusal::IdempotencyLost => Refusal::IdempotencyLost,
    Refusal::IdempotencyAnswerGone(_) => Refusal::IdempotencyAnswerGone(SpentCall {
        id: "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b".parse().ok(),
        status: StatusCode::OK,
        cost: Credits::from_micros(25_000),
    }),
    Refusal::IdempotencyMismatch => Refusal::IdempotencyMismatch,
    Refusal::TooManyFailures { .. } => Refusal::TooManyFailures {
        retry_at: at("2026-11-22T14:26:45.5Z"),
        retry_after: Duration::from_millis(44_100),
    },
    Refusal::TooManyGuesses { .. } => Refusal::TooManyGuesses {
        retry_at: at("2026-11-22T14:26:06.5Z"),
        retry_after: Duration::from_millis(5_100),
    },
    Refusal::RateLimited(_) => Refusal::RateLimited(bound(minute())),
    Refusal::QuotaExhausted(_) => Refusal::QuotaExhausted(bound(day())),
    Refusal::TooManyConcurrent(_) => Refusal::TooManyConcurrent(bound(slots())),
    Refusal::SharedRateLimited { .. } => Refusal::SharedRateLimited {
        retry_at: at("2026-11-22T14:26:45.5Z"),
        retry_after: Duration::from_millis(44_100),
    },
    Refusal::Internal => Refusal::Internal,
    Refusal::UpstreamUnreachable => Refusal::UpstreamUnreachable,
    Refusal::UpstreamBroken => Refusal::UpstreamBroken,
    Refusal::UpstreamKeyRejected => Refusal::UpstreamKeyRejected,
    Refusal::QueueFull => Refusal::QueueFull,
    Refusal::SharedCreditsExhausted => Refusal::SharedCreditsExhausted,
    Refusal::LedgerUnavailable => Refusal::LedgerUnavailable,
    Refusal::IdentityUnavailable => Refusal::IdentityUnavailable,
    Refusal::Draining => Refusal::Draining,
    Refusal::Overloaded => Refusal::Overloaded,
    Refusal::UpstreamUnavailable { .. } => Refusal::UpstreamUnavailable {
        retry_after: Duration::from_millis(4_100),
    },
    Refusal::UpstreamTimeout => Refusal::UpstreamTimeout,
    Refusal::UpstreamError { .. } => Refusal::UpstreamError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
    },
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().expect(text)
}

fn model() -> ModelId {
    ModelId::parse("flux/pro").expect("a model")
}

fn limit_status(kind: LimitKind, max: u64, used: u64, reset_at: Option<&str>) -> LimitStatus {
    let reset_at = reset_at.map(at);
    LimitStatus {
        scope: Scope::Team,
        kind,
        max,
        topped_up: 0,
        used,
        reserved: 0,
        reset_at,
        shadow: false,
        shadow_refused: false,
    }
}

fn minute() -> LimitStatus {
    limit_status(LimitKind::RequestsPerMinute, 6, 6, Some("2026-11-22T14:27:00Z"))
}

fn day() -> LimitStatus {
    let user = UserId::parse("alice").expect("a user");
    LimitStatus {
        scope: Scope::User(user),
        ..limit_status(LimitKind::RequestsPerDay, 100, 100, Some("2026-11-23T00:00:00Z"))
    }
}

fn budget() -> LimitStatus {
    LimitStatus {
        reserved: 25_000,
        ..limit_status(
            LimitKind::CreditsPerMonth,
            400_000_000,
            399_950_000,
            Some("2026-12-01T00:00:00Z"),
        )
    }
}

fn slots() -> LimitStatus {
    LimitStatus { reserved: 8, ..limit_status(LimitKind::Concurrent, 8, 0, None) }
}

/// The call could pass 9.2 seconds after the store's time of 14:26:01.
fn bound(limit: LimitStatus) -> Box<Bound> {
    let some = limit_status(LimitKind::RequestsPerMinute, 6, 2, Some("2026-11-22T14:27:00Z"));
    let statuses =
        if limit.kind == some.kind { vec![limit.clone()] } else { vec![some, limit.clone()] };
    Box::new(Bound {
        limit,
        statuses,
        price: Credits::from_micros(100_000),
        reset_at: Some(at("2026-11-22T14:26:10.2001Z")),
        retry_after: Some(Duration::from_micros(9_200_100)),
    })
}

fn answered(refusal: &Refusal, version: Version) -> crate::http::Answer {
    body::answer(refusal, "r1", version, at("2026-11-22T14:26:01Z"))
}

fn block(refusal: &Refusal) -> String {
    let answer = answered(refusal, Version::HTTP_11);
    let mut headers: Vec<String> = answer
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")))
        .collect();
    headers.sort();
    let body = std::str::from_utf8(answer.body().bytes()).expect("text");
    format!("{}\n{}\n{body}\n", answer.status(), headers.concat())
}

#[test]
fn every_refusal_is_answered_word_for_word_as_documented() {
    let blocks: Vec<String> = one_of_each().iter().map(block).collect();
    let separator = "----\n";
    for (ours, golden) in blocks.iter().zip(GOLDEN.split(separator)) {
        assert_eq!(ours, golden);
    }
    assert_eq!(blocks.join(separator), GOLDEN);
}

#[test]
fn every_refusal_is_one_flat_object_of_texts() {
    for refusal in one_of_each() {
        let answer = answered(&refusal, Version::HTTP_2);
        let body: serde_json::Value = serde_json::from_slice(answer.body().bytes()).expect("JSON");
        let members = body.as_object().expect("an object");
        for name in ["error", "message", "code", "requestId"] {
            assert!(members[name].is_string(), "{name} of {refusal:?}");
        }
        for (name, value) in members {
            let texts =
                value.as_array().is_some_and(|list| list.iter().all(serde_json::Value::is_string));
            assert!(value.is_string() || (name == "errors" && texts), "{name} of {refusal:?}");
        }
    }
}

#[test]
fn only_http_1_is_told_that_its_connection_ends() {
    for refusal in one_of_each() {
        assert!(
            !answered(&refusal, Version::HTTP_2).headers().contains_key("connection"),
            "{refusal:?}"
        );
    }
}

#[test]
fn a_limit_that_no_time_will_help_names_no_time() {
    let total = limit_status(LimitKind::CreditsTotal, 1_000_000, 1_000_000, None);
    let never = Bound { reset_at: None, retry_after: None, ..*bound(total) };
    let answer = answered(&Refusal::BudgetExhausted(Box::new(never)), Version::HTTP_11);
    let body: serde_json::Value = serde_json::from_slice(answer.body().bytes()).expect("JSON");
    assert!(body.get("resetAt").is_none());
    assert!(body["message"].as_str().expect("text").contains("it does not reset"));
    assert!(!answer.headers().contains_key("retry-after"));
    assert_eq!(answer.headers()["ratelimit"], "\"team:requests_per_minute\";r=4;t=59");
}
