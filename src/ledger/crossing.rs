//! A budget that has come to its soft threshold.

use jiff::Timestamp;

use super::{LimitStatus, Scope};
use crate::credits::Credits;
use crate::team::{LimitKind, Share};

/// A budget that has just come to its soft threshold: what is spent and reserved of it together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Whose budget.
    pub scope: Scope,
    /// Which: one that counts credits.
    pub kind: LimitKind,
    /// From which share of it on it is told of.
    pub soft: Share,
    /// What it allows, top-ups included.
    pub max: Credits,
    /// What is spent of it for good.
    pub used: Credits,
    /// What running calls hold of it, the one that crossed included.
    pub reserved: Credits,
    /// When its window ends; `None` for prepaid credits.
    pub reset_at: Option<Timestamp>,
    /// The store's time.
    pub at: Timestamp,
}

impl Crossing {
    /// The crossing that a limit's standing tells of.
    pub(super) fn of(standing: &LimitStatus, soft: Share, at: Timestamp) -> Self {
        Self {
            scope: standing.scope.clone(),
            kind: standing.kind,
            soft,
            max: Credits::from_micros(standing.max),
            used: Credits::from_micros(standing.used),
            reserved: Credits::from_micros(standing.reserved),
            reset_at: standing.reset_at,
            at,
        }
    }

    /// The limit's label, as in `team:credits_per_month`.
    #[must_use]
    pub fn limit(&self) -> String {
        format!("{}:{}", self.scope.level(), self.kind)
    }

    /// Whose it is within the team: the user's name or the key's id; nothing for the team's own.
    #[must_use]
    pub fn whose(&self) -> Option<&str> {
        match &self.scope {
            Scope::Team => None,
            Scope::User(user) | Scope::Account(user) => Some(user.as_str()),
            Scope::Key(key) => Some(key.as_str()),
        }
    }
}
