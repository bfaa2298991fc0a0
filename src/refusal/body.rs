//! The documented form of a refusal: status, headers and a flat JSON body in Firemoon's own shape.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Version, header};
use jiff::Timestamp;
use serde::Serialize;

use super::{Bound, Refusal, whole_seconds};
use crate::http::{Answer, AnswerBody, HeaderWriter, X_ERROR_SOURCE};
use crate::ledger::LimitStatus;
use crate::ledger::headers::rate_limit_headers;
use crate::printable;

/// Firemoon's clients ignore extra members; a nested or missing one would break them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    error: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_at: Option<String>,
    code: &'static str,
    request_id: &'a str,
}

/// The answer for a refusal. `id` is the request's id; `version` is its HTTP version, since only
/// HTTP/1 can announce that the connection ends; `now` is used when the refusal does not carry the
/// store's time.
#[must_use]
pub fn answer(refusal: &Refusal, id: &str, version: Version, now: Timestamp) -> Answer {
    let mut answer = Answer::new(AnswerBody::new(json(refusal, id)));
    *answer.status_mut() = refusal.kind().status;
    write_headers(answer.headers_mut(), refusal, version, now);
    answer
}

fn json(refusal: &Refusal, id: &str) -> String {
    let kind = refusal.kind();
    let body = Body {
        error: kind.title,
        message: refusal.message(),
        errors: refusal.problems(),
        reset_at: refusal.reset_at().map(firemoon_time),
        code: kind.code,
        request_id: id,
    };
    // Cannot fail: strings and lists of strings always have a JSON form. They may hold what a
    // caller sent.
    printable::to_json(&body).unwrap_or_default()
}

fn write_headers(headers: &mut HeaderMap, refusal: &Refusal, version: Version, now: Timestamp) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(refusal.kind().source.name()));
    if let Some(challenge) = challenge(refusal) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Refusal::MethodNotAllowed { allow } = refusal {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(wait) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if version <= Version::HTTP_11 && ends_connection(refusal) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(bound) = refusal.bound() {
        rate_limit_headers(
            &mut HeaderWriter::new(headers),
            &limits_for_headers(bound),
            bound.at().unwrap_or(now),
        );
    }
}

/// RFC 6750, section 3: a request without a credential gets only the scheme, one with a bad
/// credential gets an error code as well.
const fn challenge(refusal: &Refusal) -> Option<&'static str> {
    if matches!(refusal, Refusal::CredentialMissing | Refusal::OperatorTokenMissing) {
        return Some("Bearer");
    }
    if matches!(
        refusal,
        Refusal::CredentialInvalid | Refusal::CredentialExpired | Refusal::CredentialRevoked
    ) {
        return Some("Bearer error=\"invalid_token\"");
    }
    None
}

/// Where the next request begins is unknown, or the gateway is stopping.
const fn ends_connection(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::InvalidRequest(_)
            | Refusal::HeadersTooLarge
            | Refusal::BodyTimeout
            | Refusal::BodyTooLarge { .. }
            | Refusal::Draining
    )
}

/// The limit that refused, with the time at which the call can pass, so that `Retry-After`,
/// `resetAt` and the rate-limit headers name the same moment, as the draft asks. If that limit does
/// not count requests, the limits that do.
fn limits_for_headers(bound: &Bound) -> Cow<'_, [LimitStatus]> {
    if bound.limit.kind.counts_requests() {
        let reset_at = bound.reset_at.or(bound.limit.reset_at);
        return Cow::Owned(vec![LimitStatus { reset_at, ..bound.limit.clone() }]);
    }
    Cow::Borrowed(&bound.statuses)
}

/// Firemoon's form of a time, `2025-10-23T10:30:00.000Z`, rounded up so that a caller who waits
/// until then is not too early.
fn firemoon_time(at: Timestamp) -> String {
    let millis = at.as_microsecond().saturating_add(999).div_euclid(1000);
    format!("{:.3}", Timestamp::from_millisecond(millis).unwrap_or(at))
}
