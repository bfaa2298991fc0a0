//! Teams as configured: name, models, limits, weight on the shared account, state.

pub mod credential;
pub mod limit;
pub mod model_rules;
pub mod share;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

pub use credential::{Credential, KeyId};
pub use limit::{Limit, LimitKind, Limits};
pub use model_rules::ModelRules;
pub use share::Share;

use crate::pricing::PriceTable;

/// A team's name, as in the configuration: 1 to 64 of `[A-Za-z0-9._-]`, beginning with a letter or
/// digit.
///
/// The alphabet is narrow because the name is a hash tag in the ledger's keys and a metric label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TeamId(Arc<str>);

impl TeamId {
    /// Parses a name; `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let all_known =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        (starts_well && all_known && text.len() <= 64).then(|| Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TeamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TeamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "team {}", self.0)
    }
}

impl Serialize for TeamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A user of a team: the user claim of a token, the user of a gateway key, or `key:<id>` for a key
/// without a user.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Longest user name, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// The name, shared.
    #[must_use]
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Parses a user name: 1 to 256 bytes, no control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::BYTES_MAX;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.0)
    }
}

/// Whether a team may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// May call.
    Active,
    /// An operator has suspended it: 403 `team_suspended`.
    Suspended,
}

/// A team as one configuration describes it. A reload makes new ones; a request keeps the one it
/// began with.
#[derive(Debug)]
pub struct Team {
    /// The name.
    pub id: TeamId,
    /// Whether it may call.
    pub state: State,
    /// Users who may not call.
    pub suspended_users: HashSet<UserId>,
    /// Models it may use.
    pub models: ModelRules,
    /// Limits of the whole team.
    pub limits: Arc<Limits>,
    /// Limits of each user.
    pub user_limits: Arc<Limits>,
    /// Weight in the queue for the shared account.
    pub weight: u32,
    /// Time zone of its days and months.
    pub time_zone: TimeZone,
    /// Prices that it is charged.
    pub prices: Arc<PriceTable>,
}

impl Team {
    /// The name of [`Team::time_zone`], for people and programs.
    #[must_use]
    pub fn zone_name(&self) -> String {
        self.time_zone.iana_name().unwrap_or("UTC").to_owned()
    }
}
