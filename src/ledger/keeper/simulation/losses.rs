//! What losses mean for the promises: what was written and is gone, who had heard of it, and how
//! much can be said for certain from then on.
//!
//! As long as everybody who knows something is heard before the team opens, the account goes on as
//! if nothing had been lost ([`Certainty::Whole`]). Where a step was written and lost before its
//! answer came, nobody can say whether it was ([`Certainty::Unsure`]): nobody is made to pay less
//! for that, and no limit is passed by what was really paid. Where somebody was heard too late, had
//! died, or where others went on with an older copy before somebody noticed what it lacks, a limit
//! may be passed by what only they knew ([`Certainty::Late`]); at the end nothing of it is missing
//! all the same. Nobody goes on with an older copy as if it were what it is a copy of: an epoch
//! begins there first.

use std::collections::BTreeSet;

use super::copies::GATHER;
use super::promises::Promises;
use super::store::State;
use crate::ledger::keeper::{Expected, Step, Wanted};
use crate::ledger::machine::Revision;
use crate::ledger::{ReservationId, Row};

/// How much can be said for certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    #[default]
    Whole,
    Unsure,
    Late,
}

/// Who is alive at a loss, and what they have seen.
#[derive(Default)]
pub(super) struct Witnesses {
    /// The lives of processes.
    pub(super) alive: Vec<u64>,
    /// The latest revision at which one of them has seen the team's own scope.
    pub(super) seen: Revision,
}

/// The losses of a history.
#[derive(Default)]
pub(super) struct Losses {
    /// When the last one was.
    pub(super) last: Option<i64>,
    pub(super) certainty: Certainty,
    /// Something is lost, and nobody has closed the team for it.
    is_unnoticed: bool,
    /// An epoch has begun on the copy that has taken over since.
    is_taken_over: bool,
    /// The fault is planted that none does.
    pub(super) is_planted: bool,
    /// What was written and its writer has not been told.
    unheard: BTreeSet<Revision>,
    /// What of that was lost.
    doubtful: BTreeSet<Revision>,
    /// Somebody alive has yet to restore something.
    pub(super) somebody_is_left: bool,
    somebody_died: bool,
    /// The team was opened by the step that is being written.
    opens: bool,
}

impl Losses {
    /// A step is written.
    pub(super) fn written(&mut self, makes: Revision) {
        self.unheard.insert(makes);
    }

    /// Whoever wrote a step is told so.
    pub(super) fn heard(&mut self, makes: Revision) {
        self.unheard.remove(&makes);
        if self.doubtful.remove(&makes) && self.certainty == Certainty::Unsure {
            // The team was opened meanwhile: who is told now comes too late.
            self.certainty = Certainty::Late;
        }
    }

    /// A process dies, and what only it knew is gone.
    pub(super) fn dies(&mut self, is_closed: bool) {
        self.somebody_died = true;
        if is_closed || self.is_unnoticed {
            self.certainty = Certainty::Late;
        }
    }

    /// Whether the team has just been opened again.
    pub(super) const fn is_just_open(&mut self) -> bool {
        std::mem::replace(&mut self.opens, false)
    }

    fn is_at_most(&mut self, certainty: Certainty) {
        self.certainty = self.certainty.max(certainty);
    }
}

impl Promises {
    /// Whether the account says exactly what is kept.
    pub(super) fn is_exact(&self, state: &State) -> bool {
        self.losses.certainty == Certainty::Whole && !self.losses.is_unnoticed && !state.team.is_closed()
    }

    /// The store has lost something.
    pub(super) fn lost(&mut self, before: &State, left: &State, now: i64, witnesses: &Witnesses) {
        let is_lost = |at: &Revision| left.revision.is_none_or(|kept| *at > kept);
        let losses = &mut self.losses;
        losses.last = Some(now);
        losses.is_taken_over = false;
        losses.is_unnoticed |= before.revision != left.revision || before.marks != left.marks;
        let (gone, there) = std::mem::take(&mut losses.unheard).into_iter().partition(is_lost);
        losses.unheard = there;
        losses.doubtful.extend::<BTreeSet<_>>(gone);
        if losses.somebody_died {
            losses.is_at_most(Certainty::Late);
        }
        let rows: BTreeSet<_> = left.rows.iter().flatten().map(|row| row.id).collect();
        for (id, call) in &mut self.calls {
            if call.price.is_some() && !left.calls.contains_key(id) && !rows.contains(id) {
                call.was_lost = true;
                let is_orphan = !witnesses.alive.contains(&call.owner);
                call.is_seen_in_team_only |= is_orphan;
                call.is_unseen |= is_orphan && call.opened_at > witnesses.seen;
            }
        }
    }

    /// A process dies. What it alone can restore is gone with it.
    pub(super) fn dies(&mut self, voucher: u64, state: &State) {
        for (id, call) in &mut self.calls {
            call.is_unseen |= call.owner == voucher && call.was_lost && !state.calls.contains_key(id);
        }
        self.losses.dies(state.team.is_closed());
    }

    /// Takes note of a step that is about to be written. Whether it is one of those that close the
    /// team, restore something or open it again.
    pub(super) fn restores(&mut self, state: &State, step: &Step, at: i64) -> bool {
        let (changes, was_closed) = (&step.changes, state.team.is_closed());
        let is_new_epoch = state.revision.is_none_or(|is| is.epoch != step.makes.epoch);
        let closes = is_new_epoch && changes.team.as_ref().is_some_and(|team| team.is_closed());
        self.losses.is_taken_over |= is_new_epoch;
        let opens = was_closed && changes.team.as_ref().is_some_and(|team| !team.is_closed());
        let is_made_anew = matches!(step.expected, Expected::Nothing(_)) && !closes && self.losses.last.is_some();
        if is_made_anew {
            self.losses.is_at_most(Certainty::Late);
            self.sees("a team was begun anew by somebody who knew nothing of it");
        } else if self.losses.is_unnoticed && !closes {
            self.losses.is_at_most(Certainty::Late);
            self.sees("others went on with an older copy");
            let (is_apart, id) = (self.losses.is_taken_over || self.losses.is_planted, step.makes);
            self.hold(is_apart, || format!("{id} goes on with an older copy"));
        }
        self.losses.is_unnoticed &= !closes;
        self.losses.opens = opens;
        if opens {
            self.opens_again(state, at);
        }
        // What is asked for reads something as well.
        let is_unasked = step.reads && *step.wanted == Wanted::default();
        let claims = is_unasked && changes.opened.values().any(|record| record.claimed == step.makes.epoch);
        let is_known = |row: &Row| self.calls.get(&row.id).is_some_and(|call| call.has_had(row));
        let brings = changes.rows.iter().any(|row| changes.restored.contains(&row.id) && is_known(row));
        let accounts =
            is_unasked && changes.rows.is_empty() && changes.team.as_ref().is_some_and(|team| team.loss.is_some());
        let restores = closes || was_closed || claims || brings || accounts;
        if restores {
            self.restored(step, opens || accounts);
        }
        restores
    }

    fn opens_again(&mut self, state: &State, at: i64) {
        let since = state.team.loss.as_ref().map_or(at, |loss| loss.noticed_at);
        self.hold(at >= since + GATHER, || format!("it opens {} µs after the loss was noticed", at - since));
        let losses = &mut self.losses;
        if losses.somebody_is_left {
            losses.is_at_most(Certainty::Late);
        } else if !losses.doubtful.is_empty() {
            losses.is_at_most(Certainty::Unsure);
        }
        let what = match losses.certainty {
            Certainty::Whole => "everything was restored in time",
            Certainty::Unsure => "everybody was heard, and nobody knew of everything",
            Certainty::Late => "somebody was heard too late",
        };
        self.sees(what);
    }

    /// What is restored is what was there before.
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
            // Its row may be what nobody knows of.
            self.call(*id).was_lost = true;
            self.hold(judges && had_ended, || format!("{id} ends without a row"));
        }
        for (id, record) in &changes.opened {
            let call = self.call(*id);
            let before = *call.price.get_or_insert(record.price);
            let was_lost = std::mem::take(&mut call.was_lost);
            let stands = call.opened_at == Revision::default();
            // Whoever has seen the team only before does not know of it.
            if was_lost || stands {
                call.opened_at = step.makes;
            }
            if stands {
                call.was_dispatched = true;
                self.sees("a call was made that stands for another");
            }
            self.hold(before == record.price, || format!("{id} is restored with {}, and had {before}", record.price));
            let is_known = !stands || certainty > Certainty::Whole;
            self.hold(is_known, || format!("{id} is restored, and never was there"));
        }
        if !changes.rows.is_empty() {
            self.sees("a row was restored");
        }
    }

    /// Looks at a team that has just been opened again: all of it is there, and nothing else.
    pub(super) fn look_at_all(&mut self, state: &State) {
        let names: BTreeSet<_> = self.windows.keys().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.look_at(&name, &state.scopes.get(&name).cloned().unwrap_or_default());
        }
        let is_open = |id: &ReservationId| state.calls.contains_key(id);
        let wrong = self.calls.iter().find(|(id, call)| is_open(id) != (call.price.is_some() && call.row.is_none()));
        let wrong = wrong.map(|(id, call)| format!("{id} is open: {}, and has {:?}", is_open(id), call.row));
        self.hold(wrong.is_none(), || wrong.unwrap_or_default());
    }
}
