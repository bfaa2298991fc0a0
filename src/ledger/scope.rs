//! Scope of a limit: a team, a user or a gateway key.

use crate::team::{KeyId, UserId};

/// Scope of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole team.
    Team,
    /// One user of the team.
    User(UserId),
    /// One gateway key of the team.
    Key(KeyId),
    /// One user's reads of the views. No call is paid here: see [`super::SnapshotQuery::reader`].
    Account(UserId),
}

impl Scope {
    /// The level's name, the first half of a limit's label, such as `team:credits_per_month`.
    #[must_use]
    pub const fn level(&self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User(_) => "user",
            Self::Key(_) => "key",
            Self::Account(_) => "account",
        }
    }
}
