//! Effects of a loss on the checker's model: the lost writes, the crash of a process and of what
//! only it could restore, and the checks of a step that closes, restores or opens a team.

use std::collections::BTreeSet;

use super::checker::{CallModel, Checker};
use super::losses::{Certainty, LiveProcesses, counted_to};
use super::scenario::GATHER;
use super::state::State;
use crate::ledger::keeper::{Expected, Step, Wanted};
use crate::ledger::machine::{Revision, ScopeName};
use crate::ledger::{ReservationId, Row, Scope};

impl CallModel {
    /// Whether one of these processes has seen the call hold something: when it was opened, or
    /// restored.
    fn is_seen_by(&self, live: &LiveProcesses) -> bool {
        [self.opened_at, self.first_opened].iter().any(|made| live.have_seen(*made))
    }
}

impl Checker {
    /// Whether the stored counts must equal the model exactly.
    pub(super) fn is_exact(&self, state: &State) -> bool {
        self.losses.certainty == Certainty::Whole
            && !self.losses.is_unnoticed
            && !state.team.is_closed()
    }

    /// Notes that the store has lost writes.
    pub(super) fn lost(&mut self, before: &State, left: &State, now: i64, live: &LiveProcesses) {
        let is_lost = |at: &Revision| left.revision.is_none_or(|kept| *at > kept);
        let losses = &mut self.losses;
        losses.last = Some(now);
        losses.is_taken_over = false;
        losses.is_unnoticed |= before.revision != left.revision || before.marks != left.marks;
        let (gone, there) = std::mem::take(&mut losses.unanswered).into_iter().partition(is_lost);
        losses.unanswered = there;
        losses.doubtful.extend::<BTreeSet<_>>(gone);
        if losses.somebody_died {
            losses.is_at_most(Certainty::Late);
        }
        let rows: BTreeSet<_> = left.rows.iter().flatten().map(|row| row.id).collect();
        for (id, call) in &mut self.calls {
            // A call that stands for another may have become dearer in what is lost.
            if let Some(kept) = left.calls.get(id).filter(|_| call.stands_for_another) {
                call.price = Some(kept.price);
            }
            if call.price.is_some() && !left.calls.contains_key(id) && !rows.contains(id) {
                call.was_lost = true;
                let is_orphan = !live.alive.contains(&call.owner);
                call.is_seen_in_team_only |= is_orphan;
                call.is_unseen |= is_orphan && !call.is_seen_by(live);
            }
        }
    }

    /// Notes that a process has crashed. What only it could restore is gone: of its own calls, and
    /// of those of processes that crashed before.
    pub(super) fn crash(&mut self, incarnation: u64, state: &State, left: &mut LiveProcesses) {
        let (own, at) = (state.scopes.get(&ScopeName::from(&Scope::Team)), state.revision);
        let kept = at.zip(own).map(|of| counted_to(of, state.team.loss.as_ref()));
        left.seen.extend(kept);
        for (id, call) in &mut self.calls {
            let is_orphan = call.owner == incarnation || !left.alive.contains(&call.owner);
            let is_lost = call.was_lost && !state.calls.contains_key(id);
            call.is_unseen |= is_lost && is_orphan && !call.is_seen_by(left);
            call.is_seen_in_team_only |= is_lost && is_orphan;
        }
        self.losses.crash(state.team.is_closed());
    }

    /// Notes a step that is about to be written. Returns whether it closes the team, restores
    /// something or opens it.
    pub(super) fn restores(&mut self, state: &State, step: &Step, at: i64) -> bool {
        let (changes, was_closed) = (&step.changes, state.team.is_closed());
        let is_new_epoch = state.revision.is_none_or(|is| is.epoch != step.makes.epoch);
        let closes = is_new_epoch && changes.team.as_ref().is_some_and(|team| team.is_closed());
        self.losses.is_taken_over |= is_new_epoch;
        let opens = was_closed && changes.team.as_ref().is_some_and(|team| !team.is_closed());
        let is_made_anew =
            matches!(step.expected, Expected::Nothing(_)) && !closes && self.losses.last.is_some();
        if is_made_anew {
            self.losses.is_at_most(Certainty::Late);
            self.sees("a team was made again by a process that had not seen it");
        } else if self.losses.is_unnoticed && !closes {
            self.losses.is_at_most(Certainty::Late);
            self.sees("processes continued with an older copy");
            let (is_apart, id) = (self.losses.is_taken_over || self.losses.is_planted, step.makes);
            self.hold(is_apart, || format!("{id} goes on with an older copy"));
        }
        self.losses.is_unnoticed &= !closes;
        self.losses.opens = opens;
        if opens {
            self.opens_again(state, at);
        }
        // A step for an operation also reads something.
        let is_unasked = step.reads && *step.wanted == Wanted::default();
        let claims =
            is_unasked && changes.opened.values().any(|record| record.claimed == step.makes.epoch);
        let is_known = |row: &Row| self.calls.get(&row.id).is_some_and(|call| call.has_had(row));
        let brings =
            changes.rows.iter().any(|row| changes.restored.contains(&row.id) && is_known(row));
        let accounts = is_unasked
            && changes.rows.is_empty()
            && changes.team.as_ref().is_some_and(|team| team.loss.is_some());
        let restores = closes || was_closed || claims || brings || accounts;
        if restores {
            self.restored(step, opens || accounts);
        }
        restores
    }

    fn opens_again(&mut self, state: &State, at: i64) {
        let since = state.team.loss.as_ref().map_or(at, |loss| loss.noticed_at);
        self.hold(at >= since + GATHER, || {
            format!("it opens {} µs after the loss was noticed", at - since)
        });
        let losses = &mut self.losses;
        if losses.somebody_is_left {
            losses.is_at_most(Certainty::Late);
        } else if !losses.doubtful.is_empty() {
            losses.is_at_most(Certainty::Unsure);
        }
        let what = match losses.certainty {
            Certainty::Whole => "everything was restored in time",
            Certainty::Unsure => "whether a lost step was written is unknown",
            Certainty::Late => "a process restored too late",
        };
        self.sees(what);
    }

    /// Checks that restored records equal what was there before.
    fn restored(&mut self, step: &Step, judges: bool) {
        let (changes, certainty) = (&step.changes, self.losses.certainty);
        for row in &changes.rows {
            let is_so = self.call(row.id).has_had(row) || certainty >= Certainty::Late;
            let call = self.call(row.id);
            (call.was_lost, call.opened_at) = (false, step.makes);
            self.hold(is_so, || format!("{} is restored, and its row was another", row.id));
        }
        let left: BTreeSet<_> = changes.rows.iter().map(|row| row.id).collect();
        for id in changes.ended.iter().filter(|id| !left.contains(id)) {
            let had_ended = self.call(*id).row.is_some() || certainty > Certainty::Whole;
            // The row may be unknown to every process.
            self.call(*id).was_lost = true;
            self.hold(judges && had_ended, || format!("{id} ends without a row"));
        }
        for (id, record) in &changes.opened {
            let call = self.call(*id);
            let before = *call.price.get_or_insert(record.price);
            let was_lost = std::mem::take(&mut call.was_lost);
            let stands = call.opened_at == Revision::default();
            // A process that saw the team only before does not know of it.
            if was_lost || stands {
                call.opened_at = step.makes;
            }
            if stands {
                (call.was_dispatched, call.stands_for_another) = (true, true);
            }
            // What it stands for may turn out to have cost more, once a process comes late.
            let is_dearer =
                call.stands_for_another && certainty >= Certainty::Late && before < record.price;
            call.price = Some(record.price);
            if stands {
                self.sees("a call was made that stands for another");
            } else if is_dearer {
                self.sees("a call that stands for another became dearer");
            }
            self.hold(before == record.price || is_dearer, || {
                format!("{id} is restored with {}, and had {before}", record.price)
            });
            let is_known = !stands || certainty > Certainty::Whole;
            self.hold(is_known, || format!("{id} is restored, and never was there"));
        }
        if !changes.rows.is_empty() {
            self.sees("a row was restored");
        }
        if judges {
            let calls = &self.calls;
            let has_ended = |id: &ReservationId| calls.get(id).is_some_and(|it| it.row.is_some());
            let ended = changes.opened.iter().filter(|(id, _)| has_ended(id));
            self.losses.resurrected.extend(ended.map(|(id, record)| (*id, record.price)));
        }
    }

    /// Checks a team that has just been opened: everything is restored, and nothing else.
    pub(super) fn look_at_all(&mut self, state: &State) {
        let names: BTreeSet<_> = self.windows.keys().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.look_at(&name, &state.scopes.get(&name).cloned().unwrap_or_default());
        }
        let is_open = |id: &ReservationId| state.calls.contains_key(id);
        let wrong = self
            .calls
            .iter()
            .find(|(id, call)| is_open(id) != (call.price.is_some() && call.row.is_none()));
        let wrong = wrong
            .map(|(id, call)| format!("{id} is open: {}, and has {:?}", is_open(id), call.row));
        self.hold(wrong.is_none(), || wrong.unwrap_or_default());
    }
}
