//! How the gateway says no: one closed enum. `words` is what it says, [`bound`] the limit that it speaks of,
//! [`spent_call`] the call; [`body`] is the one documented form of it. The layer that puts every refusal into that form
//! is [`crate::answer`]'s.

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

/// Why a request is refused. Each variant is one documented `code`; texts are fixed or built from the caller's own
/// input and the team's own limits, never from an internal error.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The request is malformed; every problem found.
    InvalidRequest(Vec<String>),
    /// The path has encoded separators, dot segments, control characters or the like.
    InvalidPath,
    /// The body is not one JSON object, or a member that decides the price is out of range; every problem found.
    InvalidBody(Vec<String>),
    /// No credential was sent.
    CredentialMissing,
    /// No operator's token was sent to the operator's API.
    OperatorTokenMissing,
    /// The credential is not one of ours. Says no more: which part was wrong is not the caller's to know.
    CredentialInvalid,
    /// It was one of ours, and its time is over.
    CredentialExpired,
    /// It was one of ours, and an operator took it back.
    CredentialRevoked,
    /// A credit budget would be passed.
    BudgetExhausted(Box<Bound>),
    /// The team may not use this model.
    ModelNotAllowed(ModelId),
    /// The gateway key may not use this model, though its team may.
    ModelNotAllowedToKey(ModelId),
    /// An operator has suspended the team or the user.
    TeamSuspended,
    /// The credential is good, but maps to no team.
    TeamUnknown,
    /// It maps to several, and the caller chose none of them: these, as far as they are known.
    TeamAmbiguous(Vec<TeamId>),
    /// The caller chose a team that the credential does not map to.
    TeamNotTheirs,
    /// The operator's token may look, but not change.
    RoleNotAllowed,
    /// Not in the table of routes.
    RouteNotFound,
    /// There is no such model.
    ModelUnknown(ModelId),
    /// The caller may use the model, but the operator has given it no price.
    ModelUnpriced {
        /// The model.
        model: ModelId,
        /// The one that may have been meant, among those that the caller may use.
        nearest: Option<ModelId>,
    },
    /// No such request of this team.
    RequestNotFound,
    /// An operator asked about a team that is not configured.
    TeamNotFound,
    /// An operator asked about a gateway key that there is not.
    KeyNotFound,
    /// The gateway key is not in a state in which this can be done; says why not.
    KeyConflict(&'static str),
    /// The prepaid budget cannot be topped up like this; says why not.
    TopUpConflict(&'static str),
    /// A known path with another method.
    MethodNotAllowed {
        /// The methods it has.
        allow: &'static str,
    },
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than allowed.
    BodyTooLarge {
        /// The most it may be, in bytes.
        bytes_max: u64,
    },
    /// The body is not declared as JSON.
    MediaTypeUnsupported,
    /// A header, or all of them together, are too large.
    HeadersTooLarge,
    /// The call with this idempotency key did not end in the time a caller waits for it.
    IdempotencyInProgress,
    /// The call with this idempotency key was sent by a replica that died before it told what became of it.
    IdempotencyLost,
    /// The call with this idempotency key has ended, and its answer was too large to keep, or has given way to newer
    /// ones.
    IdempotencyAnswerGone(SpentCall),
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// Too many credentials failed at the caller's address, and this one is no good either, or was not looked at.
    TooManyFailures {
        /// When the next one is looked at.
        retry_at: Timestamp,
        /// How long that is from now.
        retry_after: Duration,
    },
    /// The caller's address asked for too many models that nobody knows to exist.
    TooManyGuesses {
        /// When the next one is looked for.
        retry_at: Timestamp,
        /// How long that is from now.
        retry_after: Duration,
    },
    /// A token bucket is empty.
    RateLimited(Box<Bound>),
    /// The calls of a day or month are used up.
    QuotaExhausted(Box<Bound>),
    /// Every slot is taken.
    TooManyConcurrent(Box<Bound>),
    /// The shared account's own rate limit.
    SharedRateLimited {
        /// When the upstream takes calls again.
        retry_at: Timestamp,
        /// How long that is from now.
        retry_after: Duration,
    },
    /// A bug. Counted and alarmed.
    Internal,
    /// No connection to the upstream.
    UpstreamUnreachable,
    /// The upstream's answer is not HTTP, was cut, or redirects.
    UpstreamBroken,
    /// The upstream refused the shared key.
    UpstreamKeyRejected,
    /// The queue for the shared account is full.
    QueueFull,
    /// The shared account has no credits left.
    SharedCreditsExhausted,
    /// The ledger does not answer, and nothing is spent without it.
    LedgerUnavailable,
    /// No key of the token's issuer could be read yet, or for too long, so nothing can be said of the token.
    IdentityUnavailable,
    /// The gateway is stopping.
    Draining,
    /// Too much is buffered or in flight.
    Overloaded,
    /// The upstream has failed too often; it is left alone for a while.
    UpstreamUnavailable {
        /// How long until it is looked at again.
        retry_after: Duration,
    },
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream answered with an error of its own whose body is not JSON: the status is kept, the body is ours.
    UpstreamError {
        /// Its status.
        status: StatusCode,
    },
}

/// What never changes about a refusal: status, code, Firemoon's error title, and whose fault it is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code.
    pub code: &'static str,
    /// The `error` member.
    pub title: &'static str,
    /// Whose fault.
    pub source: Source,
}

const fn kind(status: StatusCode, code: &'static str, title: &'static str, source: Source) -> Kind {
    Kind { status, code, title, source }
}

impl Refusal {
    /// The fixed part of the refusal.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        use Source::{Caller, Gateway, Policy, Upstream};
        match self {
            Self::InvalidRequest(_) => kind(StatusCode::BAD_REQUEST, "invalid_request", INVALID, Caller),
            Self::InvalidPath => kind(StatusCode::BAD_REQUEST, "invalid_path", INVALID, Caller),
            Self::InvalidBody(_) => kind(StatusCode::BAD_REQUEST, "invalid_body", INVALID, Caller),
            Self::CredentialMissing => kind(StatusCode::UNAUTHORIZED, "credential_missing", BAD_KEY, Caller),
            Self::OperatorTokenMissing => kind(StatusCode::UNAUTHORIZED, "credential_missing", BAD_KEY, Caller),
            Self::CredentialInvalid => kind(StatusCode::UNAUTHORIZED, "credential_invalid", BAD_KEY, Caller),
            Self::CredentialExpired => kind(StatusCode::UNAUTHORIZED, "credential_expired", BAD_KEY, Caller),
            Self::CredentialRevoked => kind(StatusCode::UNAUTHORIZED, "credential_revoked", BAD_KEY, Caller),
            Self::BudgetExhausted(_) => kind(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", NO_CREDITS, Policy),
            Self::ModelNotAllowed(_) | Self::ModelNotAllowedToKey(_) => {
                kind(StatusCode::FORBIDDEN, "model_not_allowed", DENIED, Policy)
            }
            Self::TeamSuspended => kind(StatusCode::FORBIDDEN, "team_suspended", DENIED, Policy),
            Self::TeamUnknown | Self::TeamAmbiguous(_) | Self::TeamNotTheirs => {
                kind(StatusCode::FORBIDDEN, "team_unknown", DENIED, Policy)
            }
            Self::RoleNotAllowed => kind(StatusCode::FORBIDDEN, "role_not_allowed", DENIED, Policy),
            Self::RouteNotFound => kind(StatusCode::NOT_FOUND, "route_not_found", NOT_FOUND, Caller),
            Self::ModelUnknown(_) | Self::ModelUnpriced { .. } => {
                kind(StatusCode::NOT_FOUND, "model_unknown", "Model not found", Caller)
            }
            Self::RequestNotFound => kind(StatusCode::NOT_FOUND, "request_not_found", NOT_FOUND, Caller),
            Self::TeamNotFound => kind(StatusCode::NOT_FOUND, "team_not_found", NOT_FOUND, Caller),
            Self::KeyNotFound => kind(StatusCode::NOT_FOUND, "key_not_found", NOT_FOUND, Caller),
            Self::KeyConflict(_) => kind(StatusCode::CONFLICT, "key_conflict", "Conflict", Caller),
            Self::TopUpConflict(_) => kind(StatusCode::CONFLICT, "topup_conflict", "Conflict", Caller),
            Self::MethodNotAllowed { .. } => {
                kind(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", Caller)
            }
            Self::BodyTimeout => kind(StatusCode::REQUEST_TIMEOUT, "body_timeout", INVALID, Caller),
            Self::BodyTooLarge { .. } => kind(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", INVALID, Caller),
            Self::MediaTypeUnsupported => {
                kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", INVALID, Caller)
            }
            Self::HeadersTooLarge => {
                kind(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", INVALID, Caller)
            }
            Self::IdempotencyInProgress => kind(StatusCode::CONFLICT, "idempotency_in_progress", CONFLICT, Caller),
            Self::IdempotencyLost => kind(StatusCode::CONFLICT, "idempotency_lost", CONFLICT, Gateway),
            Self::IdempotencyAnswerGone(_) => kind(StatusCode::CONFLICT, "idempotency_answer_gone", CONFLICT, Gateway),
            Self::IdempotencyMismatch => {
                kind(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", CONFLICT, Caller)
            }
            Self::TooManyFailures { .. } | Self::TooManyGuesses { .. } => {
                kind(StatusCode::TOO_MANY_REQUESTS, "rate_limited", TOO_FAST, Caller)
            }
            Self::RateLimited(_) => kind(StatusCode::TOO_MANY_REQUESTS, "rate_limited", TOO_FAST, Policy),
            Self::QuotaExhausted(_) => kind(StatusCode::TOO_MANY_REQUESTS, "quota_exhausted", TOO_FAST, Policy),
            Self::TooManyConcurrent(_) => kind(StatusCode::TOO_MANY_REQUESTS, "too_many_concurrent", TOO_FAST, Policy),
            Self::SharedRateLimited { .. } => {
                kind(StatusCode::TOO_MANY_REQUESTS, "shared_rate_limited", TOO_FAST, Upstream)
            }
            Self::Internal => kind(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Gateway error", Gateway),
            Self::UpstreamUnreachable => kind(StatusCode::BAD_GATEWAY, "upstream_unreachable", FAILED, Upstream),
            Self::UpstreamBroken => kind(StatusCode::BAD_GATEWAY, "upstream_broken", FAILED, Upstream),
            Self::UpstreamKeyRejected => kind(StatusCode::BAD_GATEWAY, "upstream_key_rejected", FAILED, Gateway),
            Self::QueueFull => kind(StatusCode::SERVICE_UNAVAILABLE, "queue_full", AWAY, Gateway),
            Self::SharedCreditsExhausted => {
                kind(StatusCode::SERVICE_UNAVAILABLE, "shared_credits_exhausted", AWAY, Gateway)
            }
            Self::LedgerUnavailable => kind(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", AWAY, Gateway),
            Self::IdentityUnavailable => kind(StatusCode::SERVICE_UNAVAILABLE, "identity_unavailable", AWAY, Gateway),
            Self::Draining => kind(StatusCode::SERVICE_UNAVAILABLE, "draining", AWAY, Gateway),
            Self::Overloaded => kind(StatusCode::SERVICE_UNAVAILABLE, "overloaded", AWAY, Gateway),
            Self::UpstreamUnavailable { .. } => {
                kind(StatusCode::SERVICE_UNAVAILABLE, "upstream_unavailable", AWAY, Upstream)
            }
            Self::UpstreamTimeout => {
                kind(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "Upstream timed out", Upstream)
            }
            Self::UpstreamError { status } => kind(*status, "upstream_broken", FAILED, Upstream),
        }
    }

    /// When the same request could pass, where that is known.
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

    /// How long to wait before another try: on 429, and on a 503 that passes by itself.
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
            StatusCode::SERVICE_UNAVAILABLE if !matches!(self, Self::SharedCreditsExhausted) => Some(PASSES_IN),
            _ => None,
        }
    }

    /// The limits to show in the answer's rate-limit headers, when the refusal came from one.
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

/// What a caller is asked to wait when the gateway is away for a moment.
const PASSES_IN: Duration = Duration::from_secs(1);

/// Whole seconds, rounded up, at least one: a caller who waits this long is never too early.
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
