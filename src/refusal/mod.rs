//! Every error a caller can get, as one closed enum. `words` has the messages, [`bound`] the limit
//! that refused, [`spent_call`] the earlier call, [`body`] the documented form. The layer that
//! turns a refusal into an answer is in [`crate::answer`].

pub mod body;
pub mod bound;
#[cfg(test)]
#[allow(clippy::expect_used)]
mod golden;
pub mod source;
pub mod spent_call;
mod words;

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

pub use bound::Bound;
pub use source::Source;
pub use spent_call::SpentCall;

use crate::model::ModelId;
use crate::team::TeamId;

/// Why a request is refused. Each variant has one documented `code`. Texts are fixed, or built from
/// the caller's own input and the team's own limits, never from an internal error.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The request is malformed; every problem found.
    InvalidRequest(Vec<String>),
    /// The path has encoded separators, dot segments, control characters or the like.
    InvalidPath,
    /// The body is not one JSON object, or a member that decides the price is out of range; every
    /// problem found.
    InvalidBody(Vec<String>),
    /// No credential was sent.
    CredentialMissing,
    /// No operator's token was sent to the operator's API.
    OperatorTokenMissing,
    /// The credential is not valid. Does not say which part was wrong: that would help an attacker.
    CredentialInvalid,
    /// The credential was valid and has expired.
    CredentialExpired,
    /// The credential was valid and an operator revoked it.
    CredentialRevoked,
    /// The call would exceed a credit budget.
    BudgetExhausted(Box<Bound>),
    /// The team may not use this model.
    ModelNotAllowed(ModelId),
    /// The gateway key may not use this model, though its team may.
    ModelNotAllowedToKey(ModelId),
    /// An operator has suspended the team or the user.
    TeamSuspended,
    /// The credential is good, but maps to no team.
    TeamUnknown,
    /// The credential maps to several teams and the caller chose none: those teams, where they are
    /// known.
    TeamAmbiguous(Vec<TeamId>),
    /// The caller chose a team that the credential does not map to.
    TeamNotTheirs,
    /// The operator's token may read, but not change anything.
    RoleNotAllowed,
    /// The path is not in the table of routes.
    RouteNotFound,
    /// No such model exists.
    ModelUnknown(ModelId),
    /// The caller may use the model, but the operator has given it no price.
    ModelUnpriced {
        /// The model.
        model: ModelId,
        /// The model that may have been meant, among those that the caller may use.
        nearest: Option<ModelId>,
    },
    /// The team has no such request.
    RequestNotFound,
    /// An operator asked for a team that is not configured.
    TeamNotFound,
    /// An operator asked for a gateway key that does not exist.
    KeyNotFound,
    /// No team has made a call with this id.
    CallNotFound,
    /// The gateway key's state does not allow this; says why.
    KeyConflict(&'static str),
    /// The prepaid budget cannot be topped up like this; says why.
    TopUpConflict(&'static str),
    /// A known path with another method.
    MethodNotAllowed {
        /// The methods that the path has.
        allow: &'static str,
    },
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than allowed.
    BodyTooLarge {
        /// The largest allowed, in bytes.
        bytes_max: u64,
    },
    /// The body is not declared as JSON.
    MediaTypeUnsupported,
    /// A header, or all of them together, are too large.
    HeadersTooLarge,
    /// The call with this idempotency key did not end within the time a caller waits for it.
    IdempotencyInProgress,
    /// The call with this idempotency key was sent by a replica that died before its outcome was
    /// known.
    IdempotencyLost,
    /// The call with this idempotency key has ended, and its answer was too large to keep or has
    /// been evicted.
    IdempotencyAnswerGone(SpentCall),
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// Too many credentials failed from the caller's address; this one failed too, or was not
    /// checked.
    TooManyFailures {
        /// When the next one is checked.
        retry_at: Timestamp,
        /// How long until then.
        retry_after: Duration,
    },
    /// The caller's address asked for too many models that are not known to exist.
    TooManyGuesses {
        /// When the next one is looked up.
        retry_at: Timestamp,
        /// How long until then.
        retry_after: Duration,
    },
    /// A token bucket is empty.
    RateLimited(Box<Bound>),
    /// A day's or month's calls are used up.
    QuotaExhausted(Box<Bound>),
    /// Every slot is taken.
    TooManyConcurrent(Box<Bound>),
    /// The shared account's own rate limit was hit.
    SharedRateLimited {
        /// When the upstream takes calls again.
        retry_at: Timestamp,
        /// How long until then.
        retry_after: Duration,
    },
    /// A bug in the gateway. Counted, and raises an alarm.
    Internal,
    /// The upstream cannot be connected to.
    UpstreamUnreachable,
    /// The upstream's answer is not HTTP, was cut, or redirects.
    UpstreamBroken,
    /// The upstream refused the shared key.
    UpstreamKeyRejected,
    /// The queue for the shared account is full.
    QueueFull,
    /// The shared account has no credits left.
    SharedCreditsExhausted,
    /// The ledger does not answer, and nothing may be spent without it.
    LedgerUnavailable,
    /// No key of the token's issuer has been read, or not for too long, so the token cannot be
    /// verified.
    IdentityUnavailable,
    /// The gateway is stopping.
    Draining,
    /// Too much memory is taken, or too many calls are in flight.
    Overloaded,
    /// The circuit breaker is open: the upstream has failed too often.
    UpstreamUnavailable {
        /// How long until the next attempt.
        retry_after: Duration,
    },
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream answered with an error whose body is not JSON. Its status is kept, the body is
    /// ours.
    UpstreamError {
        /// The status.
        status: StatusCode,
    },
}

/// The fixed part of a refusal: status, code, Firemoon's error title, and source.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code.
    pub code: &'static str,
    /// The `error` member.
    pub title: &'static str,
    /// Who is at fault.
    pub source: Source,
}

const fn kind(status: StatusCode, code: &'static str, title: &'static str, source: Source) -> Kind {
    Kind { status, code, title, source }
}

impl Refusal {
    /// Returns the fixed part of the refusal.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        use Source::{Caller, Gateway, Policy, Upstream};
        match self {
            Self::InvalidRequest(_) => {
                kind(StatusCode::BAD_REQUEST, "invalid_request", INVALID, Caller)
            }
            Self::InvalidPath => kind(StatusCode::BAD_REQUEST, "invalid_path", INVALID, Caller),
            Self::InvalidBody(_) => kind(StatusCode::BAD_REQUEST, "invalid_body", INVALID, Caller),
            Self::CredentialMissing => {
                kind(StatusCode::UNAUTHORIZED, "credential_missing", BAD_KEY, Caller)
            }
            Self::OperatorTokenMissing => {
                kind(StatusCode::UNAUTHORIZED, "credential_missing", BAD_KEY, Caller)
            }
            Self::CredentialInvalid => {
                kind(StatusCode::UNAUTHORIZED, "credential_invalid", BAD_KEY, Caller)
            }
            Self::CredentialExpired => {
                kind(StatusCode::UNAUTHORIZED, "credential_expired", BAD_KEY, Caller)
            }
            Self::CredentialRevoked => {
                kind(StatusCode::UNAUTHORIZED, "credential_revoked", BAD_KEY, Caller)
            }
            Self::BudgetExhausted(_) => {
                kind(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", NO_CREDITS, Policy)
            }
            Self::ModelNotAllowed(_) | Self::ModelNotAllowedToKey(_) => {
                kind(StatusCode::FORBIDDEN, "model_not_allowed", DENIED, Policy)
            }
            Self::TeamSuspended => kind(StatusCode::FORBIDDEN, "team_suspended", DENIED, Policy),
            Self::TeamUnknown | Self::TeamAmbiguous(_) | Self::TeamNotTheirs => {
                kind(StatusCode::FORBIDDEN, "team_unknown", DENIED, Policy)
            }
            Self::RoleNotAllowed => kind(StatusCode::FORBIDDEN, "role_not_allowed", DENIED, Policy),
            Self::RouteNotFound => {
                kind(StatusCode::NOT_FOUND, "route_not_found", NOT_FOUND, Caller)
            }
            Self::ModelUnknown(_) | Self::ModelUnpriced { .. } => {
                kind(StatusCode::NOT_FOUND, "model_unknown", "Model not found", Caller)
            }
            Self::RequestNotFound => {
                kind(StatusCode::NOT_FOUND, "request_not_found", NOT_FOUND, Caller)
            }
            Self::TeamNotFound => kind(StatusCode::NOT_FOUND, "team_not_found", NOT_FOUND, Caller),
            Self::CallNotFound => kind(StatusCode::NOT_FOUND, "call_not_found", NOT_FOUND, Caller),
            Self::KeyNotFound => kind(StatusCode::NOT_FOUND, "key_not_found", NOT_FOUND, Caller),
            Self::KeyConflict(_) => kind(StatusCode::CONFLICT, "key_conflict", "Conflict", Caller),
            Self::TopUpConflict(_) => {
                kind(StatusCode::CONFLICT, "topup_conflict", "Conflict", Caller)
            }
            Self::MethodNotAllowed { .. } => kind(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                Caller,
            ),
            Self::BodyTimeout => kind(StatusCode::REQUEST_TIMEOUT, "body_timeout", INVALID, Caller),
            Self::BodyTooLarge { .. } => {
                kind(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", INVALID, Caller)
            }
            Self::MediaTypeUnsupported => {
                kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", INVALID, Caller)
            }
            Self::HeadersTooLarge => kind(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                INVALID,
                Caller,
            ),
            Self::IdempotencyInProgress => {
                kind(StatusCode::CONFLICT, "idempotency_in_progress", CONFLICT, Caller)
            }
            Self::IdempotencyLost => {
                kind(StatusCode::CONFLICT, "idempotency_lost", CONFLICT, Gateway)
            }
            Self::IdempotencyAnswerGone(_) => {
                kind(StatusCode::CONFLICT, "idempotency_answer_gone", CONFLICT, Gateway)
            }
            Self::IdempotencyMismatch => {
                kind(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", CONFLICT, Caller)
            }
            Self::TooManyFailures { .. } | Self::TooManyGuesses { .. } => {
                kind(StatusCode::TOO_MANY_REQUESTS, "rate_limited", TOO_FAST, Caller)
            }
            Self::RateLimited(_) => {
                kind(StatusCode::TOO_MANY_REQUESTS, "rate_limited", TOO_FAST, Policy)
            }
            Self::QuotaExhausted(_) => {
                kind(StatusCode::TOO_MANY_REQUESTS, "quota_exhausted", TOO_FAST, Policy)
            }
            Self::TooManyConcurrent(_) => {
                kind(StatusCode::TOO_MANY_REQUESTS, "too_many_concurrent", TOO_FAST, Policy)
            }
            Self::SharedRateLimited { .. } => {
                kind(StatusCode::TOO_MANY_REQUESTS, "shared_rate_limited", TOO_FAST, Upstream)
            }
            Self::Internal => {
                kind(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Gateway error", Gateway)
            }
            Self::UpstreamUnreachable => {
                kind(StatusCode::BAD_GATEWAY, "upstream_unreachable", FAILED, Upstream)
            }
            Self::UpstreamBroken => {
                kind(StatusCode::BAD_GATEWAY, "upstream_broken", FAILED, Upstream)
            }
            Self::UpstreamKeyRejected => {
                kind(StatusCode::BAD_GATEWAY, "upstream_key_rejected", FAILED, Gateway)
            }
            Self::QueueFull => kind(StatusCode::SERVICE_UNAVAILABLE, "queue_full", AWAY, Gateway),
            Self::SharedCreditsExhausted => {
                kind(StatusCode::SERVICE_UNAVAILABLE, "shared_credits_exhausted", AWAY, Gateway)
            }
            Self::LedgerUnavailable => {
                kind(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", AWAY, Gateway)
            }
            Self::IdentityUnavailable => {
                kind(StatusCode::SERVICE_UNAVAILABLE, "identity_unavailable", AWAY, Gateway)
            }
            Self::Draining => kind(StatusCode::SERVICE_UNAVAILABLE, "draining", AWAY, Gateway),
            Self::Overloaded => kind(StatusCode::SERVICE_UNAVAILABLE, "overloaded", AWAY, Gateway),
            Self::UpstreamUnavailable { .. } => {
                kind(StatusCode::SERVICE_UNAVAILABLE, "upstream_unavailable", AWAY, Upstream)
            }
            Self::UpstreamTimeout => kind(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "Upstream timed out",
                Upstream,
            ),
            Self::UpstreamError { status } => kind(*status, "upstream_broken", FAILED, Upstream),
        }
    }

    /// When the same request could pass, if that is known.
    #[must_use]
    pub fn reset_at(&self) -> Option<Timestamp> {
        if let Self::SharedRateLimited { retry_at, .. }
        | Self::TooManyFailures { retry_at, .. }
        | Self::TooManyGuesses { retry_at, .. } = self
        {
            return Some(*retry_at);
        }
        self.bound().and_then(|bound| bound.reset_at)
    }

    /// How long to wait before another try: on 429, and on a 503 that is temporary.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::SharedRateLimited { retry_after, .. }
        | Self::TooManyFailures { retry_after, .. }
        | Self::TooManyGuesses { retry_after, .. }
        | Self::UpstreamUnavailable { retry_after } = self
        {
            return Some(*retry_after);
        }
        let kind = self.kind();
        match kind.status {
            StatusCode::TOO_MANY_REQUESTS => self.bound().and_then(|bound| bound.retry_after),
            StatusCode::SERVICE_UNAVAILABLE if !matches!(self, Self::SharedCreditsExhausted) => {
                Some(PASSES_IN)
            }
            _ => None,
        }
    }

    /// The limit that refused, with the limits to report in the rate-limit headers.
    #[must_use]
    pub fn bound(&self) -> Option<&Bound> {
        if let Self::RateLimited(bound)
        | Self::QuotaExhausted(bound)
        | Self::TooManyConcurrent(bound)
        | Self::BudgetExhausted(bound) = self
        {
            return Some(bound);
        }
        None
    }
}

/// `Retry-After` when the gateway is away for a moment.
const PASSES_IN: Duration = Duration::from_secs(1);

/// Whole seconds, rounded up, at least one, so that a caller who waits this long is never too
/// early.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

const INVALID: &str = "Invalid input";
const BAD_KEY: &str = "Invalid API key";
const NO_CREDITS: &str = "Insufficient credits";
const DENIED: &str = "Access denied";
const NOT_FOUND: &str = "Not found";
const CONFLICT: &str = "Idempotency conflict";
const TOO_FAST: &str = "Rate limit exceeded";
const FAILED: &str = "Upstream failed";
const AWAY: &str = "Temporarily unavailable";
