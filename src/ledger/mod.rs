//! The ledger: what may be spent and what was spent. One trait, two stores, one conformance suite.
//!
//! An [`Admission`] asks to spend; the store answers with a [`Verdict`] after one atomic step over every limit of every
//! level. What was admitted is reserved until a [`Settlement`] with the same id ends it, once. Whatever is left behind by
//! a replica that died is ended by [`Ledger::sweep`], on whichever replica is alive.
//!
//! Reading order: this vocabulary, [`row`], [`usage`], [`topup`], [`soft`], [`snapshot`], [`swept`], [`reservation`], `machine`
//! (what each operation does), then a store: [`embedded`], or `keeper` (how decisions are kept elsewhere, and restored) with
//! [`redis`].

pub mod embedded;
pub mod headers;
mod keeper;
pub mod level;
pub mod limit_view;
mod machine;
pub mod observe;
mod observed;
pub mod open;
pub mod redis;
pub mod reservation;
pub mod row;
pub mod snapshot;
pub mod soft;
pub mod swept;
pub mod topup;
pub mod usage;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use level::Level;
pub use limit_view::{Amount, LimitView};
pub use observe::Observer;
pub use observed::Observed;
pub use open::{OPEN_CALLS_MAX, OpenCall};
pub use reservation::{Reservation, ReservationId};
pub use row::{Asked, Came, LostRows, Outcome, Row, Rows};
pub use snapshot::Snapshot;
pub use soft::Crossing;
pub use swept::{Swept, SweptCharge};
pub use topup::{TopUp, TopUpId, ToppedUp};
pub use usage::{Days, Retention, Sums, Usage};

pub use crate::store::{Flaw, Outage, Unobserved, Weight};

use crate::credits::Credits;
use crate::team::{KeyId, LimitKind, TeamId, UserId};

/// At whose level a limit holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole team.
    Team,
    /// One user of the team.
    User(UserId),
    /// One gateway key of the team.
    Key(KeyId),
    /// What one user of the team reads of it. No call is paid here: see [`Inquiry::reader`].
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

/// How far a reserved call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was sent to the upstream: left behind, it is released.
    Waiting,
    /// The upstream may have seen it: left behind, it is settled as unknown.
    Dispatched,
    /// The upstream has refused it, or it was not sent after all, and it waits: left behind, it is settled as refused.
    TurnedBack,
}

/// A request to spend.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Names the reservation; every later word about it carries the same id. Admitting one id twice admits once.
    pub id: ReservationId,
    /// The team that pays.
    pub team: TeamId,
    /// Every level whose limits hold: the team, the user, the gateway key if one was used.
    pub levels: Vec<Level>,
    /// Where the team's days and months begin.
    pub time_zone: TimeZone,
    /// The highest price the call can have.
    pub price: Credits,
    /// Whether the call must wait before it is sent.
    pub phase: Phase,
    /// What the row will say of the call.
    pub asked: Arc<Asked>,
}

/// The ledger's answer to an admission.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Reserved in every window of every level.
    Admitted {
        /// Every limit after the reservation, level by level in the order asked, each level in the order of its limits.
        standings: Vec<Standing>,
        /// The store's time.
        at: Timestamp,
    },
    /// Nothing was reserved or counted anywhere.
    Refused {
        /// Every limit as it stands, as above.
        standings: Vec<Standing>,
        /// Which of them refused: of several, the one that would make the caller wait longest.
        binding: usize,
        /// When the call could pass at the earliest; `None` when no time will help (a prepaid or zero budget).
        retry_at: Option<Timestamp>,
        /// The store's time.
        at: Timestamp,
    },
}

/// How one limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose limit.
    pub scope: Scope,
    /// Which limit.
    pub kind: LimitKind,
    /// How much it allows (a bucket: its burst; prepaid credits: with all top-ups), in its unit.
    pub max: u64,
    /// Prepaid credits: how much of `max` was topped up. Others: 0.
    pub topped_up: u64,
    /// Spent for good, in its unit. A bucket: tokens taken and not yet back, rounded up.
    pub used: u64,
    /// Held by open reservations. Slots: the calls in flight, and the answers that are still being read (`used` is 0).
    pub reserved: u64,
    /// When the window ends, or the bucket is full again; `None` for prepaid credits and slots.
    pub reset_at: Option<Timestamp>,
    /// It refuses nobody.
    pub shadow: bool,
    /// A shadow limit that this call would have passed: to be counted, not refused.
    pub shadow_refused: bool,
}

impl Standing {
    /// What may still be taken.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// How much of a prepaid budget was topped up; `None` for every other limit.
    #[must_use]
    pub fn topped_up_credits(&self) -> Option<Credits> {
        (self.kind == LimitKind::CreditsTotal).then(|| Credits::from_micros(self.topped_up))
    }
}

/// The end of a reservation.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which reservation.
    pub id: ReservationId,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost; the store charges at most what was reserved, and nothing when released or refused.
    pub charged: Credits,
    /// What came back, for the row.
    pub came: Came,
    /// The answer is still to be read: until [`Ledger::release_slots`] the call keeps its slots, and nothing else.
    pub keeps_slots: bool,
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It ended the reservation, charging this.
    Now(Credits),
    /// The reservation had been ended before, or never was: nothing changed.
    Before,
}

/// How a team stands, read without changing anything.
#[derive(Clone, Debug)]
pub struct Books {
    /// Every limit asked about, as in [`Verdict`].
    pub standings: Vec<Standing>,
    /// Open reservations of the team.
    pub open: u64,
    /// The reader has read too often: nothing of this is to be shown.
    pub refused: Option<TooOften>,
    /// The store's time.
    pub at: Timestamp,
}

/// The limit on reading that did not let a reading pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooOften {
    /// How it stands.
    pub standing: Standing,
    /// When the next reading passes; `None` when no time will help.
    pub retry_at: Option<Timestamp>,
}

/// Which windows of which levels to read.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The team.
    pub team: TeamId,
    /// The levels.
    pub levels: Vec<Level>,
    /// Where the team's days and months begin.
    pub time_zone: TimeZone,
    /// The level ([`Scope::Account`]) whose one bucket gives a token for this reading; `None` reads without one. Counted
    /// here, in the same step, so that a reader has one limit over all replicas.
    pub reader: Option<Level>,
}

/// What a call of unknown outcome costs: `charge`, what was reserved; `release`, nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum OnUnknown {
    Charge,
    Release,
}

/// Budgets of which the store has lost something (it was flushed, an older copy was loaded, a replica took over that lacked
/// the last writes). They are closed at once; `rebuild` opens them when the replicas have brought what they know, `hold`
/// keeps them closed until an operator accepts what is left, and takes an empty store for a lost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum OnLoss {
    Rebuild,
    Hold,
}

/// A store of reservations, windows and rows. All times are the store's own.
///
/// Every call is safe to repeat with the same id: an answer that was lost never counts twice.
pub trait Ledger: Send + Sync + 'static {
    /// Checks every limit of every level and, if all allow it, reserves in all of them: one atomic step.
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>>;

    /// Judges a call as `admit` would in its place, and reserves nothing: the verdict tells the limits as they stand.
    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>>;

    /// Marks a waiting reservation as dispatched, before its first byte is sent. `false`: it no longer exists, do not send.
    fn dispatch<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Marks a dispatched reservation as turned back: the upstream refused it and did nothing with it, or not a byte of it was
    /// sent after all, and it waits to be sent again. `false`: it no longer exists, do not send.
    fn recall<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Ends a reservation in the windows that admitted it, writes its row and adds to the day's usage: one atomic step.
    fn settle<'a>(&'a self, team: &'a TeamId, settlement: Settlement) -> BoxFuture<'a, Result<Settled, Outage>>;

    /// Frees the slots that a settled call has kept, now that its answer was read or given up. Changes nothing where it keeps
    /// none, so that it may be repeated.
    fn release_slots<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<(), Outage>>;

    /// Puts off the deadline of reservations whose calls are still running, and of slots that settled calls keep.
    fn renew<'a>(&'a self, team: &'a TeamId, ids: &'a [ReservationId]) -> BoxFuture<'a, Result<(), Outage>>;

    /// Ends the team's reservations whose deadline has passed, and frees slots that were left behind; a bounded number at a
    /// time.
    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>>;

    /// Reads how a team stands; at most counts the reading itself.
    fn books(&self, inquiry: Inquiry) -> BoxFuture<'_, Result<Books, Outage>>;

    /// One of the team's open calls; `None` when it has ended, or never was.
    fn open_call<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>>;

    /// The team's open calls, newest first: at most [`OPEN_CALLS_MAX`] of them.
    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>>;

    /// The teams of which the store has anything, in the order of their names, whether or not they are in a configuration.
    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>>;

    /// How many reservations of a team are open, read without a word about its limits.
    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>>;

    /// The team's rows, newest first: at most `limit` of them, after passing over `skip`.
    fn rows<'a>(&'a self, team: &'a TeamId, skip: usize, limit: usize) -> BoxFuture<'a, Result<Rows, Outage>>;

    /// The team's usage of these days, as far as it is kept; days in order, within a day by user and model.
    fn usage<'a>(&'a self, team: &'a TeamId, days: Days) -> BoxFuture<'a, Result<Vec<Usage>, Outage>>;

    /// Adds to what a scope may spend in all, once for each id, whatever the scope's limits are; each id is remembered for as
    /// long as usage is. One atomic step.
    fn top_up<'a>(&'a self, team: &'a TeamId, top_up: TopUp) -> BoxFuture<'a, Result<ToppedUp, Outage>>;

    /// An operator accepts what is left of a team after the store has lost writes: its budgets open. Changes nothing when
    /// they are open.
    fn accept_loss<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>>;

    /// The teams whose budgets are closed because the store has lost writes, as far as this process has been told.
    fn closed(&self) -> Vec<TeamId>;

    /// What is wrong with how the store is set up. Asked at the start, and from time to time: it may be changed meanwhile.
    fn inspect(&self) -> BoxFuture<'_, Result<Vec<Flaw>, Outage>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Whether the store answers at all.
    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>>;
}
