//! The check that a credential failed: a closed list, for the metrics, the log and `moongate
//! check-token`. The caller learns less: see [`FailedCheck::rejection`].

use std::fmt;

use super::rejection::Rejection;

/// The first check that a credential failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedCheck {
    /// Has the form of neither a gateway key nor a signed token.
    Form,
    /// A token with an algorithm that its issuer may not use.
    Algorithm,
    /// A token of an issuer that is not configured.
    Issuer,
    /// A token for another audience.
    Audience,
    /// A token without a required time, or with an invalid one.
    Times,
    /// A token that is not valid yet.
    NotYetValid,
    /// A token or a key that has expired.
    Expired,
    /// A token signed with a key that its issuer does not publish, or an unknown gateway key.
    KeyUnknown,
    /// A token whose signature does not match the key it names.
    Signature,
    /// A gateway key with a wrong secret.
    Secret,
    /// A token without a user.
    User,
    /// A revoked gateway key.
    Revoked,
    /// A valid credential without a team.
    TeamUnknown,
    /// A valid credential with several teams, and the caller chose none.
    TeamAmbiguous,
    /// A valid credential, and the caller chose a team that it does not belong to.
    TeamNotTheirs,
    /// The team, or the user, is suspended.
    TeamSuspended,
    /// The issuer's keys are not available.
    KeysUnavailable,
    /// Left unchecked: too many are waiting.
    Overloaded,
}

impl FailedCheck {
    /// Every check.
    pub const ALL: [Self; 18] = [
        Self::Form,
        Self::Algorithm,
        Self::Issuer,
        Self::Audience,
        Self::Times,
        Self::NotYetValid,
        Self::Expired,
        Self::KeyUnknown,
        Self::Signature,
        Self::Secret,
        Self::User,
        Self::Revoked,
        Self::TeamUnknown,
        Self::TeamAmbiguous,
        Self::TeamNotTheirs,
        Self::TeamSuspended,
        Self::KeysUnavailable,
        Self::Overloaded,
    ];

    /// Value of the `result` label of `authentications_total`, and of `check` in the log line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "malformed",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Times => "times",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::KeyUnknown => "key_unknown",
            Self::Signature => "signature",
            Self::Secret => "secret",
            Self::User => "user",
            Self::Revoked => "revoked",
            Self::TeamUnknown => "team_unknown",
            Self::TeamAmbiguous => "team_ambiguous",
            Self::TeamNotTheirs => "team_not_theirs",
            Self::TeamSuspended => "team_suspended",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Overloaded => "overloaded",
        }
    }

    /// The rejection for the caller, which does not help to guess a credential.
    #[must_use]
    pub const fn rejection(self) -> Rejection {
        match self {
            Self::Form
            | Self::Algorithm
            | Self::Issuer
            | Self::Audience
            | Self::Times
            | Self::NotYetValid
            | Self::KeyUnknown
            | Self::Signature
            | Self::Secret
            | Self::User => Rejection::Invalid,
            Self::Expired => Rejection::Expired,
            Self::Revoked => Rejection::Revoked,
            Self::TeamUnknown => Rejection::TeamUnknown,
            Self::TeamAmbiguous => Rejection::TeamAmbiguous,
            Self::TeamNotTheirs => Rejection::TeamNotTheirs,
            Self::TeamSuspended => Rejection::TeamSuspended,
            Self::KeysUnavailable => Rejection::KeysUnavailable,
            Self::Overloaded => Rejection::Overloaded,
        }
    }

    /// Index in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for FailedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_check_has_its_own_place_and_name() {
        for (place, check) in FailedCheck::ALL.into_iter().enumerate() {
            assert_eq!(check.index(), place, "{check}");
        }
        let names: HashSet<&str> = FailedCheck::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), FailedCheck::ALL.len());
    }
}
