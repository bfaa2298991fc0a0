//! Outcome of a request, for metrics and access log.

use http::StatusCode;

use crate::refusal::{Kind, Source};

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// The upstream failed or refused.
    UpstreamError,
    /// The gateway refused.
    Refused,
    /// The caller left before the answer.
    Abandoned,
}

impl Outcome {
    /// All values.
    pub const ALL: [Self; 4] = [Self::Ok, Self::UpstreamError, Self::Refused, Self::Abandoned];

    /// Value of the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UpstreamError => "upstream_error",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }

    /// Outcome of a refusal. A 502 or 504 is the upstream's failure, even if the operator caused
    /// it.
    #[must_use]
    pub fn of_refusal(kind: &Kind) -> Self {
        let upstream_failed =
            [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(&kind.status);
        match kind.source {
            Source::Upstream => Self::UpstreamError,
            Source::Gateway if upstream_failed => Self::UpstreamError,
            Source::Caller | Source::Policy | Source::Gateway => Self::Refused,
        }
    }

    /// Outcome of an answer that is no refusal: an error in it came from the upstream.
    #[must_use]
    pub fn of_answer(status: StatusCode) -> Self {
        if status.as_u16() < 400 { Self::Ok } else { Self::UpstreamError }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Refusal;

    #[test]
    fn an_upstream_failure_is_distinguished_from_a_gateways_refusal() {
        for (refusal, outcome) in [
            (Refusal::CredentialMissing, Outcome::Refused),
            (Refusal::LedgerUnavailable, Outcome::Refused),
            (Refusal::Internal, Outcome::Refused),
            (Refusal::UpstreamTimeout, Outcome::UpstreamError),
            (Refusal::UpstreamKeyRejected, Outcome::UpstreamError),
            (
                Refusal::UpstreamError { status: StatusCode::PAYLOAD_TOO_LARGE },
                Outcome::UpstreamError,
            ),
        ] {
            assert_eq!(Outcome::of_refusal(&refusal.kind()), outcome, "{refusal:?}");
        }
        assert_eq!(Outcome::of_answer(StatusCode::OK), Outcome::Ok);
        assert_eq!(Outcome::of_answer(StatusCode::BAD_REQUEST), Outcome::UpstreamError);
    }
}
