//! The ledger: counts spending against limits. One trait, two stores, one conformance suite.
//!
//! An [`Admission`] asks to spend; the store answers with a [`Verdict`] after one atomic step over
//! all limits of all levels. What is admitted stays reserved until a [`Settlement`] with the same
//! id ends it, once. Reservations of a replica that died are ended by [`Ledger::sweep`] on a live
//! replica.
//!
//! Reading order: the trait below; its vocabulary: [`scope`], [`level`], [`limit_status`],
//! [`phase`], [`admission`], [`settlement`], [`snapshot_query`], [`doubt`], [`row`], [`usage`],
//! [`topup`], [`crossing`], [`soft`], [`extrapolated_limits`], [`swept`], [`reservation_id`]; then
//! `machine` (decides operations) and a store: [`embedded`], or `keeper` (writes decisions to a
//! remote store, and restores them) with [`redis`]. `observed` reports operations to metrics,
//! [`limit_view`] shows a limit in JSON.

pub mod admission;
pub mod crossing;
pub mod doubt;
pub mod embedded;
pub mod extrapolated_limits;
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
pub mod reservation_id;
pub mod row;
pub mod scope;
pub mod settlement;
pub mod snapshot_query;
pub mod soft;
pub mod swept;
pub mod topup;
pub mod usage;

use futures_util::future::BoxFuture;

pub use admission::{Admission, Verdict};
pub use crossing::Crossing;
pub use doubt::{OnLoss, OnUnknown};
pub use extrapolated_limits::ExtrapolatedLimits;
pub use level::Level;
pub use limit_status::LimitStatus;
pub use limit_view::{Amount, LimitView};
pub use observe::Observer;
pub use observed::Observed;
pub use open::{OPEN_CALLS_MAX, OpenCall};
pub use phase::Phase;
pub use reservation_id::ReservationId;
pub use row::{CallResult, CallSummary, LostRows, Outcome, Row, Rows};
pub use scope::Scope;
pub use settlement::{Settled, Settlement};
pub use snapshot_query::{BudgetSnapshot, ReadLimited, SnapshotQuery};
pub use swept::{Swept, SweptCharge};
pub use topup::{TopUp, TopUpId, ToppedUp};
pub use usage::{Days, Retention, Sums, Usage};

pub use crate::store::{Flaw, Outage, Unobserved, Weight};

use crate::team::TeamId;

/// A store of reservations, windows and rows. All times are the store's.
///
/// Every operation is safe to repeat with the same id: a lost answer never makes it count twice.
pub trait Ledger: Send + Sync + 'static {
    /// Checks all limits of all levels and, if they allow it, reserves in all: one atomic step.
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>>;

    /// Judges a call as `admit` would, without reserving. The verdict has the current status of the
    /// limits.
    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>>;

    /// Marks a waiting reservation as dispatched, before its first byte is sent. `false`: it no
    /// longer exists, so do not send.
    fn dispatch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Marks a dispatched reservation as turned back: the upstream rejected it without executing
    /// it, or none of it was sent after all, and it waits to be sent again. `false`: it no longer
    /// exists, so do not send.
    fn recall<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Ends a reservation in the windows that admitted it, writes its row and adds to the day's
    /// usage: one atomic step.
    fn settle<'a>(
        &'a self,
        team: &'a TeamId,
        settlement: Settlement,
    ) -> BoxFuture<'a, Result<Settled, Outage>>;

    /// Frees the slots that a settled call has kept, once its answer was read or given up. Safe to
    /// repeat.
    fn release_slots<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<(), Outage>>;

    /// Extends the deadline of reservations whose calls still run, and of slots that settled calls
    /// keep.
    fn renew<'a>(
        &'a self,
        team: &'a TeamId,
        ids: &'a [ReservationId],
    ) -> BoxFuture<'a, Result<(), Outage>>;

    /// Ends the team's reservations whose deadline has passed, and frees abandoned slots; a bounded
    /// number at a time.
    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>>;

    /// Reads a team's limits. Counts nothing but the read itself.
    fn snapshot(&self, query: SnapshotQuery) -> BoxFuture<'_, Result<BudgetSnapshot, Outage>>;

    /// One of the team's open calls; `None` when it has ended, or never existed.
    fn open_call<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>>;

    /// The team's open calls, newest first, at most [`OPEN_CALLS_MAX`].
    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>>;

    /// Teams with data in the store, configured or not, by name.
    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>>;

    /// Number of a team's open reservations.
    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>>;

    /// The team's rows, newest first: at most `limit`, after skipping `skip`.
    fn rows<'a>(
        &'a self,
        team: &'a TeamId,
        skip: usize,
        limit: usize,
    ) -> BoxFuture<'a, Result<Rows, Outage>>;

    /// The team's usage of these days, as far as it is kept, by day, user and model.
    fn usage<'a>(
        &'a self,
        team: &'a TeamId,
        days: Days,
    ) -> BoxFuture<'a, Result<Vec<Usage>, Outage>>;

    /// Adds prepaid credits to a scope, once for each id, whatever its limits. An id is remembered
    /// as long as usage is kept. One atomic step.
    fn top_up<'a>(
        &'a self,
        team: &'a TeamId,
        top_up: TopUp,
    ) -> BoxFuture<'a, Result<ToppedUp, Outage>>;

    /// Accepts what is left of a team after the store has lost writes, which opens its budgets.
    /// Does nothing when they are open.
    fn accept_loss<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>>;

    /// Teams with closed budgets because the store has lost writes, as known to this process.
    fn closed(&self) -> Vec<TeamId>;

    /// Flaws in the store's setup. Checked at start and regularly, since the setup may change.
    fn inspect(&self) -> BoxFuture<'_, Result<Vec<Flaw>, Outage>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Checks that the store answers.
    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>>;
}
