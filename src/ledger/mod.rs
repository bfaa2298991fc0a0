//! The ledger: what may be spent and what was spent. One trait, two stores, one conformance suite.
//!
//! An [`Admission`] asks to spend; the store answers with a [`Verdict`] after one atomic step over every limit of every
//! level. What was admitted is reserved until a [`Settlement`] with the same id ends it, once. Whatever is left behind
//! by a replica that died is ended by [`Ledger::sweep`], on whichever replica is alive.
//!
//! Reading order: the trait below; its vocabulary: [`scope`], [`level`], [`limit_status`], [`phase`], [`admission`],
//! [`settlement`], [`snapshot_query`], [`doubt`], [`row`], [`usage`], [`topup`], [`crossing`], [`soft`], [`snapshot`],
//! [`swept`]; then [`reservation`], `machine` (what each operation does) and a store: [`embedded`], or `keeper` (how
//! decisions are kept elsewhere, and restored) with [`redis`]. `observed` stands before any of them, [`limit_view`] is
//! how a limit is shown.

pub mod admission;
pub mod crossing;
pub mod doubt;
pub mod embedded;
pub mod headers;
mod keeper;
pub mod level;
pub mod limit_status;
pub mod limit_view;
mod machine;
pub mod observe;
mod observed;
pub mod open;
pub mod phase;
pub mod redis;
pub mod reservation;
pub mod row;
pub mod scope;
pub mod settlement;
pub mod snapshot;
pub mod snapshot_query;
pub mod soft;
pub mod swept;
pub mod topup;
pub mod usage;

use futures_util::future::BoxFuture;

pub use admission::{Admission, Verdict};
pub use crossing::Crossing;
pub use doubt::{OnLoss, OnUnknown};
pub use level::Level;
pub use limit_status::LimitStatus;
pub use limit_view::{Amount, LimitView};
pub use observe::Observer;
pub use observed::Observed;
pub use open::{OPEN_CALLS_MAX, OpenCall};
pub use phase::Phase;
pub use reservation::{Reservation, ReservationId};
pub use row::{CallResult, CallSummary, LostRows, Outcome, Row, Rows};
pub use scope::Scope;
pub use settlement::{Settled, Settlement};
pub use snapshot::Snapshot;
pub use snapshot_query::{BudgetSnapshot, ReadLimited, SnapshotQuery};
pub use swept::{Swept, SweptCharge};
pub use topup::{TopUp, TopUpId, ToppedUp};
pub use usage::{Days, Retention, Sums, Usage};

pub use crate::store::{Flaw, Outage, Unobserved, Weight};

use crate::team::TeamId;

/// A store of reservations, windows and rows. All times are the store's own.
///
/// Every call is safe to repeat with the same id: an answer that was lost never counts twice.
pub trait Ledger: Send + Sync + 'static {
    /// Checks every limit of every level and, if all allow it, reserves in all of them: one atomic step.
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>>;

    /// Judges a call as `admit` would in its place, and reserves nothing: the verdict tells the limits as they stand.
    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>>;

    /// Marks a waiting reservation as dispatched, before its first byte is sent. `false`: it no longer exists, do not
    /// send.
    fn dispatch<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Marks a dispatched reservation as turned back: the upstream refused it and did nothing with it, or not a byte of
    /// it was sent after all, and it waits to be sent again. `false`: it no longer exists, do not send.
    fn recall<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Ends a reservation in the windows that admitted it, writes its row and adds to the day's usage: one atomic step.
    fn settle<'a>(&'a self, team: &'a TeamId, settlement: Settlement) -> BoxFuture<'a, Result<Settled, Outage>>;

    /// Frees the slots that a settled call has kept, now that its answer was read or given up. Changes nothing where it
    /// keeps none, so that it may be repeated.
    fn release_slots<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<(), Outage>>;

    /// Puts off the deadline of reservations whose calls are still running, and of slots that settled calls keep.
    fn renew<'a>(&'a self, team: &'a TeamId, ids: &'a [ReservationId]) -> BoxFuture<'a, Result<(), Outage>>;

    /// Ends the team's reservations whose deadline has passed, and frees slots that were left behind; a bounded number
    /// at a time.
    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>>;

    /// Reads how a team stands; at most counts the reading itself.
    fn snapshot(&self, inquiry: SnapshotQuery) -> BoxFuture<'_, Result<BudgetSnapshot, Outage>>;

    /// One of the team's open calls; `None` when it has ended, or never was.
    fn open_call<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>>;

    /// The team's open calls, newest first: at most [`OPEN_CALLS_MAX`] of them.
    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>>;

    /// The teams of which the store has anything, in the order of their names, whether or not they are in a
    /// configuration.
    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>>;

    /// How many reservations of a team are open, read without a word about its limits.
    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>>;

    /// The team's rows, newest first: at most `limit` of them, after passing over `skip`.
    fn rows<'a>(&'a self, team: &'a TeamId, skip: usize, limit: usize) -> BoxFuture<'a, Result<Rows, Outage>>;

    /// The team's usage of these days, as far as it is kept; days in order, within a day by user and model.
    fn usage<'a>(&'a self, team: &'a TeamId, days: Days) -> BoxFuture<'a, Result<Vec<Usage>, Outage>>;

    /// Adds to what a scope may spend in all, once for each id, whatever the scope's limits are; each id is remembered
    /// for as long as usage is. One atomic step.
    fn top_up<'a>(&'a self, team: &'a TeamId, top_up: TopUp) -> BoxFuture<'a, Result<ToppedUp, Outage>>;

    /// An operator accepts what is left of a team after the store has lost writes: its budgets open. Changes nothing
    /// when they are open.
    fn accept_loss<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>>;

    /// The teams whose budgets are closed because the store has lost writes, as far as this process has been told.
    fn closed(&self) -> Vec<TeamId>;

    /// What is wrong with how the store is set up. Asked at the start, and from time to time: it may be changed
    /// meanwhile.
    fn inspect(&self) -> BoxFuture<'_, Result<Vec<Flaw>, Outage>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Whether the store answers at all.
    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>>;
}
