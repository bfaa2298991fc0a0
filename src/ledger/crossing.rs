//! A budget that has reached its soft threshold.

use jiff::Timestamp;

use super::{LimitStatus, Scope};
use crate::credits::Credits;
use crate::team::{LimitKind, Share};

/// A budget that has just reached its soft threshold, by what is used and reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The level of the budget.
    pub scope: Scope,
    /// The kind of budget.
    pub kind: LimitKind,
    /// The threshold.
    pub soft: Share,
    /// The budget, top-ups included.
    pub max: Credits,
    /// Credits spent.
    pub used: Credits,
    /// Credits reserved by open calls, this one included.
    pub reserved: Credits,
    /// When the window ends; `None` for prepaid credits.
    pub reset_at: Option<Timestamp>,
    /// The store's time.
    pub at: Timestamp,
}

impl Crossing {
    /// The crossing of a limit with this status.
    pub(super) fn of(limit: &LimitStatus, soft: Share, at: Timestamp) -> Self {
        Self {
            scope: limit.scope.clone(),
            kind: limit.kind,
            soft,
            max: Credits::from_micros(limit.max),
            used: Credits::from_micros(limit.used),
            reserved: Credits::from_micros(limit.reserved),
            reset_at: limit.reset_at,
            at,
        }
    }

    /// The limit's label, such as `team:credits_per_month`.
    #[must_use]
    pub fn limit(&self) -> String {
        format!("{}:{}", self.scope.level(), self.kind)
    }

    /// The user or the key whose budget it is; `None` for the team's.
    #[must_use]
    pub fn whose(&self) -> Option<&str> {
        match &self.scope {
            Scope::Team => None,
            Scope::User(user) | Scope::Account(user) => Some(user.as_str()),
            Scope::Key(key) => Some(key.as_str()),
        }
    }
}
