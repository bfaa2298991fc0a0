//! What became of a request, in one word of a closed list: for the metrics and the access line.

use http::StatusCode;

use crate::refusal::{Kind, Source};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// The upstream failed, or said no itself.
    UpstreamError,
    /// The gateway said no.
    Refused,
    /// The caller left before the answer.
    Abandoned,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::UpstreamError, Self::Refused, Self::Abandoned];

    /// The label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UpstreamError => "upstream_error",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }

    /// The outcome of a refusal. A 502 or 504 is the upstream's failure even when it is the operator's fault.
    #[must_use]
    pub fn of_refusal(kind: &Kind) -> Self {
        let upstream_failed = [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(&kind.status);
        match kind.source {
            Source::Upstream => Self::UpstreamError,
            Source::Gateway if upstream_failed => Self::UpstreamError,
            Source::Caller | Source::Policy | Source::Gateway => Self::Refused,
        }
    }

    /// The outcome of an answer that is no refusal: an error in it came from the upstream.
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
    fn a_failed_upstream_is_told_from_a_refusal_by_the_gateway() {
        for (refusal, outcome) in [
            (Refusal::CredentialMissing, Outcome::Refused),
            (Refusal::LedgerUnavailable, Outcome::Refused),
            (Refusal::Internal, Outcome::Refused),
            (Refusal::UpstreamTimeout, Outcome::UpstreamError),
            (Refusal::UpstreamKeyRejected, Outcome::UpstreamError),
            (Refusal::UpstreamError { status: StatusCode::PAYLOAD_TOO_LARGE }, Outcome::UpstreamError),
        ] {
            assert_eq!(Outcome::of_refusal(&refusal.kind()), outcome, "{refusal:?}");
        }
        assert_eq!(Outcome::of_answer(StatusCode::OK), Outcome::Ok);
        assert_eq!(Outcome::of_answer(StatusCode::BAD_REQUEST), Outcome::UpstreamError);
    }
}
