//! Permits: the right to make one call on the shared account. One trait, two stores, one conformance suite.
//!
//! The account and each of its keys have windows (minute, day and month, in UTC) that are counted exactly, over all
//! replicas. Who finds no room waits in one line, in which the teams share what becomes free by their weights: a call's
//! place is its virtual finish, the later of its team's last and of the line's own virtual time, plus 1/weight. So a
//! team's calls stay in the order in which they came, and a team that asks for much delays nobody but itself.
//!
//! A place has a deadline that its replica puts off while the call waits; a permit that was granted to a call that died
//! with its replica is given back. What is not sure to be unused is never given back: the account is rather used a
//! little less than passed.

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

/// How long a place in the line, and a permit that was not yet heard of, live without a word from their replica.
pub const PLACE_TTL: Duration = Duration::from_secs(10);
/// How long a permit that was told can still be given back.
pub const GIVE_BACK_WITHIN: Duration = Duration::from_secs(30);

/// Names a place in the line and the permit it becomes. Ids made later sort later.
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

/// The windows there are. They begin with the minute, the day and the month of UTC, by the store's clock.
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
    /// Every window, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Day, Self::Month];

    /// The name as the metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// How many calls the windows may have; what is `None` has no limit.
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
    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.per_minute.is_none() && self.per_day.is_none() && self.per_month.is_none()
    }

    /// What one of the windows may have.
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

/// What the shared account allows, and how long its line may be. The limits of a round hold for what is granted in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Of all keys together.
    pub account: Allowance,
    /// Of each key, by its name.
    pub keys: Vec<(KeyName, Allowance)>,
    /// The most calls that wait, of all teams.
    pub length_max: u64,
    /// The most calls of one team that wait.
    pub team_length_max: u64,
}

/// One thing that is said about permits. Saying it again with the same id changes nothing.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A call wants a permit.
    Ask(Ask),
    /// A call still waits: its place is kept.
    Wait(PermitId),
    /// A call does not wait any more, or was not sent after all: what it has is given back.
    Leave(PermitId),
    /// The upstream itself told how a key stands.
    Told(KeyTold),
}

/// A call that wants a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its name for its place and its permit.
    pub id: PermitId,
    /// Whose call.
    pub team: TeamId,
    /// The team's share, 1 to 1000.
    pub weight: u32,
    /// The keys it may use; the first with room is taken.
    pub keys: Arc<[KeyName]>,
    /// The upstream turned it back although it had a permit: it comes before all that wait.
    pub turned_back: bool,
}

/// What the upstream said of a key's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTold {
    /// Which key.
    pub key: KeyName,
    /// How many calls are left in its window.
    pub remaining: u64,
    /// When the window ends.
    pub reset_at: Timestamp,
}

/// What became of an [`Operation::Ask`] or a [`Operation::Wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuePosition {
    /// It has a permit.
    Granted {
        /// The key to use.
        key: KeyName,
        /// How many more calls the tightest window of that key has room for; `None` when nothing limits it.
        left: Option<u64>,
    },
    /// It is in the line.
    Waiting {
        /// How many are before it.
        ahead: u64,
        /// When one of its keys has room at the earliest.
        opens_at: Timestamp,
    },
    /// The line is full: it has no place.
    Full,
    /// It was in the line and is not any more: its deadline has passed, or the store has lost it.
    Gone,
}

/// What is left in the windows that have a limit, after a round. The account's own have no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Which key; `None` for all keys together.
    pub key: Option<KeyName>,
    /// Which window.
    pub span: Span,
    /// How many calls are left.
    pub calls: u64,
}

/// The answer to a round.
#[derive(Clone, Debug)]
pub struct BatchResult {
    /// What became of each asking and waiting call, in the order in which they were named.
    pub places: Vec<QueuePosition>,
    /// What is left.
    pub remaining: Vec<Remaining>,
    /// The store's time.
    pub at: Timestamp,
}

/// A store of the shared account's windows and of the line before them. All times are the store's own.
pub trait Permits: Send + Sync + 'static {
    /// Takes note of all words in one atomic step, ends what was left behind, and lets those pass for whom there is
    /// room.
    fn batch<'a>(
        &'a self,
        limits: &'a AccountLimits,
        words: &'a [Operation],
    ) -> BoxFuture<'a, Result<BatchResult, Outage>>;
}
