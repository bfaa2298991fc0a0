//! Classifies the upstream's answers: for the caller, the settlement and the shared key.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::Received;
use super::keys::{COOLDOWN, Cooldown, Why};
use crate::call::{ExecutionOutcome, UpstreamResponse};
use crate::refusal::Refusal;

/// Classification of an answer.
#[derive(Debug)]
pub struct Classification {
    /// The execution's outcome, for the settlement.
    pub execution: ExecutionOutcome,
    /// The answer or refusal for the caller.
    pub answer: Result<UpstreamResponse, Refusal>,
    /// Why the key must not be used for a while. The call was not executed and may be sent with
    /// another key.
    pub cooldown: Option<Cooldown>,
}

/// Classifies an answer.
#[must_use]
pub fn classify(received: Received, now: Timestamp) -> Classification {
    let status = received.head.status;
    let refused = |refusal, cooldown| Classification {
        execution: ExecutionOutcome::Refused,
        answer: Err(refusal),
        cooldown,
    };
    match status.as_u16() {
        200..=299 => Classification {
            execution: ExecutionOutcome::Delivered,
            answer: Ok(pass(received)),
            cooldown: None,
        },
        // A redirect that keeps the request: nothing was executed here.
        307 | 308 => refused(Refusal::UpstreamBroken, None),
        401 => refused(Refusal::UpstreamKeyRejected, cooldown(Why::Rejected, now)),
        402 => refused(Refusal::SharedCreditsExhausted, cooldown(Why::NoCredits, now)),
        403 if is_suspension(&received.body) => {
            refused(Refusal::UpstreamKeyRejected, cooldown(Why::Rejected, now))
        }
        429 => {
            let retry_at = reset_of(&received, now);
            let retry_after = now.duration_until(retry_at).try_into().unwrap_or(Duration::ZERO);
            let cooldown = Cooldown { why: Why::RateLimited, since: now, until: retry_at };
            refused(Refusal::SharedRateLimited { retry_at, retry_after }, Some(cooldown))
        }
        400..=499 => Classification {
            execution: ExecutionOutcome::Refused,
            answer: error_of_its_own(received),
            cooldown: None,
        },
        500..=599 => Classification {
            execution: ExecutionOutcome::Unknown,
            answer: error_of_its_own(received),
            cooldown: None,
        },
        // An unrequested 101, a 3xx after which the call may have been executed, or a status that
        // does not exist.
        _ => Classification {
            execution: ExecutionOutcome::Unknown,
            answer: Err(Refusal::UpstreamBroken),
            cooldown: None,
        },
    }
}

fn cooldown(why: Why, now: Timestamp) -> Option<Cooldown> {
    now.checked_add(COOLDOWN).ok().map(|until| Cooldown { why, since: now, until })
}

fn pass(received: Received) -> UpstreamResponse {
    let header = |name| received.head.headers.get(name).map(apart);
    UpstreamResponse {
        status: received.head.status,
        content_type: header(CONTENT_TYPE),
        content_encoding: header(CONTENT_ENCODING),
        body: received.body,
        answer_permit: received.answer_permit,
    }
}

/// Copies a header value: as received it would pin its connection's read buffer for as long as it
/// is kept.
fn apart(value: &HeaderValue) -> HeaderValue {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    if value == JSON { JSON } else { HeaderValue::from_bytes(value.as_bytes()).unwrap_or(JSON) }
}

/// Passes on the upstream's error if it is JSON, so that Firemoon's clients show its message; HTML
/// and plain text are replaced.
fn error_of_its_own(received: Received) -> Result<UpstreamResponse, Refusal> {
    let is_json = serde_json::from_slice::<IgnoredAny>(&received.body).is_ok();
    match received.head.status {
        _ if is_json => Ok(pass(received)),
        StatusCode::BAD_GATEWAY => Err(Refusal::UpstreamBroken),
        StatusCode::GATEWAY_TIMEOUT => Err(Refusal::UpstreamTimeout),
        status => Err(Refusal::UpstreamError { status }),
    }
}

/// Parts of an error about the account.
#[derive(Deserialize)]
struct ErrorText {
    #[serde(default)]
    error: String,
    #[serde(default)]
    message: String,
}

/// Whether an error says that the account is suspended. An error about a provider quotes a word of
/// the caller's and is never about the account.
fn is_suspension(body: &[u8]) -> bool {
    let Ok(ErrorText { error, message }) = serde_json::from_slice(body) else { return false };
    let text = format!("{error} {message}").to_ascii_lowercase();
    text.contains("suspend") && !text.contains("provider")
}

/// When an error says that the window resets.
#[derive(Deserialize)]
struct Reset {
    #[serde(rename = "resetAt")]
    reset_at: Timestamp,
}

/// When the upstream accepts calls again: by its headers or body, between a second and a day from
/// now; otherwise in a minute.
fn reset_of(received: &Received, now: Timestamp) -> Timestamp {
    let number =
        |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok()?.parse::<i64>().ok();
    let stated = serde_json::from_slice::<Reset>(&received.body).ok().map(|reset| reset.reset_at);
    let headers = &received.head.headers;
    let counted = || Timestamp::from_second(number(headers, "x-ratelimit-reset")?).ok();
    let waited = || {
        now.checked_add(Duration::from_secs(
            number(headers, RETRY_AFTER.as_str())?.try_into().ok()?,
        ))
        .ok()
    };
    let bound = |wait: Duration| now.checked_add(wait).unwrap_or(now);
    let reset = stated.or_else(counted).or_else(waited).unwrap_or_else(|| bound(COOLDOWN));
    reset.clamp(bound(Duration::from_secs(1)), bound(Duration::from_secs(24 * 3600)))
}
