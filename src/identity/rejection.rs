//! Why a credential was not accepted: one closed list, which the layer turns into refusals.

use crate::refusal::Refusal;

/// A credential was shown, and it does not let its bearer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It is not a credential of ours, or proves nothing: 401 `credential_invalid`.
    Invalid,
    /// It was good once: 401 `credential_expired`.
    Expired,
    /// An operator has taken it back: 401 `credential_revoked`.
    Revoked,
    /// A good credential that names no team: 403 `team_unknown`.
    TeamUnknown,
    /// A good token of several teams, and its bearer chose none of them: 403 `team_unknown`.
    TeamAmbiguous,
    /// A good credential, and its bearer chose a team that it is not of: 403 `team_unknown`.
    TeamNotTheirs,
    /// The team, or the user in it, may not call at present: 403 `team_suspended`.
    TeamSuspended,
    /// No key of the token's issuer could be read yet, or for too long, so nothing can be said of it: 503, and it
    /// passes.
    KeysUnavailable,
    /// More tokens are waiting to be verified than can be: 503, and it passes.
    Overloaded,
}

impl Rejection {
    /// How the caller is told. The teams of one who must choose are for whoever knows them to add.
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

    /// Whether it counts among the failures that are throttled: what was shown is no good, and looking at it was work
    /// for nothing. Who is suspended is known, and who could not be judged has not failed.
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
