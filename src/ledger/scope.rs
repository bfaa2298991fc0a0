//! At whose level a limit holds: a team's, a user's, a gateway key's.

use crate::team::{KeyId, UserId};

/// At whose level a limit holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole team.
    Team,
    /// One user of the team.
    User(UserId),
    /// One gateway key of the team.
    Key(KeyId),
    /// What one user of the team reads of it. No call is paid here: see [`super::SnapshotQuery::reader`].
    Account(UserId),
}

impl Scope {
    /// The level's name: the first half of a limit's label, as in `team:credits_per_month`.
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
