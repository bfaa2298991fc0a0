//! Why a credential was not accepted: one closed list, which the layer turns into refusals.

use std::fmt;

/// A credential was shown, and it does not let its bearer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It is not a credential of ours, or proves nothing: 401 `credential_invalid`.
    Invalid,
    /// It was good once: 401 `credential_expired`.
    Expired,
    /// An operator has taken it back: 401 `credential_revoked`.
    Revoked,
    /// A good token whose team claim names no team, or more than one: 403 `team_unknown`.
    TeamUnknown,
    /// The team, or the user in it, may not call at present: 403 `team_suspended`.
    TeamSuspended,
    /// No key of the token's issuer could be read yet, or for too long, so nothing can be said of it: 503, and it passes.
    KeysUnavailable,
    /// More tokens are waiting to be verified than can be: 503, and it passes.
    Overloaded,
}

impl Rejection {
    /// Every rejection, for those who prepare something for each.
    pub const ALL: [Self; 7] = [
        Self::Invalid,
        Self::Expired,
        Self::Revoked,
        Self::TeamUnknown,
        Self::TeamSuspended,
        Self::KeysUnavailable,
        Self::Overloaded,
    ];

    /// Whether it counts among the failures that are throttled: what was shown is no good, and looking at it was work for
    /// nothing. Who is suspended is known, and who could not be judged has not failed.
    #[must_use]
    pub const fn is_held_against_its_bearer(self) -> bool {
        match self {
            Self::Invalid | Self::Expired | Self::Revoked | Self::TeamUnknown => true,
            Self::TeamSuspended | Self::KeysUnavailable | Self::Overloaded => false,
        }
    }

    /// The `result` label of `authentications_total`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::TeamUnknown => "team_unknown",
            Self::TeamSuspended => "team_suspended",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Overloaded => "overloaded",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
