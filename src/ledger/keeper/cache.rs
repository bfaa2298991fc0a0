//! A team's records as this process last read them, each with its revision. A record is usable
//! while no other process has changed anything since.
//!
//! The keeper compares the revision before it writes, so an outdated record does no harm. Records
//! that other processes have changed are kept: this process can restore them if the keeper loses
//! what came later (see `memory`).

use std::collections::{BTreeMap, VecDeque};

use super::memory::Memory;
use super::own::{Claimed, InDoubt, Own, Written};
use super::step::{Changes, Found, Past, TeamRecord};
use super::table::{KEPT_MAX, Table};
use super::wanted::CellName;
use crate::calendar::KeptCalendar;
use crate::ledger::machine::{
    Ending, ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord,
};
use crate::ledger::{ReservationId, Row, Scope, Sums, TopUpId};
use crate::maps::FastMap;

/// The most rows kept that this process wrote: many more than a promoted replica may lack.
const ROWS_MAX: usize = 4_096;
/// How long such a row is kept while newer ones come, in microseconds.
const ROWS_FOR: i64 = 600_000_000;

/// After so many steps in a row without a refusal no other process seems to write for the team.
const ALONE_AFTER: u32 = 4;

/// An open call.
type Call = (ReservationId, ReservationRecord);

/// A team's records as this process knows them.
#[derive(Debug, Default)]
pub(in crate::ledger) struct TeamCache {
    /// The latest revision known; epoch 0: this process has never seen the team.
    pub(super) revision: Revision,
    /// The revision since which no other process is known to have changed anything.
    since: Revision,
    /// The count of marked calls in the last reply.
    pub(super) marks: u64,
    /// How many steps in a row were written at the first attempt.
    at_once: u32,
    pub(super) team: TeamRecord,
    pub(super) scopes: Table<ScopeName, ScopeRecord>,
    pub(super) calls: Table<ReservationId, Option<ReservationRecord>>,
    cells: Table<CellName, Option<Sums>>,
    days: Table<String, u64>,
    pub(super) top_ups: Table<TopUpId, Option<TopUpRecord>>,
    restored: Table<ReservationId, bool>,
    /// Calls that this process makes.
    pub(super) own: FastMap<ReservationId, Own>,
    /// Calls of this process for which others stand since a loss: those may be lost in turn.
    pub(super) covered: BTreeMap<ReservationId, Claimed>,
    /// Rows that this process wrote, the oldest first.
    pub(super) rows: VecDeque<Written>,
    /// Records from before a loss that this process is yet to restore.
    pub(super) memory: Option<Box<Memory>>,
    /// Steps that may have been written, with what they ended.
    pub(super) in_doubt: Vec<InDoubt>,
    /// An operator must decide whether the team may begin.
    pub(super) is_held: bool,
    /// Calls that were overdue, with their deadlines.
    overdue: Option<(Revision, Vec<(ReservationId, i64)>)>,
    /// No call is due before this, in microseconds of Unix time: what other processes open or renew
    /// meanwhile is due later.
    due_from: i64,
    past: Option<(Revision, Vec<Past>)>,
    oldest: Option<(Revision, [Vec<i64>; 2])>,
    /// The calendar of the team's time zone.
    pub(super) calendar: KeptCalendar,
}

impl TeamCache {
    /// The latest revision known; `None` when this process has never seen the team.
    pub(in crate::ledger) const fn revision(&self) -> Option<Revision> {
        if self.revision.epoch > 0 { Some(self.revision) } else { None }
    }

    /// Notes the count of marked calls.
    pub(super) const fn note_marks(&mut self, marks: u64) {
        self.marks = marks;
    }

    /// Whether no other process seems to write for the team.
    pub(super) const fn is_alone(&self) -> bool {
        self.at_once >= ALONE_AFTER
    }

    /// Notes that another process has written.
    pub(super) const fn is_not_alone(&mut self) {
        self.at_once = 0;
    }

    /// Whether admissions are refused for this team, as far as this process knows.
    pub(super) fn is_closed(&self) -> bool {
        self.is_held || self.memory.is_some() || self.team.is_closed()
    }

    /// The record of the team as a whole.
    pub(super) const fn team(&self) -> &TeamRecord {
        &self.team
    }

    /// A scope; `None` when it is unknown or outdated.
    pub(super) fn scope(&self, name: &ScopeName) -> Option<&ScopeRecord> {
        self.scopes.fresh(name, self.since)
    }

    /// A call's record, or that it is not open; `None` when that is unknown.
    pub(super) fn call(&self, id: ReservationId) -> Option<Option<&ReservationRecord>> {
        self.calls.fresh(&id, self.since).map(Option::as_ref)
    }

    /// The last known record of a call that may still be open. Only the process that makes a call
    /// marks it, so an own call's record is current.
    pub(super) fn last_known(&self, id: ReservationId) -> Option<&ReservationRecord> {
        self.calls.0.get(&id).and_then(|(_, record)| record.as_ref())
    }

    /// The last revision at which this process has seen a call open: nobody had ended it by then.
    pub(super) fn seen_open(&self, id: ReservationId) -> Option<Revision> {
        let (at, _) = self.calls.0.get(&id).filter(|(_, record)| record.is_some())?;
        Some(if *at >= self.since { self.revision } else { *at })
    }

    /// The sums of a cell of usage; `None` when they are unknown.
    pub(super) fn cell(&self, name: &CellName) -> Option<Option<Sums>> {
        self.cells.fresh(name, self.since).copied()
    }

    /// How many cells a day has; `None` when that is unknown.
    pub(super) fn cells(&self, day: &String) -> Option<u64> {
        self.days.fresh(day, self.since).copied()
    }

    /// The top-up of this id; `None` when it is unknown whether there is one.
    pub(super) fn top_up(&self, id: &TopUpId) -> Option<Option<&TopUpRecord>> {
        self.top_ups.fresh(id, self.since).map(Option::as_ref)
    }

    /// Calls that are overdue at a moment, with their deadlines; `None` when they are unknown.
    pub(super) fn overdue(&self, now: i64) -> Option<Vec<(ReservationId, i64)>> {
        let (at, known) = self.overdue.as_ref()?;
        let overdue: Vec<_> =
            known.iter().copied().filter(|(_, deadline)| *deadline <= now).collect();
        let is_all = now < self.due_from || !overdue.is_empty();
        (is_all && (overdue.is_empty() || *at >= self.since)).then_some(overdue)
    }

    /// Users and keys that may be forgotten; `None` when they are unknown.
    pub(super) fn past(&self) -> Option<&[Past]> {
        self.past.as_ref().filter(|(at, _)| *at >= self.since).map(|(_, names)| names.as_slice())
    }

    /// Whether a call was restored after it had ended; `None` when that is unknown.
    pub(super) fn is_restored(&self, id: ReservationId) -> Option<bool> {
        self.restored.fresh(&id, self.since).copied()
    }

    /// Every scope and open call that is known at the current revision.
    pub(super) fn all(&self) -> (Vec<(ScopeName, ScopeRecord)>, Vec<Call>) {
        let scopes = self.scopes.0.iter().filter(|(_, (at, _))| *at >= self.since);
        let calls = self.calls.0.iter().filter(|(_, (at, _))| *at >= self.since);
        let mut scopes: Vec<_> =
            scopes.map(|(name, (_, record))| (name.clone(), record.clone())).collect();
        let mut calls: Vec<_> =
            calls.filter_map(|(id, (_, record))| Some((*id, record.clone()?))).collect();
        scopes.sort_by(|one, other| one.0.cmp(&other.0));
        calls.sort_by_key(|(id, _)| *id);
        (scopes, calls)
    }

    /// When the oldest rows were settled, oldest first: of calls with a cost, and of calls without.
    pub(super) fn oldest(&self) -> Option<&[Vec<i64>; 2]> {
        self.oldest.as_ref().filter(|(at, _)| *at >= self.since).map(|(_, oldest)| oldest)
    }

    /// Takes in what the keeper returned. Due calls are known up to `from`; nothing that is opened
    /// or renewed later is due before `first`.
    pub(in crate::ledger) fn learn(&mut self, found: Found, marks: u64, (from, first): (i64, i64)) {
        let Some(revision) = found.revision else { return };
        if revision != self.revision {
            self.since = revision;
            self.revision = revision;
        }
        self.marks = marks;
        self.team = found.team;
        self.is_held = false;
        for (id, record) in &found.calls {
            match (record, self.own.get_mut(id)) {
                (None, Some(_)) => drop(self.own.remove(id)),
                // The call is still open after the change that would have ended it, so it was not
                // ended.
                (Some(_), Some(own))
                    if own
                        .ending
                        .is_some_and(|ending| self.team.has_come_to(revision, ending.change())) =>
                {
                    own.ending = None;
                }
                (Some(_), Some(_)) | (_, None) => {}
            }
        }
        found.restored.into_iter().for_each(|(id, is)| self.restored.put(id, is, revision));
        found.scopes.into_iter().for_each(|(name, record)| self.scopes.put(name, record, revision));
        for (id, mut record) in found.calls {
            // A put-off deadline is kept in the index of deadlines, not in the record.
            if let (Some(record), Some(known)) = (&mut record, self.last_known(id)) {
                record.deadline = record.deadline.max(known.deadline);
            }
            self.calls.put(id, record, revision);
        }
        found.cells.into_iter().for_each(|(name, sums)| self.cells.put(name, sums, revision));
        found.days.into_iter().for_each(|(day, cells)| self.days.put(day, cells, revision));
        found.top_ups.into_iter().for_each(|(id, record)| self.top_ups.put(id, record, revision));
        if let Some(due) = found.due {
            let is_all = due.overdue.len() < OVERDUE_MAX;
            self.due_from = if is_all { due.next.unwrap_or(i64::MAX).min(first) } else { from };
            self.overdue = Some((revision, due.overdue));
        }
        if let Some(past) = found.past {
            self.past = Some((revision, past));
        }
        if let Some(oldest) = found.oldest {
            self.oldest = Some((revision, oldest));
        }
        self.bound();
    }

    /// Notes that this process makes these calls, which it admitted or claimed.
    pub(super) fn owns(&mut self, opened: &Changes, makes: Revision) {
        self.own.extend(opened.opened.keys().map(|id| (*id, Own::since(makes))));
    }

    /// Notes that this process makes an admitted call. If the answer that gave its revision was
    /// lost, the call's record has been read since.
    pub(super) fn owns_admitted(&mut self, id: ReservationId) {
        if let Some((at, Some(_))) = self.calls.0.get(&id) {
            self.own.entry(id).or_insert(Own::since(*at));
        }
    }

    /// Applies changes that this process worked out and the keeper has written.
    pub(in crate::ledger) fn change(&mut self, changes: Changes, makes: Revision) {
        if self.revision.epoch != makes.epoch {
            self.since = makes;
        }
        self.revision = makes;
        self.at_once = self.at_once.saturating_add(1);
        if let Some((_, overdue)) = &mut self.overdue {
            overdue.retain(|(id, _)| !changes.touch(*id));
        }
        for row in changes.rows {
            self.remember_row(self.written(makes, row));
        }
        for id in changes.restored {
            self.restored.put(id, true, makes);
        }
        if let Some(team) = changes.team {
            self.team = team;
        }
        for (name, record) in changes.scopes {
            self.scopes.put(name, record.unwrap_or_default(), makes);
        }
        for (id, record) in changes.opened {
            self.calls.put(id, Some(record), makes);
        }
        for id in &changes.ended {
            self.calls.0.remove(id);
            self.own.remove(id);
        }
        changes.cells.into_iter().for_each(|(name, sums)| self.cells.put(name, Some(sums), makes));
        changes.days.into_iter().for_each(|(day, cells)| self.days.put(day, cells, makes));
        changes
            .top_ups
            .into_iter()
            .for_each(|(id, record)| self.top_ups.put(id, Some(record), makes));
        if let Some((_, oldest)) = &mut self.oldest {
            for (list, gone) in oldest.iter_mut().zip(changes.trimmed) {
                list.drain(..list.len().min(usize::try_from(gone).unwrap_or(usize::MAX)));
            }
        }
        self.past = None;
        self.bound();
    }

    /// Notes that the deadlines of calls were put off to this one or a later one, at a moment of
    /// the keeper's time. Others may have swept a call whose deadline had passed by then.
    pub(super) fn put_off(&mut self, renewed: &[ReservationId], (deadline, at): (i64, i64)) {
        for id in renewed {
            if let Some((_, Some(record))) = self.calls.0.get_mut(id) {
                if record.deadline <= at
                    && let Some(own) = self.own.get_mut(id)
                {
                    own.ending.get_or_insert(Ending::swept_after(own.admitted, record.deadline));
                }
                record.deadline = deadline;
            }
        }
    }

    /// Notes that a call has come to another phase.
    pub(super) fn mark(&mut self, id: ReservationId, record: ReservationRecord, is_open: bool) {
        if !is_open {
            self.calls.0.remove(&id);
            self.own.remove(&id);
        } else if let Some((_, known)) = self.calls.0.get_mut(&id) {
            *known = Some(record);
        }
    }

    /// Whether these changes turn the time of a bucket back.
    pub(super) fn turns_back(&self, changes: &Changes) -> bool {
        changes.scopes.iter().any(|(name, record)| {
            record.as_ref().zip(self.scope(name)).is_some_and(|(is, was)| is.turns_back(was))
        })
    }

    /// A row that this process wrote, of a call that it knew.
    pub(super) fn written(&self, at: Revision, row: Row) -> Written {
        let record = self.last_known(row.id);
        let scopes = record.filter(|_| !row.outcome.costs()).map(|record| record.scopes.clone());
        let ending = record.and_then(|record| record.ending);
        let voids = self.own.get(&row.id).map(|own| own.voids.clone()).unwrap_or_default();
        Written { at: vec![at], ending, voids, scopes: scopes.unwrap_or_default(), row }
    }

    /// Remembers a row that this process wrote.
    pub(super) fn remember_row(&mut self, written: Written) {
        let at = written.row.settled_at.as_microsecond();
        let is_old = |old: &Written| at - old.row.settled_at.as_microsecond() > ROWS_FOR;
        while self.rows.len() >= ROWS_MAX || self.rows.front().is_some_and(is_old) {
            self.rows.pop_front();
        }
        self.rows.push_back(written);
    }

    /// Forgets some records that can be read again, as happens when more are in use than are kept.
    #[cfg(test)]
    pub(super) fn forget_some(&mut self, mut goes: impl FnMut() -> bool) {
        let Self { own, scopes, calls, cells, days, restored, .. } = self;
        scopes.forget(|_| goes());
        cells.forget(|_| goes());
        days.forget(|_| goes());
        restored.forget(|_| goes());
        calls.forget(|id| goes() && !own.contains_key(id));
    }

    fn bound(&mut self) {
        if self.scopes.0.len() > KEPT_MAX {
            let of_team = self.scopes.0.remove_entry(&ScopeName::from(&Scope::Team));
            self.scopes.bound(self.since);
            self.scopes.0.extend(of_team);
        }
        self.restored.bound(self.since);
        self.cells.bound(self.since);
        self.days.bound(self.since);
        self.top_ups.bound(self.since);
        // Open calls are bounded by the connections. Calls that are over are dropped once the cache
        // is full.
        if self.calls.0.len() > KEPT_MAX {
            self.calls.0.retain(|_, (_, record)| record.is_some());
        }
    }
}

/// How many of the oldest rows a reply lists.
pub(in crate::ledger) const OLDEST_MAX: usize = 256;
/// The most overdue calls in one reply.
pub(in crate::ledger) const OVERDUE_MAX: usize = 128;

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
