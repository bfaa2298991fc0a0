//! Query of a team's limits, and its answer.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Level, LimitStatus};
use crate::team::TeamId;

/// A team's limits and open calls.
#[derive(Clone, Debug)]
pub struct BudgetSnapshot {
    /// Every limit of the query, in the order of [`super::Verdict`].
    pub statuses: Vec<LimitStatus>,
    /// Number of the team's open reservations.
    pub open: u64,
    /// Set when the reader has read too often: then nothing of this may be shown.
    pub refused: Option<ReadLimited>,
    /// The store's time.
    pub at: Timestamp,
}

/// The rate limit that refused a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLimited {
    /// The status.
    pub status: LimitStatus,
    /// When the next read is allowed; `None` when waiting will not help.
    pub retry_at: Option<Timestamp>,
}

/// The limits to read.
#[derive(Clone, Debug)]
pub struct SnapshotQuery {
    /// The team.
    pub team: TeamId,
    /// The levels.
    pub levels: Vec<Level>,
    /// Time zone of the team's days and months.
    pub time_zone: TimeZone,
    /// The level ([`super::Scope::Account`]) whose bucket gives a token for this read; `None` needs
    /// none. Taken in the same step, so that a reader has one limit over all replicas.
    pub reader: Option<Level>,
}
