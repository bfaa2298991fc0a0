//! Messages of refusals: fixed texts, or built from the caller's own input and the team's own
//! limits.

use std::time::Duration;

use http::StatusCode;

use super::{Refusal, whole_seconds};
use crate::team::TeamId;

impl Refusal {
    /// The message, one sentence.
    #[must_use]
    pub fn message(&self) -> String {
        let fixed = match self {
            Self::InvalidRequest(_) => "The request is malformed",
            Self::InvalidPath => {
                "The path must be plain: no encoded or backward slashes, dot segments or \
                 control characters"
            }
            Self::InvalidBody(_) => "Input validation failed",
            Self::CredentialMissing => {
                "Send your credential in the header Authorization (Bearer <credential>) or \
                 in X-API-Key"
            }
            Self::OperatorTokenMissing => {
                "Send an operator's token in the header Authorization (Bearer <token>)"
            }
            Self::CredentialInvalid => "The credential is not valid for this gateway",
            Self::CredentialExpired => "The credential has expired: get a new one",
            Self::CredentialRevoked => {
                "The credential has been revoked: ask the operators of this gateway for a new one"
            }
            Self::TeamSuspended => "Access is suspended: ask the operators of this gateway",
            Self::TeamUnknown => {
                "The credential belongs to no team of this gateway: ask its operators"
            }
            Self::TeamNotTheirs => {
                "The credential does not belong to the team that X-Moongate-Team names"
            }
            Self::TeamAmbiguous(teams) if teams.is_empty() => {
                "The credential belongs to several teams: choose one of them with X-Moongate-Team"
            }
            Self::RoleNotAllowed => {
                "This token may only read: a change needs a token with the role write"
            }
            Self::RouteNotFound => "This gateway has no such route",
            Self::RequestNotFound => "Your team has no call with this id",
            Self::TeamNotFound => "There is no such team in the configuration",
            Self::CallNotFound => "No call with this id is known",
            Self::KeyNotFound => "There is no such gateway key",
            Self::KeyConflict(why) | Self::TopUpConflict(why) => why,
            Self::BodyTimeout => "The body did not arrive in time",
            Self::MediaTypeUnsupported => {
                "The body must be JSON and not compressed: send Content-Type: application/json \
                 and no Content-Encoding"
            }
            Self::HeadersTooLarge => "The headers are too large",
            Self::IdempotencyInProgress => {
                "A call with this Idempotency-Key is still running: send it again later \
                 for its answer"
            }
            Self::IdempotencyLost => {
                "The call with this Idempotency-Key was cut off and its answer is lost. It may \
                 have been executed, so it is not made again; to have it made anyway, \
                 use another key"
            }
            Self::IdempotencyMismatch => {
                "This Idempotency-Key was used for another call: use a new key, or send what \
                 was sent before"
            }
            Self::Internal => {
                "The gateway failed, which is a fault of its own: tell its operators the request id"
            }
            Self::UpstreamUnreachable => {
                "The generation service cannot be reached; nothing was charged"
            }
            Self::UpstreamBroken => {
                "The generation service's answer was cut short or cannot be used"
            }
            Self::UpstreamKeyRejected => {
                "The generation service refused the shared key: the operators of this gateway \
                 must renew it"
            }
            Self::QueueFull => "Too many calls are waiting for the shared account; try again",
            Self::SharedCreditsExhausted => {
                "The shared account has no credits left: the operators of this gateway \
                 must add some"
            }
            Self::LedgerUnavailable => "The gateway's ledger does not answer now; try again",
            Self::IdentityUnavailable => {
                "The credential cannot be checked now, because the keys for that cannot be \
                 read; try again"
            }
            Self::Draining => "The gateway is stopping; try again",
            Self::Overloaded => "The gateway is overloaded; try again",
            Self::UpstreamUnavailable { .. } => {
                "The generation service fails again and again and is not called for a moment; \
                 nothing was charged"
            }
            Self::UpstreamTimeout => "The generation service did not answer in time",
            Self::UpstreamError { .. } => "The generation service failed without saying why",
            Self::TeamAmbiguous(teams) => {
                let teams = teams.iter().map(TeamId::as_str).collect::<Vec<_>>().join(", ");
                return format!(
                    "The credential belongs to several teams ({teams}): choose one of them with \
                     X-Moongate-Team"
                );
            }
            Self::BudgetExhausted(bound) => return bound.budget_message(),
            Self::RateLimited(bound)
            | Self::QuotaExhausted(bound)
            | Self::TooManyConcurrent(bound) => {
                return try_again_in(bound.retry_after);
            }
            Self::SharedRateLimited { retry_after, .. }
            | Self::TooManyFailures { retry_after, .. }
            | Self::TooManyGuesses { retry_after, .. } => {
                return try_again_in(Some(*retry_after));
            }
            Self::IdempotencyAnswerGone(call) => {
                return format!(
                    "The call with this Idempotency-Key was made, but its answer is not kept any \
                     more, or was too large to keep: {call}. It is not made again; to have it \
                     made anew, use another key"
                );
            }
            Self::ModelNotAllowed(model) => {
                return format!("Your team may not use the model {model}");
            }
            Self::ModelNotAllowedToKey(model) => {
                return format!("This gateway key may not use the model {model}");
            }
            Self::ModelUnknown(model) => {
                return format!("Model configuration not found for {model}");
            }
            Self::ModelUnpriced { model, nearest } => {
                let meant = nearest
                    .as_ref()
                    .map(|nearest| format!("; did you mean {nearest}?"))
                    .unwrap_or_default();
                return format!(
                    "Model configuration not found for {model}: the operators of this gateway \
                     have set no price for it{meant}"
                );
            }
            Self::MethodNotAllowed { allow } => return format!("This route takes only {allow}"),
            Self::BodyTooLarge { bytes_max } => {
                return format!("The body is larger than {bytes_max} bytes");
            }
        };
        fixed.to_owned()
    }

    /// Single problems, for a refusal that lists them; the status of the limit that refused.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        if let Self::InvalidRequest(problems) | Self::InvalidBody(problems) = self {
            return problems.clone();
        }
        if let Self::TooManyFailures { .. } = self {
            return vec!["too many credentials from your address were refused".to_owned()];
        }
        if let Self::TooManyGuesses { .. } = self {
            return vec!["your address asked for too many models that may not exist".to_owned()];
        }
        match self.bound() {
            Some(bound) if self.kind().status == StatusCode::TOO_MANY_REQUESTS => {
                vec![bound.explanation()]
            }
            Some(_) | None => Vec::new(),
        }
    }
}

/// Firemoon's own sentence, which its clients print.
fn try_again_in(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("Rate limit exceeded. Try again in {} seconds.", whole_seconds(wait)),
        None => "Rate limit exceeded. Trying again will not help: the limit is 0.".to_owned(),
    }
}
