//! Permits for calls on the shared account: one trait, two stores, one conformance suite.
//!
//! The account and each of its keys have windows (minute, day and month, in UTC), counted exactly
//! over all replicas. Calls that find no room wait in one queue, which serves the teams by weight:
//! a call's position is its virtual finish, the later of its team's last finish and the queue's
//! virtual time, plus 1/weight. So a team's calls stay in order, and a team with many calls delays
//! only itself.
//!
//! A queue position has a deadline that its replica extends while the call waits. A permit of a
//! call that died with its replica is given back, unless it may have been used: the account is
//! rather used too little than too much.

pub(crate) mod embedded;
mod message_pack;
pub mod redis;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

pub use self::redis::RedisPermits;
use crate::store::Outage;
use crate::team::TeamId;

/// How long a queue position, and a permit its replica has not learned of, live without a sign
/// from that replica.
pub const POSITION_TTL: Duration = Duration::from_secs(10);
/// How long a permit can be given back after it was reported to its replica.
pub const GIVE_BACK_WITHIN: Duration = Duration::from_secs(30);

/// Id of a queue position and of the permit it becomes. Later ids sort later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PermitId(Uuid);

impl PermitId {
    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for PermitId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for PermitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// Windows of the shared account: the minute, day and month of UTC, by the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    /// A minute of the wall clock.
    Minute,
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Span {
    /// Every window, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Day, Self::Month];

    /// Name in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// Calls allowed in each window; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Calls a minute.
    pub per_minute: Option<u64>,
    /// Calls a day.
    pub per_day: Option<u64>,
    /// Calls a month.
    pub per_month: Option<u64>,
}

impl Allowance {
    /// Whether there is no limit at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.per_minute.is_none() && self.per_day.is_none() && self.per_month.is_none()
    }

    /// Calls allowed in one window.
    #[must_use]
    pub const fn of(&self, span: Span) -> Option<u64> {
        match span {
            Span::Minute => self.per_minute,
            Span::Day => self.per_day,
            Span::Month => self.per_month,
        }
    }
}

/// The name of a shared key.
pub type KeyName = Arc<str>;

/// Limits of the shared account and of its queue, as of this batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// The allowance of all keys together.
    pub account: Allowance,
    /// The allowance of each key, by name.
    pub keys: Vec<(KeyName, Allowance)>,
    /// The most waiting calls of all teams.
    pub length_max: u64,
    /// The most waiting calls of one team.
    pub team_length_max: u64,
}

/// An operation on permits. Repeating it with the same id changes nothing.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A call asks for a permit.
    Ask(Ask),
    /// A call still waits, so its position is kept.
    Wait(PermitId),
    /// A call stopped waiting, or was not sent after all: gives back its position or permit.
    Leave(PermitId),
    /// The upstream reported a key's remaining calls.
    Report(KeyReport),
}

/// A call that asks for a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Id of its position and its permit.
    pub id: PermitId,
    /// The team.
    pub team: TeamId,
    /// The team's weight, 1 to 1000.
    pub weight: u32,
    /// Keys it may use; the first with room is taken.
    pub keys: Arc<[KeyName]>,
    /// The upstream rejected it although it had a permit, so it goes to the front.
    pub turned_back: bool,
}

/// A key's window as the upstream reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// The key.
    pub key: KeyName,
    /// Calls left in its window.
    pub remaining: u64,
    /// When the window ends.
    pub reset_at: Timestamp,
}

/// Result of an [`Operation::Ask`] or [`Operation::Wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuePosition {
    /// Has a permit.
    Granted {
        /// The key to use.
        key: KeyName,
        /// Calls left in that key's tightest window; `None` when it has no limit.
        left: Option<u64>,
    },
    /// Waits in the queue.
    Waiting {
        /// How many calls are ahead of it.
        ahead: u64,
        /// Earliest time at which one of its keys has room.
        opens_at: Timestamp,
    },
    /// The queue is full: it got no position.
    Full,
    /// No longer in the queue: its deadline has passed, or the store has lost it.
    Gone,
}

/// Calls left in a window that has a limit, after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The key; `None` for all keys together.
    pub key: Option<KeyName>,
    /// The window.
    pub span: Span,
    /// Calls left.
    pub calls: u64,
}

/// Result of a batch.
#[derive(Clone, Debug)]
pub struct BatchResult {
    /// Results of the asking and waiting calls, in their order.
    pub positions: Vec<QueuePosition>,
    /// Calls left in the windows.
    pub remaining: Vec<Remaining>,
    /// The store's time.
    pub at: Timestamp,
}

/// A store of the shared account's windows and queue. All times are the store's.
pub trait Permits: Send + Sync + 'static {
    /// Applies all operations in one atomic step, ends positions and permits that were left behind,
    /// and grants permits to those at the front that have room.
    fn batch<'a>(
        &'a self,
        limits: &'a AccountLimits,
        operations: &'a [Operation],
    ) -> BoxFuture<'a, Result<BatchResult, Outage>>;
}
