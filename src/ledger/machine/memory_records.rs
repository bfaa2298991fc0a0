//! Records in memory, for tests of the machine.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::record::{ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
use super::records::Cell;
use super::records::Records;
use super::state::{Machine, Rules};
use crate::credits::Credits;
use crate::ledger::{
    Admission, CallResult, CallSummary, Level, OnUnknown, Outcome, Phase, ReservationId, Retention,
    Row, Scope, Settlement, Sums, TopUpId, Verdict,
};
use crate::team::{Limit, Limits, TeamId, UserId};

/// A moment on 15 January 2027, in microseconds of Unix time.
pub(in crate::ledger) const NOW: i64 = 1_800_000_000_000_000;
pub(in crate::ledger) const SECOND: i64 = 1_000_000;
/// How long a reservation lives without a renewal.
pub(in crate::ledger) const TTL: i64 = 600 * SECOND;

/// One team's records, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::ledger) struct MemoryRecords {
    pub(in crate::ledger) scopes: BTreeMap<ScopeName, ScopeRecord>,
    /// Scopes listed as past.
    pub(in crate::ledger) past: Vec<ScopeName>,
    pub(in crate::ledger) calls: BTreeMap<ReservationId, ReservationRecord>,
    pub(in crate::ledger) rows: Vec<Row>,
    pub(in crate::ledger) cells: BTreeMap<[String; 3], Sums>,
    pub(in crate::ledger) top_ups: BTreeMap<TopUpId, TopUpRecord>,
    /// When the last top-up was added, and the time before which others are forgotten.
    pub(in crate::ledger) topped_up_at: Option<(Timestamp, Timestamp)>,
    /// The store has lost marks.
    pub(in crate::ledger) lacks_marks: bool,
}

fn cell_key(cell: Cell<'_>) -> [String; 3] {
    [cell.day, cell.user, cell.model].map(str::to_owned)
}

impl Records for &mut MemoryRecords {
    type Fault = Infallible;

    fn scope(&self, _team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Infallible> {
        Ok(self.scopes.get(scope).cloned().unwrap_or_default())
    }

    fn put_scope(
        &mut self,
        _team: &TeamId,
        scope: &ScopeName,
        record: ScopeRecord,
    ) -> Result<(), Infallible> {
        self.scopes.insert(scope.clone(), record);
        Ok(())
    }

    fn past_scopes(
        &self,
        _team: &TeamId,
        _now: i64,
        most: usize,
    ) -> Result<Vec<ScopeName>, Infallible> {
        Ok(self.past.iter().take(most).cloned().collect())
    }

    fn drop_scope(&mut self, _team: &TeamId, scope: &ScopeName) -> Result<(), Infallible> {
        self.scopes.remove(scope);
        Ok(())
    }

    fn reservation(
        &self,
        _team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Infallible> {
        Ok(self.calls.get(&id).cloned())
    }

    fn put_reservation(
        &mut self,
        _team: &TeamId,
        id: ReservationId,
        to: ReservationRecord,
    ) -> Result<(), Infallible> {
        self.calls.insert(id, to);
        Ok(())
    }

    fn take_reservation(
        &mut self,
        _team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Infallible> {
        Ok(self.calls.remove(&id))
    }

    fn may_have_come_further(&self, _record: &ReservationRecord) -> bool {
        self.lacks_marks
    }

    fn open(&self, _team: &TeamId) -> Result<u64, Infallible> {
        Ok(self.calls.values().filter(|record| record.phase().is_some()).count() as u64)
    }

    fn overdue(
        &self,
        _team: &TeamId,
        now: i64,
        most: usize,
    ) -> Result<Vec<ReservationId>, Infallible> {
        let overdue = self.calls.iter().filter(|(_, record)| record.deadline <= now);
        Ok(overdue.map(|(id, _)| *id).take(most).collect())
    }

    fn append_row(&mut self, _team: &TeamId, row: Row) -> Result<(), Infallible> {
        self.rows.push(row);
        Ok(())
    }

    fn trim_rows(
        &mut self,
        _: &TeamId,
        before: Timestamp,
        max: u64,
        most: usize,
    ) -> Result<usize, Infallible> {
        let over = self.rows.len().saturating_sub(usize::try_from(max).unwrap());
        let old = self.rows.iter().filter(|row| row.settled_at < before).count();
        let gone = over.max(old).min(most);
        self.rows.drain(..gone);
        Ok(gone)
    }

    fn top_up(&self, _team: &TeamId, id: &TopUpId) -> Result<Option<TopUpRecord>, Infallible> {
        Ok(self.top_ups.get(id).cloned())
    }

    fn put_top_up(
        &mut self,
        _team: &TeamId,
        id: &TopUpId,
        record: &TopUpRecord,
        at_and_before: (Timestamp, Timestamp),
    ) -> Result<(), Infallible> {
        self.top_ups.insert(id.clone(), record.clone());
        self.topped_up_at = Some(at_and_before);
        Ok(())
    }

    fn sums(&self, _team: &TeamId, cell: Cell<'_>) -> Result<Option<Sums>, Infallible> {
        Ok(self.cells.get(&cell_key(cell)).copied())
    }

    fn put_sums(
        &mut self,
        _team: &TeamId,
        cell: Cell<'_>,
        sums: Sums,
        is_new: bool,
    ) -> Result<(), Infallible> {
        let before = self.cells.insert(cell_key(cell), sums);
        assert_eq!(before.is_none(), is_new, "{cell:?}");
        Ok(())
    }

    fn cells(&self, _team: &TeamId, day: &str) -> Result<u64, Infallible> {
        Ok(self.cells.keys().filter(|cell| cell[0] == day).count() as u64)
    }

    fn trim_usage(
        &mut self,
        _team: &TeamId,
        before: Timestamp,
        most: usize,
    ) -> Result<usize, Infallible> {
        let before = before.to_zoned(TimeZone::UTC).date().to_string();
        let old: Vec<_> =
            self.cells.keys().filter(|cell| cell[0] < before).take(most).cloned().collect();
        self.cells.retain(|cell, _| !old.contains(cell));
        Ok(old.len())
    }
}

/// A team's records, with their rules and their time.
pub(in crate::ledger) struct Ledger {
    pub(in crate::ledger) kept: MemoryRecords,
    pub(in crate::ledger) rules: Rules,
    pub(in crate::ledger) now: i64,
}

impl Ledger {
    pub(in crate::ledger) fn new() -> Self {
        let rules = Rules {
            reservation_ttl: Duration::from_secs(600),
            retention: Retention::default(),
            on_unknown: OnUnknown::Charge,
        };
        Self { kept: MemoryRecords::default(), rules, now: NOW }
    }

    pub(in crate::ledger) fn machine(&mut self) -> Machine<'_, &mut MemoryRecords> {
        Machine::new(&mut self.kept, &self.rules, super::judgement::at(self.now))
    }

    pub(in crate::ledger) fn admit(&mut self, admission: &Admission) -> Verdict {
        self.machine().admit(admission).unwrap()
    }

    /// Admits a call of the team and of ana at this price, and says which it is.
    pub(in crate::ledger) fn open(&mut self, phase: Phase, price: u64) -> ReservationId {
        let admission =
            Admission { phase, ..call([of(Scope::Team, []), of(user("ana"), [])], price) };
        assert!(matches!(self.admit(&admission), Verdict::Admitted { .. }));
        admission.id
    }

    pub(in crate::ledger) fn scope(&self, scope: &Scope) -> ScopeRecord {
        self.kept.scopes.get(&ScopeName::from(scope)).cloned().unwrap_or_default()
    }
}

pub(in crate::ledger) fn team() -> TeamId {
    TeamId::parse("acme").unwrap()
}

pub(in crate::ledger) fn user(name: &str) -> Scope {
    Scope::User(UserId::parse(name).unwrap())
}

pub(in crate::ledger) fn of(scope: Scope, limits: impl IntoIterator<Item = Limit>) -> Level {
    Level { scope, limits: Arc::new(Limits::new(limits)) }
}

/// A call of ana's under these levels, for a model named `m`.
pub(in crate::ledger) fn call(levels: impl IntoIterator<Item = Level>, price: u64) -> Admission {
    Admission {
        id: ReservationId::new(),
        team: team(),
        levels: levels.into_iter().collect(),
        time_zone: TimeZone::UTC,
        price: Credits::from_micros(price),
        phase: Phase::Waiting,
        summary: CallSummary {
            user: "ana".to_owned(),
            model: "m".to_owned(),
            ..CallSummary::default()
        }
        .into(),
    }
}

/// The end of a call that was answered and cost so much.
pub(in crate::ledger) fn charged(id: ReservationId, micros: u64) -> Settlement {
    let charged = Credits::from_micros(micros);
    Settlement {
        id,
        outcome: Outcome::Charged,
        charged,
        result: CallResult::default(),
        keeps_slots: false,
    }
}
