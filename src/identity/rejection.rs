//! Why a credential was not accepted: a closed list, which the layer turns into refusals.

use crate::refusal::Refusal;

/// A credential was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Not valid: 401 `credential_invalid`.
    Invalid,
    /// Has expired: 401 `credential_expired`.
    Expired,
    /// An operator has revoked it: 401 `credential_revoked`.
    Revoked,
    /// A valid credential without a team: 403 `team_unknown`.
    TeamUnknown,
    /// A valid token of several teams, and its bearer chose none: 403 `team_unknown`.
    TeamAmbiguous,
    /// A valid credential, and its bearer chose a team it does not belong to: 403 `team_unknown`.
    TeamNotTheirs,
    /// The team or the user is suspended: 403 `team_suspended`.
    TeamSuspended,
    /// No key of the token's issuer has been read, or not for too long, so it cannot be verified:
    /// 503, temporary.
    KeysUnavailable,
    /// Too many tokens are waiting to be verified: 503, temporary.
    Overloaded,
}

impl Rejection {
    /// The refusal. The caller adds the teams to choose from, if it knows them.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Invalid => Refusal::CredentialInvalid,
            Self::Expired => Refusal::CredentialExpired,
            Self::Revoked => Refusal::CredentialRevoked,
            Self::TeamUnknown => Refusal::TeamUnknown,
            Self::TeamAmbiguous => Refusal::TeamAmbiguous(Vec::new()),
            Self::TeamNotTheirs => Refusal::TeamNotTheirs,
            Self::TeamSuspended => Refusal::TeamSuspended,
            Self::KeysUnavailable => Refusal::IdentityUnavailable,
            Self::Overloaded => Refusal::Overloaded,
        }
    }

    /// Whether it counts as a failure for the throttle. A suspended caller is known, and one that
    /// could not be judged has not failed.
    #[must_use]
    pub const fn is_held_against_its_bearer(self) -> bool {
        match self {
            Self::Invalid
            | Self::Expired
            | Self::Revoked
            | Self::TeamUnknown
            | Self::TeamAmbiguous
            | Self::TeamNotTheirs => true,
            Self::TeamSuspended | Self::KeysUnavailable | Self::Overloaded => false,
        }
    }
}
