//! What the machine needs of a store: records by name.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::record::{ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
use crate::calendar::Calendar;
use crate::ledger::{ReservationId, Row, Sums, TopUpId};
use crate::team::TeamId;

/// A cell of a day's usage.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Cell<'a> {
    /// The day, in the team's time zone.
    pub(in crate::ledger) day: &'a str,
    pub(in crate::ledger) user: &'a str,
    pub(in crate::ledger) model: &'a str,
}

/// A store of records.
pub(in crate::ledger) trait Records {
    /// Why records could not be read or written.
    type Fault;

    /// The windows around a moment; a store may keep them.
    fn calendar(&self, moment: Timestamp, zone: &TimeZone) -> Arc<Calendar> {
        Arc::new(Calendar::around(moment, zone))
    }

    /// A scope; an empty record if nothing was counted there.
    fn scope(&self, team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Self::Fault>;
    /// Writes a scope.
    fn put_scope(
        &mut self,
        team: &TeamId,
        scope: &ScopeName,
        record: ScopeRecord,
    ) -> Result<(), Self::Fault>;
    /// Users and keys of the team that may be forgotten at a moment (microseconds of Unix time); a
    /// bounded number.
    fn past_scopes(
        &self,
        team: &TeamId,
        now: i64,
        most: usize,
    ) -> Result<Vec<ScopeName>, Self::Fault>;
    /// Forgets a scope.
    fn drop_scope(&mut self, team: &TeamId, scope: &ScopeName) -> Result<(), Self::Fault>;
    /// An open reservation of the team.
    fn reservation(
        &self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Self::Fault>;
    /// Writes a new or changed reservation.
    fn put_reservation(
        &mut self,
        team: &TeamId,
        id: ReservationId,
        to: ReservationRecord,
    ) -> Result<(), Self::Fault>;
    /// Removes a reservation: it is no longer open.
    fn take_reservation(
        &mut self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Self::Fault>;
    /// Whether a reservation's phase may be ahead of its record: a mark was lost, and its process
    /// has not reported the phase since. `false` in a store that loses nothing.
    fn may_have_come_further(&self, _record: &ReservationRecord) -> bool {
        false
    }
    /// How many reservations of the team are open.
    fn open(&self, team: &TeamId) -> Result<u64, Self::Fault>;
    /// The team's reservations whose deadline (microseconds of Unix time) has passed, earliest
    /// first.
    fn overdue(
        &self,
        team: &TeamId,
        now: i64,
        most: usize,
    ) -> Result<Vec<ReservationId>, Self::Fault>;
    /// Appends a row to the team's rows.
    fn append_row(&mut self, team: &TeamId, row: Row) -> Result<(), Self::Fault>;
    /// Drops the team's oldest rows that were settled before a moment or exceed `rows_max`, free
    /// calls first. A bounded number; returns how many.
    fn trim_rows(
        &mut self,
        team: &TeamId,
        before: Timestamp,
        rows_max: u64,
        most: usize,
    ) -> Result<usize, Self::Fault>;
    /// A top-up of the team that was added.
    fn top_up(&self, team: &TeamId, id: &TopUpId) -> Result<Option<TopUpRecord>, Self::Fault>;
    /// Stores a top-up added at a moment, and forgets those of the team added before another
    /// moment.
    fn put_top_up(
        &mut self,
        team: &TeamId,
        id: &TopUpId,
        record: &TopUpRecord,
        at_and_before: (Timestamp, Timestamp),
    ) -> Result<(), Self::Fault>;
    /// The sums of a cell of usage.
    fn sums(&self, team: &TeamId, cell: Cell<'_>) -> Result<Option<Sums>, Self::Fault>;
    /// Writes the sums of a cell, which is new if it had none.
    fn put_sums(
        &mut self,
        team: &TeamId,
        cell: Cell<'_>,
        sums: Sums,
        is_new: bool,
    ) -> Result<(), Self::Fault>;
    /// How many cells a day has.
    fn cells(&self, team: &TeamId, day: &str) -> Result<u64, Self::Fault>;
    /// Drops the team's usage of days before a moment; a bounded number of cells. Returns how many.
    fn trim_usage(
        &mut self,
        team: &TeamId,
        before: Timestamp,
        most: usize,
    ) -> Result<usize, Self::Fault>;
}
