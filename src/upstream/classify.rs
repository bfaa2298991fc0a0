//! What an answer of the upstream means: for the caller, for the money, and for the key it was asked with.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::Received;
use super::keys::{Cooldown, REST, Why};
use crate::call::{ExecutionOutcome, UpstreamResponse};
use crate::refusal::Refusal;

/// The meaning of an answer.
#[derive(Debug)]
pub struct Classification {
    /// For the money.
    pub fate: ExecutionOutcome,
    /// For the caller.
    pub answer: Result<UpstreamResponse, Refusal>,
    /// For the key: it may not be used for a while. The same call may be sent with another key: it was not executed.
    pub rest: Option<Cooldown>,
}

/// Judges an answer.
#[must_use]
pub fn classify(received: Received, now: Timestamp) -> Classification {
    let status = received.head.status;
    let refused = |refusal, rest| Classification { fate: ExecutionOutcome::Refused, answer: Err(refusal), rest };
    match status.as_u16() {
        200..=299 => Classification { fate: ExecutionOutcome::Delivered, answer: Ok(pass(received)), rest: None },
        // "Go elsewhere with the same request": nothing was executed here.
        307 | 308 => refused(Refusal::UpstreamBroken, None),
        401 => refused(Refusal::UpstreamKeyRejected, cooldown(Why::Rejected, now)),
        402 => refused(Refusal::SharedCreditsExhausted, cooldown(Why::NoCredits, now)),
        403 if speaks_of_suspension(&received.body) => {
            refused(Refusal::UpstreamKeyRejected, cooldown(Why::Rejected, now))
        }
        429 => {
            let retry_at = reset_of(&received, now);
            let retry_after = now.duration_until(retry_at).try_into().unwrap_or(Duration::ZERO);
            let rest = Cooldown { why: Why::RateLimited, since: now, until: retry_at };
            refused(Refusal::SharedRateLimited { retry_at, retry_after }, Some(rest))
        }
        400..=499 => Classification { fate: ExecutionOutcome::Refused, answer: error_of_its_own(received), rest: None },
        500..=599 => Classification { fate: ExecutionOutcome::Unknown, answer: error_of_its_own(received), rest: None },
        // An unasked 101, a 3xx after which the call may have been executed, a status that does not exist.
        _ => Classification { fate: ExecutionOutcome::Unknown, answer: Err(Refusal::UpstreamBroken), rest: None },
    }
}

fn cooldown(why: Why, now: Timestamp) -> Option<Cooldown> {
    now.checked_add(REST).ok().map(|until| Cooldown { why, since: now, until })
}

fn pass(received: Received) -> UpstreamResponse {
    let header = |name| received.head.headers.get(name).map(apart);
    UpstreamResponse {
        status: received.head.status,
        content_type: header(CONTENT_TYPE),
        content_encoding: header(CONTENT_ENCODING),
        body: received.body,
        room: received.room,
    }
}

/// A value of its own: as it came in, it would keep the buffer that its connection reads into for as long as it is kept
/// itself.
fn apart(value: &HeaderValue) -> HeaderValue {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    if value == JSON { JSON } else { HeaderValue::from_bytes(value.as_bytes()).unwrap_or(JSON) }
}

/// Its error passes when it is JSON, so that its clients print the right words; HTML and plain text are replaced.
fn error_of_its_own(received: Received) -> Result<UpstreamResponse, Refusal> {
    let is_json = serde_json::from_slice::<IgnoredAny>(&received.body).is_ok();
    match received.head.status {
        _ if is_json => Ok(pass(received)),
        StatusCode::BAD_GATEWAY => Err(Refusal::UpstreamBroken),
        StatusCode::GATEWAY_TIMEOUT => Err(Refusal::UpstreamTimeout),
        status => Err(Refusal::UpstreamError { status }),
    }
}

/// What an error says of the account itself.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    error: String,
    #[serde(default)]
    message: String,
}

/// The sentence about a provider quotes a word of the caller's choosing, and is never about the account.
fn speaks_of_suspension(body: &[u8]) -> bool {
    let Ok(Said { error, message }) = serde_json::from_slice(body) else { return false };
    let said = format!("{error} {message}").to_ascii_lowercase();
    said.contains("suspend") && !said.contains("provider")
}

/// When an error says that the window begins anew.
#[derive(Deserialize)]
struct Reset {
    #[serde(rename = "resetAt")]
    reset_at: Timestamp,
}

/// When the upstream takes calls again: what it says, in any of its ways, between a second and a day from now; else a
/// minute.
fn reset_of(received: &Received, now: Timestamp) -> Timestamp {
    let number = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok()?.parse::<i64>().ok();
    let said = serde_json::from_slice::<Reset>(&received.body).ok().map(|reset| reset.reset_at);
    let headers = &received.head.headers;
    let counted = || Timestamp::from_second(number(headers, "x-ratelimit-reset")?).ok();
    let waited = || now.checked_add(Duration::from_secs(number(headers, RETRY_AFTER.as_str())?.try_into().ok()?)).ok();
    let bound = |wait: Duration| now.checked_add(wait).unwrap_or(now);
    let reset = said.or_else(counted).or_else(waited).unwrap_or_else(|| bound(REST));
    reset.clamp(bound(Duration::from_secs(1)), bound(Duration::from_secs(24 * 3600)))
}
