//! The simulated keeper: applies a step to one team exactly as the script of Redis does.
//!
//! It does not simulate the expiry of keys, since no history lasts that long. Its losses are in
//! `copies`.

use std::collections::VecDeque;

use super::checker::Checker;
use super::planted::Planted;
use super::state::State;
use crate::ledger::keeper::LeftMark;
use crate::ledger::keeper::step::Mark;
use crate::ledger::keeper::{
    Changes, Due, Expected, Found, Marked, OVERDUE_MAX, Past, Reply, Step, Verdict, Wanted,
};
use crate::ledger::machine::{ReservationRecord, ScopeName, ScopeRecord};
use crate::ledger::{ReservationId, Row};

/// Most of the oldest rows, and of the expired scopes, in one reply.
const OLDEST_MAX: usize = 256;
const PAST_MAX: usize = 128;
/// Lifetime of a mark, in microseconds. Without its mark a team is not made.
const MARK_STAYS: i64 = 60_000_000;

/// How long the others let a process go first that asked for it, in microseconds.
const TURN_LASTS: i64 = 3_000;

/// The replica of a store, and the server's identity.
pub(super) struct Copies {
    /// The lagging replica's records.
    pub(super) older: Option<State>,
    /// Since when the replication id is known, in the keeper's time; `None`: no process has asked
    /// since it was lost.
    pub(super) known_since: Option<i64>,
}

impl Default for Copies {
    fn default() -> Self {
        Self { older: None, known_since: Some(0) }
    }
}

/// The keeper.
pub(super) struct Store {
    pub(super) state: State,
    pub(super) checker: Checker,
    pub(super) copies: Copies,
    pub(super) planted: Planted,
}

impl Store {
    pub(super) fn new(mut checker: Checker, planted: Planted) -> Self {
        checker.losses.is_planted = planted == Planted::SameReplicationId;
        Self { state: State::default(), checker, copies: Copies::default(), planted }
    }

    /// Applies a step at a moment of the keeper's time, for this process.
    pub(super) fn step(&mut self, step: &Step, incarnation: u64, at: i64) -> Reply {
        self.checker.it_is(at);
        let marked: Vec<Marked> = step.marks.iter().map(|mark| self.mark(mark)).collect();
        let renewed = step.renewed.iter().filter(|_| step.is_timely(at));
        for id in renewed {
            self.state.due.entry(*id).and_modify(|deadline| *deadline = step.deadline);
        }
        let mut verdict = self.verdict(step, at, marked.contains(&Marked::Changed));
        if verdict == Verdict::Done && !self.passes(step, at) {
            verdict = Verdict::NotWritten;
        }
        verdict = self.turn(step, incarnation, at, verdict);
        if self.planted == Planted::RowsOutside && verdict != Verdict::Done {
            let rows = Changes { rows: step.changes.rows.clone(), ..Changes::default() };
            self.write(&Step { changes: rows, ..step.clone() }, at);
        }
        if verdict == Verdict::Done && step.is_made() {
            self.write(&self.leaves_unjudged(self.forgets_unclaimed(step)), at);
            self.state.revision = Some(step.makes);
            self.checker.losses.written(step.makes);
        }
        self.sees(step, verdict, &marked);
        let found = (verdict == Verdict::NotWritten).then(|| match step.reads {
            true => self.found(&step.wanted, step.from),
            false => Found { revision: self.state.revision, ..Found::default() },
        });
        Reply { verdict, at, marks: self.state.marks, marked, void: None, found }
    }

    /// Refuses a step as if others had been first.
    pub(super) fn refuse(&mut self, step: &Step, incarnation: u64, at: i64) -> Reply {
        self.step(&Step { expected: Expected::Anything, ..step.clone() }, incarnation, at)
    }

    /// Returns this team's counts for another team, if that bug is planted.
    pub(super) fn mixes(&self, found: &mut Found) {
        for (name, record) in &mut found.scopes {
            *record = self.state.scopes.get(name).cloned().unwrap_or_default();
        }
    }

    /// Resets the counts, if that bug is planted.
    pub(super) fn begins_anew(&mut self) {
        self.state.scopes.values_mut().for_each(|record| *record = ScopeRecord::default());
    }

    /// Lets another process go first if it has asked for it, and notes a new request.
    fn turn(&mut self, step: &Step, asks: u64, at: i64, verdict: Verdict) -> Verdict {
        let (writes, turn) = (verdict == Verdict::Done && step.is_made(), self.state.turn);
        // A turn that begins now ends after TURN_LASTS. One that ends later began before the clock
        // was set back.
        let lasts = |ends| at < ends && ends <= at + TURN_LASTS;
        let is_others = turn.is_some_and(|(whose, ends)| whose != asks && lasts(ends));
        if writes {
            if is_others {
                return Verdict::OthersTurn;
            }
            self.state.turn = None;
        }
        if verdict == Verdict::NotWritten && !is_others && step.wants_turn {
            self.state.turn = Some((asks, at + TURN_LASTS));
        }
        verdict
    }

    fn sees(&mut self, step: &Step, verdict: Verdict, marked: &[Marked]) {
        let was_refused = verdict == Verdict::NotWritten && step.expected != Expected::Anything;
        let seen = [
            (was_refused, "a step was refused"),
            (verdict == Verdict::OtherTime, "a step came outside its times"),
            (verdict == Verdict::OthersTurn, "another had asked to go first"),
            (marked.contains(&Marked::Changed), "a mark found another phase"),
            (marked.contains(&Marked::Gone), "a mark found no call"),
        ];
        seen.iter().filter(|(seen, _)| *seen).for_each(|(_, what)| self.checker.sees(what));
    }

    /// Applies a mark.
    fn mark(&mut self, mark: &Mark) -> Marked {
        let Some(is) = self.state.calls.get_mut(&mark.id) else { return Marked::Gone };
        let how_far = |record: &ReservationRecord| (record.phase(), record.marks);
        let (kept, from, to) = (how_far(is), how_far(&mark.from), how_far(&mark.to));
        if (kept == from || self.planted == Planted::MarksUnchecked) && kept != to {
            if let Some(phase) = mark.to.phase() {
                self.checker.marked(mark.id, phase);
            }
            let ReservationRecord { dispatched, turned_back, marks, .. } = mark.to;
            *is = ReservationRecord { dispatched, turned_back, marks, ..is.clone() };
            self.state.marks += 1;
            return Marked::Done;
        }
        if kept == from || kept == to { Marked::Done } else { Marked::Changed }
    }

    fn verdict(&self, step: &Step, at: i64, something_else: bool) -> Verdict {
        let is_expected = match step.expected {
            Expected::Anything => false,
            Expected::Nothing(_) => self.state.revision.is_none(),
            Expected::Revision(revision) => {
                let restores = self.state.team.is_closed() && step.changes.team.is_none();
                self.state.revision == Some(revision)
                    || self.planted == Planted::NoComparison
                    || (self.planted == Planted::RestoresUncompared && restores)
            }
        };
        if !is_expected || something_else {
            Verdict::NotWritten
        } else if !step.is_timely(at) && self.planted != Planted::TimeUnchecked {
            Verdict::OtherTime
        } else {
            Verdict::Done
        }
    }

    fn passes(&self, step: &Step, at: i64) -> bool {
        let State { calls, due, left_marks, .. } = &self.state;
        let is_marked = match step.expected {
            Expected::Nothing(mark) => left_marks.get(&mark).is_some_and(|until| at < *until),
            Expected::Anything | Expected::Revision(_) => true,
        };
        let is_overdue = |(id, deadline, record): &(ReservationId, i64, ReservationRecord)| {
            calls.get(id).is_some_and(|is| (is.phase(), is.marks) == (record.phase(), record.marks))
                && due.get(id) == Some(deadline)
        };
        is_marked
            && step.unopened.iter().all(|id| !calls.contains_key(id))
            && (self.planted == Planted::OverdueUnchecked || step.overdue.iter().all(is_overdue))
    }

    fn write(&mut self, step: &Step, at: i64) {
        let (state, changes) = (&mut self.state, &step.changes);
        self.checker.before_writing(state, step, at);
        for id in &changes.ended {
            state.calls.remove(id);
            state.due.remove(id);
        }
        for (name, end) in &changes.ends {
            match end {
                Some(end) => state.ends.insert(Past::Scope(name.clone()), *end),
                None => state.ends.remove(&Past::Scope(name.clone())),
            };
        }
        for row in &changes.rows {
            if let Some(rows) = state.rows.get_mut(usize::from(row.charged.micros() == 0)) {
                rows.push_front(row.clone());
            }
        }
        for (rows, gone) in state.rows.iter_mut().zip(changes.trimmed) {
            rows.truncate(rows.len().saturating_sub(usize::try_from(gone).unwrap_or(usize::MAX)));
        }
        state.cells.extend(changes.cells.iter().map(|(name, sums)| (name.clone(), *sums)));
        if let Some(team) = &changes.team {
            state.team = team.clone();
        }
        for (name, record) in &changes.scopes {
            match record {
                Some(record) => state.scopes.insert(name.clone(), record.clone()),
                None => state.scopes.remove(name),
            };
        }
        for (id, record) in &changes.opened {
            state.calls.insert(*id, record.clone());
            state.due.insert(*id, step.deadline);
        }
        state.restored.extend(changes.restored.iter().copied());
        state.days.extend(changes.days.clone());
        state.top_ups.extend(changes.top_ups.clone());
        self.checker.after_writing(&self.state, changes);
    }

    fn found(&self, wanted: &Wanted, from: i64) -> Found {
        let state = &self.state;
        let scope = |name: &ScopeName| {
            let mut record = state.scopes.get(name).cloned().unwrap_or_default();
            if self.planted == Planted::LastIsBelieved {
                record.forget_order();
            }
            record
        };
        let mut found = Found {
            revision: state.revision,
            team: state.team.clone(),
            scopes: wanted.scopes.iter().map(|name| (name.clone(), scope(name))).collect(),
            calls: wanted.calls.iter().map(|id| (*id, state.calls.get(id).cloned())).collect(),
            cells: wanted
                .cells
                .iter()
                .map(|name| (name.clone(), state.cells.get(name).copied()))
                .collect(),
            days: wanted
                .days
                .iter()
                .map(|day| (day.clone(), state.days.get(day).copied().unwrap_or(0)))
                .collect(),
            top_ups: wanted
                .top_ups
                .iter()
                .map(|id| (id.clone(), state.top_ups.get(id).cloned()))
                .collect(),
            restored: wanted.restored.iter().map(|id| (*id, state.restored.contains(id))).collect(),
            due: None,
            past: None,
            ends_are_lost: false,
            oldest: None,
        };
        if wanted.due {
            let mut due: Vec<_> = state.due.iter().map(|(id, deadline)| (*id, *deadline)).collect();
            due.sort_by_key(|(id, deadline)| (*deadline, *id));
            let next = due.iter().map(|(_, deadline)| *deadline).find(|deadline| *deadline > from);
            due.retain(|(_, deadline)| *deadline <= from);
            due.truncate(OVERDUE_MAX);
            found.due = Some(Due { overdue: due, next, is_lost: false });
        }
        if wanted.past {
            let mut past: Vec<_> = state.ends.iter().filter(|(_, end)| **end <= from).collect();
            past.sort_by_key(|(name, end)| (**end, *name));
            found.past =
                Some(past.into_iter().take(PAST_MAX).map(|(name, _)| name.clone()).collect());
        }
        if wanted.all {
            found.scopes.extend(state.scopes.clone());
            found.calls.extend(state.calls.iter().map(|(id, record)| (*id, Some(record.clone()))));
        }
        if wanted.oldest {
            let oldest = |rows: &VecDeque<Row>| {
                rows.iter()
                    .rev()
                    .take(OLDEST_MAX)
                    .map(|row| row.settled_at.as_microsecond())
                    .collect()
            };
            found.oldest = Some(state.rows.each_ref().map(oldest));
        }
        found
    }

    /// Leaves a mark.
    pub(super) fn leave_mark(&mut self, name: u64, at: i64) -> LeftMark {
        let mark = LeftMark { name, left_at: at.unsigned_abs() };
        self.state.left_marks.insert(mark, at.saturating_add(MARK_STAYS));
        mark
    }

    /// Whether the team is in the store's set of teams.
    pub(super) const fn is_noted(&self) -> bool {
        self.state.is_noted
    }

    /// Adds the team to that set.
    pub(super) const fn note(&mut self) {
        self.state.is_noted = true;
    }
}
