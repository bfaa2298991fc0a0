//! What the store loses, and how far it is believed after that: as `trust.lua` does, by whoever has
//! never seen the team.

use std::collections::BTreeMap;

use super::losses::Witnesses;
use super::planted::Planted;
use super::state::State;
use super::store::Store;
use super::terms::GATHER;
use crate::ledger::ReservationId;
use crate::ledger::keeper::{Changes, Step};
use crate::ledger::machine::ReservationRecord;
use crate::ledger::machine::record::End;

impl Store {
    /// A replica has what is there now, and lags behind from here on.
    pub(super) fn is_copied(&mut self) {
        self.copies.older = Some(self.state.clone());
    }

    /// All of it is gone.
    pub(super) fn is_emptied(&mut self, now: i64, witnesses: &Witnesses) {
        self.becomes(State::default(), now, witnesses);
        self.promises.sees("the store was emptied");
    }

    /// A replica takes over that lacks the last writes. `false`: there is none.
    pub(super) fn goes_back(&mut self, now: i64, witnesses: &Witnesses) -> bool {
        let Some(older) = self.copies.older.take() else { return false };
        self.becomes(older, now, witnesses);
        self.promises.sees("an older copy took over");
        true
    }

    fn becomes(&mut self, state: State, now: i64, witnesses: &Witnesses) {
        let before = std::mem::replace(&mut self.state, state);
        self.copies.known_since = None;
        self.promises.lost(&before, &self.state, now, witnesses);
    }

    /// A step as it is, unless a fault is planted: then the calls that stand for others are not
    /// made, and what they would hold is free.
    pub(super) fn forgets_unclaimed(&self, step: &Step) -> Step {
        let mut step = step.clone();
        let opens = self.state.team.is_closed()
            && step.changes.team.as_ref().is_some_and(|team| !team.is_closed());
        if self.planted != Planted::ForgetsUnclaimed || !opens {
            return step;
        }
        let is_known = |id: &ReservationId| self.state.calls.contains_key(id);
        let (known, made) =
            std::mem::take(&mut step.changes.opened).into_iter().partition(|(id, _)| is_known(id));
        step.changes.opened = known;
        let made: BTreeMap<ReservationId, ReservationRecord> = made;
        for record in made.values() {
            for name in &record.scopes {
                let free = End { price: record.price, charged: 0, counted: false };
                let kept = self.state.scopes.get(name).cloned().unwrap_or_default();
                let scope = step.changes.scopes.entry(name.clone()).or_insert(Some(kept));
                scope.get_or_insert_default().settle(&record.windows, &free);
            }
        }
        step
    }

    /// A step as it is, unless a fault is planted: then what was restored late is taken for judged.
    pub(super) fn leaves_unjudged(&self, step: Step) -> Step {
        let is_judged = step.changes.team.as_ref().is_some_and(|team| !team.is_unjudged());
        if self.planted != Planted::LeavesUnjudged || !self.state.team.is_unjudged() || !is_judged {
            return step;
        }
        let Changes { team, lives_on, .. } = step.changes;
        Step { changes: Changes { team, lives_on, ..Changes::default() }, ..step }
    }

    /// Whether the store is believed of teams that somebody has never seen.
    pub(super) fn vouches(&mut self, at: i64) -> bool {
        at >= *self.copies.known_since.get_or_insert(at) + GATHER
    }
}
