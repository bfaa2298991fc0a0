//! Soft thresholds: a budget that is nearly used up is told of, once in each window, by whichever replica makes it so.

use jiff::Timestamp;

use super::observe::Observer;
use super::{Scope, Standing};
use crate::credits::Credits;
use crate::team::limit::Period;
use crate::team::{LimitKind, Share, TeamId};

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
    pub(super) fn of(standing: &Standing, soft: Share, at: Timestamp) -> Self {
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

/// What a budget is marked with once it was told of: the window's name, and of prepaid credits the sum of all top-ups, so that
/// a budget that was topped up is told of again.
pub(super) fn mark(period: Period, day: &str, month: &str, topped_up: u64) -> String {
    match period {
        Period::Day => day.to_owned(),
        Period::Month => month.to_owned(),
        Period::Total => topped_up.to_string(),
    }
}

/// Tells of crossings that are durable: a line in the log each, and whoever watches the store.
pub(super) fn tell(observer: &dyn Observer, team: &TeamId, crossings: &[Crossing]) {
    for crossing in crossings {
        let Crossing { soft, max, used, reserved, .. } = crossing;
        let (limit, whose) = (crossing.limit(), crossing.whose());
        tracing::warn!(%team, limit, whose, %soft, %max, %used, %reserved, "a budget is nearly used up");
        observer.crossed(team, crossing);
    }
}
