//! Losses of the store, and its trust state afterwards for processes that have never seen a team,
//! as in `trust.lua`.

use super::losses::LiveProcesses;
use super::planted::Planted;
use super::scenario::GATHER;
use super::state::State;
use super::store::Store;
use crate::ledger::ReservationId;
use crate::ledger::keeper::{Changes, Step};
use crate::ledger::machine::windows::End;

impl Store {
    /// Copies the store to a replica, which lags from now on.
    pub(super) fn copy(&mut self) {
        self.copies.older = Some(self.state.clone());
    }

    /// Empties the store.
    pub(super) fn empty(&mut self, now: i64, live: &LiveProcesses) {
        self.becomes(State::default(), now, live);
        self.checker.sees("the store was emptied");
    }

    /// Promotes the replica, which lacks the last writes. `false`: there is none.
    pub(super) fn promote(&mut self, now: i64, live: &LiveProcesses) -> bool {
        let Some(older) = self.copies.older.take() else { return false };
        self.becomes(older, now, live);
        self.checker.sees("an older copy took over");
        true
    }

    fn becomes(&mut self, state: State, now: i64, live: &LiveProcesses) {
        let before = std::mem::replace(&mut self.state, state);
        self.copies.known_since = None;
        self.checker.lost(&before, &self.state, now, live);
    }

    /// The step, or with the planted bug without the calls that stand for unclaimed ones, which
    /// frees what they hold.
    pub(super) fn forgets_unclaimed(&self, step: &Step) -> Step {
        let mut step = step.clone();
        let opens = self.state.team.is_closed()
            && step.changes.team.as_ref().is_some_and(|team| !team.is_closed());
        if self.planted != Planted::ForgetsUnclaimed || !opens {
            return step;
        }
        let is_known = |id: &ReservationId| self.state.calls.contains_key(id);
        let opened = std::mem::take(&mut step.changes.opened);
        let (known, made) = opened.into_iter().partition::<Vec<_>, _>(|(id, _)| is_known(id));
        step.changes.opened = known.into_iter().collect();
        for (_, record) in &made {
            for name in &record.scopes {
                let free = End { price: record.price, charged: 0, counted: false };
                let kept = self.state.scopes.get(name).cloned().unwrap_or_default();
                let scope = step.changes.scopes.entry(name.clone()).or_insert(Some(kept));
                scope.get_or_insert_default().settle(&record.windows, &free);
            }
        }
        step
    }

    /// The step, or with the planted bug with late restores marked as judged.
    pub(super) fn leaves_unjudged(&self, step: Step) -> Step {
        let is_judged = step.changes.team.as_ref().is_some_and(|team| !team.is_unjudged());
        if self.planted != Planted::LeavesUnjudged || !self.state.team.is_unjudged() || !is_judged {
            return step;
        }
        let Changes { team, lives_on, .. } = step.changes;
        Step { changes: Changes { team, lives_on, ..Changes::default() }, ..step }
    }

    /// Whether the store is trusted about teams that a process has never seen.
    pub(super) fn trusts(&mut self, at: i64) -> bool {
        at >= *self.copies.known_since.get_or_insert(at) + GATHER
    }
}
