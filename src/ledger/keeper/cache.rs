//! A team's records as this process knows them: each as it was at some revision, and usable as long as nobody else has
//! changed anything since.
//!
//! It is never believed without the comparison. What others have changed is not thrown away: it is what this process
//! can restore should the keeper lose what came later (see `memory`).

use std::collections::VecDeque;

use super::memory::{Memory, Own};
use super::step::{Changes, Found, Past, TeamRecord};
use super::table::{KEPT_MOST, Table};
use super::wanted::CellName;
use crate::ledger::machine::{Ended, ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{Crossing, ReservationId, Row, Scope, Sums, TopUpId};
use crate::maps::FastMap;

/// How many rows are kept that this process wrote: of what a promoted replica may lack, a good deal more.
const ROWS_MOST: usize = 4_096;
/// How long one is kept as long as others come, in microseconds.
const ROWS_FOR: i64 = 600_000_000;

/// After so many steps in a row that were made at once, nobody else seems to be at work on the team.
const ALONE_AFTER: u32 = 4;

/// A step of which it is not known whether it was done.
#[derive(Debug)]
pub(super) struct InDoubt {
    pub(super) makes: Revision,
    pub(super) changes: Changes,
    pub(super) swept: Vec<Ended>,
    pub(super) crossed: Vec<Crossing>,
}

/// A row that this process wrote, and when: more than once if it was restored.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) at: Vec<Revision>,
    pub(super) row: Row,
}

/// An open call.
type Call = (ReservationId, ReservationRecord);

/// A team's records as this process knows them.
#[derive(Debug, Default)]
pub(in crate::ledger) struct TeamCache {
    /// The latest revision that this process knows of; epoch 0: it has never seen the team.
    pub(super) revision: Revision,
    /// Since this revision nobody else has changed anything, as far as is known.
    since: Revision,
    /// How often calls had been marked when it last heard of it.
    pub(super) marks: u64,
    /// How many steps in a row were made at once.
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
    /// Rows that this process wrote, the oldest first.
    pub(super) rows: VecDeque<Written>,
    /// What this process knows and is yet to restore.
    pub(super) memory: Option<Box<Memory>>,
    /// A step whose answer was lost, and what it ended.
    in_doubt: Option<Box<InDoubt>>,
    /// An operator is to say whether the team may begin.
    pub(super) is_held: bool,
    /// Calls that were overdue, with their deadlines.
    overdue: Option<(Revision, Vec<(ReservationId, i64)>)>,
    /// Before this nothing more is due, in microseconds of Unix time, whatever others do meanwhile: what they open and
    /// renew is due later.
    due_from: i64,
    past: Option<(Revision, Vec<Past>)>,
    oldest: Option<(Revision, [Vec<i64>; 2])>,
}

impl TeamCache {
    /// The latest revision known; `None`: this process has never seen the team.
    pub(in crate::ledger) const fn revision(&self) -> Option<Revision> {
        if self.revision.epoch > 0 { Some(self.revision) } else { None }
    }

    /// Takes note of how often calls have been marked.
    pub(super) const fn note_marks(&mut self, marks: u64) {
        self.marks = marks;
    }

    /// Whether nobody else seems to be at work on the team.
    pub(super) const fn is_alone(&self) -> bool {
        self.at_once >= ALONE_AFTER
    }

    /// Takes note that somebody else has changed something.
    pub(super) const fn is_not_alone(&mut self) {
        self.at_once = 0;
    }

    /// Whether nothing is judged, as far as this process knows.
    pub(super) fn is_closed(&self) -> bool {
        self.is_held || self.memory.is_some() || self.team.is_closed()
    }

    /// What is known of the team as a whole.
    pub(super) const fn team(&self) -> &TeamRecord {
        &self.team
    }

    /// A scope; `None`: what is known of it is old, or nothing.
    pub(super) fn scope(&self, name: &ScopeName) -> Option<&ScopeRecord> {
        self.scopes.fresh(name, self.since)
    }

    /// Whether a call is open, and what is kept of it; `None`: that is not known.
    pub(super) fn call(&self, id: ReservationId) -> Option<Option<&ReservationRecord>> {
        self.calls.fresh(&id, self.since).map(Option::as_ref)
    }

    /// What was last known of a call that may still be open: nobody but the process that makes it marks it.
    pub(super) fn last_known(&self, id: ReservationId) -> Option<&ReservationRecord> {
        self.calls.0.get(&id).and_then(|(_, record)| record.as_ref())
    }

    /// What a cell of usage holds; `None`: that is not known.
    pub(super) fn cell(&self, name: &CellName) -> Option<Option<Sums>> {
        self.cells.fresh(name, self.since).copied()
    }

    /// How many cells a day has; `None`: that is not known.
    pub(super) fn cells(&self, day: &String) -> Option<u64> {
        self.days.fresh(day, self.since).copied()
    }

    /// A top-up of this id; `None`: whether there is one is not known.
    pub(super) fn top_up(&self, id: &TopUpId) -> Option<Option<&TopUpRecord>> {
        self.top_ups.fresh(id, self.since).map(Option::as_ref)
    }

    /// Calls that are overdue at a moment, with their deadlines; `None`: that is not known.
    pub(super) fn overdue(&self, now: i64) -> Option<Vec<(ReservationId, i64)>> {
        let (at, told) = self.overdue.as_ref()?;
        let overdue: Vec<_> = told.iter().copied().filter(|(_, deadline)| *deadline <= now).collect();
        let is_all = now < self.due_from || !overdue.is_empty();
        (is_all && (overdue.is_empty() || *at >= self.since)).then_some(overdue)
    }

    /// Users and keys that may be forgotten; `None`: that is not known.
    pub(super) fn past(&self) -> Option<&[Past]> {
        self.past.as_ref().filter(|(at, _)| *at >= self.since).map(|(_, names)| names.as_slice())
    }

    /// Whether a call was restored after it had ended; `None`: that is not known.
    pub(super) fn is_restored(&self, id: ReservationId) -> Option<bool> {
        self.restored.fresh(&id, self.since).copied()
    }

    /// Every scope and call that is known, if all are.
    pub(super) fn all(&self) -> (Vec<(ScopeName, ScopeRecord)>, Vec<Call>) {
        let scopes = self.scopes.0.iter().filter(|(_, (at, _))| *at >= self.since);
        let calls = self.calls.0.iter().filter(|(_, (at, _))| *at >= self.since);
        let mut scopes: Vec<_> = scopes.map(|(name, (_, record))| (name.clone(), record.clone())).collect();
        let mut calls: Vec<_> = calls.filter_map(|(id, (_, record))| Some((*id, record.clone()?))).collect();
        scopes.sort_by(|one, other| one.0.cmp(&other.0));
        calls.sort_by_key(|(id, _)| *id);
        (scopes, calls)
    }

    /// When the oldest rows were settled, oldest first: of calls that cost something, and of those that did not.
    pub(super) fn oldest(&self) -> Option<&[Vec<i64>; 2]> {
        self.oldest.as_ref().filter(|(at, _)| *at >= self.since).map(|(_, oldest)| oldest)
    }

    /// Takes note that the answer to a step was lost.
    pub(super) fn doubt(&mut self, step: InDoubt) {
        let kept = step.changes.opened.iter().filter(|(_, record)| record.unread).map(|(id, _)| id);
        for id in step.changes.ended.iter().chain(kept) {
            if let Some(own) = self.own.get_mut(id) {
                own.ending.get_or_insert(step.makes);
            }
        }
        self.in_doubt = Some(Box::new(step));
    }

    /// The step that was in doubt, if what the keeper says shows that it was done.
    pub(super) fn confirmed(&mut self, found: Option<Revision>) -> Option<Box<InDoubt>> {
        let in_doubt = self.in_doubt.take()?;
        let is_over = found.is_none_or(|found| found >= in_doubt.makes);
        if !is_over {
            self.in_doubt = Some(in_doubt);
            return None;
        }
        (found == Some(in_doubt.makes)).then_some(in_doubt)
    }

    /// Takes note of what the keeper told. `from` is the moment up to which it told what is due, and `first` the first
    /// moment at which anything could be that is opened or renewed later.
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
                // It is there after the change that would have ended it.
                (Some(_), Some(own)) if own.ending.is_some_and(|ending| self.team.has_come_to(revision, ending)) => {
                    own.ending = None;
                }
                (Some(_), Some(_)) | (_, None) => {}
            }
        }
        found.restored.into_iter().for_each(|(id, is)| self.restored.put(id, is, revision));
        found.scopes.into_iter().for_each(|(name, record)| self.scopes.put(name, record, revision));
        found.calls.into_iter().for_each(|(id, record)| self.calls.put(id, record, revision));
        found.cells.into_iter().for_each(|(name, sums)| self.cells.put(name, sums, revision));
        found.days.into_iter().for_each(|(day, cells)| self.days.put(day, cells, revision));
        found.top_ups.into_iter().for_each(|(id, record)| self.top_ups.put(id, record, revision));
        if let Some(due) = found.due {
            let is_all = due.overdue.len() < OVERDUE_MOST;
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

    /// Takes note that calls were admitted, or claimed, that this process makes.
    pub(super) fn owns(&mut self, opened: &Changes, makes: Revision) {
        self.own.extend(opened.opened.keys().map(|id| (*id, Own::since(makes))));
    }

    /// Takes note that a call is admitted that this process makes. Where the answer was lost that said when, it has
    /// read so.
    pub(super) fn owns_admitted(&mut self, id: ReservationId) {
        if let Some((at, Some(_))) = self.calls.0.get(&id) {
            self.own.entry(id).or_insert(Own::since(*at));
        }
    }

    /// Takes note that changes were made that this process worked out.
    pub(in crate::ledger) fn change(&mut self, changes: Changes, makes: Revision) {
        if self.revision.epoch != makes.epoch {
            self.since = makes;
        }
        self.revision = makes;
        self.at_once = self.at_once.saturating_add(1);
        if let Some((_, overdue)) = &mut self.overdue {
            overdue.retain(|(id, _)| !changes.touch(*id));
        }
        changes.rows.into_iter().for_each(|row| self.remember_row(Written { at: vec![makes], row }));
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
        changes.top_ups.into_iter().for_each(|(id, record)| self.top_ups.put(id, Some(record), makes));
        if let Some((_, oldest)) = &mut self.oldest {
            for (list, gone) in oldest.iter_mut().zip(changes.trimmed) {
                list.drain(..list.len().min(usize::try_from(gone).unwrap_or(usize::MAX)));
            }
        }
        self.past = None;
        self.bound();
    }

    /// Takes note that a call has come to another phase.
    pub(super) fn mark(&mut self, id: ReservationId, record: ReservationRecord, is_open: bool) {
        if !is_open {
            self.calls.0.remove(&id);
            self.own.remove(&id);
        } else if let Some((_, known)) = self.calls.0.get_mut(&id) {
            *known = Some(record);
        }
    }

    /// Remembers a row that this process wrote.
    pub(super) fn remember_row(&mut self, written: Written) {
        let at = written.row.settled_at.as_microsecond();
        let is_old = |old: &Written| at - old.row.settled_at.as_microsecond() > ROWS_FOR;
        while self.rows.len() >= ROWS_MOST || self.rows.front().is_some_and(is_old) {
            self.rows.pop_front();
        }
        self.rows.push_back(written);
    }

    /// Forgets some of what it could read again, as where more is in use than is kept.
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
        if self.scopes.0.len() > KEPT_MOST {
            let of_team = self.scopes.0.remove_entry(&ScopeName::from(&Scope::Team));
            self.scopes.bound(self.since);
            self.scopes.0.extend(of_team);
        }
        self.restored.bound(self.since);
        self.cells.bound(self.since);
        self.days.bound(self.since);
        self.top_ups.bound(self.since);
        // Calls that this process runs are fewer than connections may be; those that are over are told of and
        // forgotten.
        if self.calls.0.len() > KEPT_MOST {
            self.calls.0.retain(|_, (_, record)| record.is_some());
        }
    }
}

/// How many of the oldest rows are told of.
pub(in crate::ledger) const OLDEST_MOST: usize = 256;
/// How many overdue calls are told of at most.
pub(in crate::ledger) const OVERDUE_MOST: usize = 128;

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
