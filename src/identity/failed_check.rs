//! Which check a credential did not pass: one closed list, for the metrics, the log and `moongate check-token`. The
//! caller learns less: see [`FailedCheck::rejection`].

use std::fmt;

use super::rejection::Rejection;

/// A check that a credential did not pass; of several, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedCheck {
    /// It is neither a gateway key nor a signed token, as far as its form goes.
    Form,
    /// A token whose algorithm its issuer may not use, or nobody may.
    Algorithm,
    /// A token of an issuer that is not configured.
    Issuer,
    /// A token for somebody else.
    Audience,
    /// A token without the times it must have, or with one that is no time.
    Times,
    /// A token whose time has not begun.
    NotYetValid,
    /// A token or a key whose time is over.
    Expired,
    /// A token signed with a key that its issuer does not publish, or a gateway key that there is not.
    KeyUnknown,
    /// A token whose signature is not that of the key it names.
    Signature,
    /// A gateway key with another secret.
    Secret,
    /// A token whose user claim names no user.
    User,
    /// A gateway key that was taken back.
    Revoked,
    /// A good credential that names no team.
    TeamUnknown,
    /// A good credential of several teams, and the caller chose none.
    TeamAmbiguous,
    /// A good credential that is not of the team that the caller chose.
    TeamNotTheirs,
    /// The team, or the user, is suspended.
    TeamSuspended,
    /// There is nothing to check it with at present.
    KeysUnavailable,
    /// It was not looked at: too many are waiting.
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

    /// The `result` label of `authentications_total`, and the `check` of the log line.
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

    /// What the caller is told: which part of a credential was wrong is not for whoever guesses.
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

    /// Its place in [`Self::ALL`].
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
    fn every_check_has_a_place_and_a_name_of_its_own() {
        for (place, check) in FailedCheck::ALL.into_iter().enumerate() {
            assert_eq!(check.index(), place, "{check}");
        }
        let names: HashSet<&str> = FailedCheck::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), FailedCheck::ALL.len());
    }
}
