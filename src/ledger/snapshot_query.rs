//! Reading how a team stands: which limits, and the answer.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Level, LimitStatus};
use crate::team::TeamId;

/// How a team stands, read without changing anything.
#[derive(Clone, Debug)]
pub struct BudgetSnapshot {
    /// Every limit asked about, as in [`super::Verdict`].
    pub standings: Vec<LimitStatus>,
    /// Open reservations of the team.
    pub open: u64,
    /// The reader has read too often: nothing of this is to be shown.
    pub refused: Option<ReadLimited>,
    /// The store's time.
    pub at: Timestamp,
}

/// The limit on reading that did not let a reading pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLimited {
    /// How it stands.
    pub standing: LimitStatus,
    /// When the next reading passes; `None` when no time will help.
    pub retry_at: Option<Timestamp>,
}

/// Which windows of which levels to read.
#[derive(Clone, Debug)]
pub struct SnapshotQuery {
    /// The team.
    pub team: TeamId,
    /// The levels.
    pub levels: Vec<Level>,
    /// Where the team's days and months begin.
    pub time_zone: TimeZone,
    /// The level ([`super::Scope::Account`]) whose one bucket gives a token for this reading; `None` reads without one.
    /// Counted here, in the same step, so that a reader has one limit over all replicas.
    pub reader: Option<Level>,
}
