//! What the state machine asks of a store: records by name, and nothing of how they are kept.

use jiff::Timestamp;

use super::past::Cell;
use super::record::{ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{ReservationId, Row, Sums, TopUpId};
use crate::team::TeamId;

/// Where the records are.
pub(in crate::ledger) trait Records {
    /// Why they could not be read or written.
    type Fault;

    /// One scope; an empty record if nothing was ever counted there.
    fn scope(&self, team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Self::Fault>;
    /// Keeps a scope.
    fn put_scope(&mut self, team: &TeamId, scope: &ScopeName, record: ScopeRecord) -> Result<(), Self::Fault>;
    /// Users and keys of the team of whom nothing matters any more at a moment (microseconds of Unix time); a bounded
    /// number.
    fn past_scopes(&self, team: &TeamId, now: i64, most: usize) -> Result<Vec<ScopeName>, Self::Fault>;
    /// Forgets a scope.
    fn drop_scope(&mut self, team: &TeamId, scope: &ScopeName) -> Result<(), Self::Fault>;
    /// An open reservation of the team.
    fn reservation(&self, team: &TeamId, id: ReservationId) -> Result<Option<ReservationRecord>, Self::Fault>;
    /// Keeps a reservation, new or changed.
    fn put_reservation(&mut self, team: &TeamId, id: ReservationId, to: ReservationRecord) -> Result<(), Self::Fault>;
    /// Takes a reservation out: it is no longer open.
    fn take_reservation(&mut self, team: &TeamId, id: ReservationId) -> Result<Option<ReservationRecord>, Self::Fault>;
    /// Whether an open reservation may have come further than its record says: that was lost, and whoever makes the
    /// call has not said how far it has come since. A store that loses nothing knows of none.
    fn may_have_come_further(&self, _record: &ReservationRecord) -> bool {
        false
    }
    /// How many reservations of the team are open.
    fn open(&self, team: &TeamId) -> Result<u64, Self::Fault>;
    /// The team's reservations whose deadline (microseconds of Unix time) has passed, earliest first.
    fn overdue(&self, team: &TeamId, now: i64, most: usize) -> Result<Vec<ReservationId>, Self::Fault>;
    /// Adds a row after all others of the team.
    fn append_row(&mut self, team: &TeamId, row: Row) -> Result<(), Self::Fault>;
    /// Drops the team's oldest rows, as far as they were settled before a moment or are more than `rows_max`: of these,
    /// those of calls that cost nothing first. A bounded number. How many went.
    fn trim_rows(&mut self, team: &TeamId, before: Timestamp, rows_max: u64, most: usize)
    -> Result<usize, Self::Fault>;
    /// A top-up of the team that was added.
    fn top_up(&self, team: &TeamId, id: &TopUpId) -> Result<Option<TopUpRecord>, Self::Fault>;
    /// Remembers a top-up that was added at a moment, and forgets those of the team that were added before another.
    fn put_top_up(
        &mut self,
        team: &TeamId,
        id: &TopUpId,
        record: &TopUpRecord,
        at_and_before: (Timestamp, Timestamp),
    ) -> Result<(), Self::Fault>;
    /// What a cell of usage holds.
    fn sums(&self, team: &TeamId, cell: Cell<'_>) -> Result<Option<Sums>, Self::Fault>;
    /// Keeps what a cell holds, which held nothing before if it is new.
    fn put_sums(&mut self, team: &TeamId, cell: Cell<'_>, sums: Sums, is_new: bool) -> Result<(), Self::Fault>;
    /// How many cells a day has.
    fn cells(&self, team: &TeamId, day: &str) -> Result<u64, Self::Fault>;
    /// Drops the team's usage of days before that of a moment; a bounded number of cells. How many went.
    fn trim_usage(&mut self, team: &TeamId, before: Timestamp, most: usize) -> Result<usize, Self::Fault>;
}
