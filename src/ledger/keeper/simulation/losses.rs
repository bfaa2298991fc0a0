//! What losses mean for the promises: what was written and is gone, who had heard of it, and how
//! much can be said for certain from then on.
//!
//! As long as everybody who knows something is heard before the team opens, the account goes on as
//! if nothing had been lost ([`Certainty::Whole`]). Where a step was written and lost before its
//! answer came, nobody can say whether it was ([`Certainty::Unsure`]): nobody is made to pay less
//! for that, and no limit is passed by what was really paid. Where somebody was heard too late, had
//! died, or where others went on with an older copy before somebody noticed what it lacks, a limit
//! may be passed by what only they knew ([`Certainty::Late`]); at the end nothing of it is missing
//! all the same, but for what was lost and nobody alive had seen: whoever has seen the team's own
//! scope knows what all calls held, whoever made them, and takes it along where he dies before he
//! has restored it. One thing nobody can know: a call has ended, its process was not told, and a
//! process with a call of its own has died. If one hold is left, either call may be its owner; it is
//! given to the one that is claimed. Nobody goes on with an older copy as if it were what it is a copy of: an epoch
//! begins there first.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::ReservationId;
use crate::ledger::machine::{Loss, Revision, ScopeRecord};

/// How much can be said for certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    #[default]
    Whole,
    Unsure,
    Late,
}

/// Who is alive at a loss or after a death, and what they have seen.
#[derive(Default)]
pub(super) struct Witnesses {
    /// The lives of processes.
    pub(super) alive: Vec<u64>,
    /// How far of each epoch one of them has seen the team's own scope.
    pub(super) seen: Vec<BTreeMap<u64, u64>>,
}

impl Witnesses {
    /// Whether one of them has seen what was made at this revision.
    pub(super) fn have_seen(&self, made: Revision) -> bool {
        self.seen.iter().any(|seen| has_come_to(seen, made))
    }
}

fn has_come_to(seen: &BTreeMap<u64, u64>, made: Revision) -> bool {
    seen.get(&made.epoch).is_some_and(|number| *number >= made.number)
}

/// How far of each epoch a scope says what was counted that was read at a revision, where the last
/// loss was this.
pub(super) fn counted_to(
    (at, record): (Revision, &ScopeRecord),
    loss: Option<&Loss>,
) -> BTreeMap<u64, u64> {
    let kept = loss.map(|loss| loss.kept.clone()).unwrap_or_default();
    let mut seen: BTreeMap<_, _> =
        kept.into_iter().filter(|(epoch, _)| *epoch < at.epoch).collect();
    seen.extend(record.sealed());
    seen.insert(at.epoch, at.number);
    seen
}

/// The losses of a history.
#[derive(Default)]
pub(super) struct Losses {
    /// When the last one was.
    pub(super) last: Option<i64>,
    pub(super) certainty: Certainty,
    /// Something is lost, and nobody has closed the team for it.
    pub(super) is_unnoticed: bool,
    /// An epoch has begun on the copy that has taken over since.
    pub(super) is_taken_over: bool,
    /// The fault is planted that none does.
    pub(super) is_planted: bool,
    /// What was written and its writer has not been told.
    pub(super) unheard: BTreeSet<Revision>,
    /// What of that was lost.
    pub(super) doubtful: BTreeSet<Revision>,
    /// Somebody alive has yet to restore something.
    pub(super) somebody_is_left: bool,
    pub(super) somebody_died: bool,
    /// Calls that had ended and are open again, since their processes were not told; and their
    /// prices.
    pub(super) resurrected: BTreeMap<ReservationId, u64>,
    /// The team was opened by the step that is being written.
    pub(super) opens: bool,
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

    /// What calls may be free of whose processes have died: requests and credits. The hold of each
    /// may have been given to a call that had ended.
    pub(super) fn given_away(&self) -> (u64, u64) {
        let given = self.resurrected.values().filter(|_| self.somebody_died);
        given.fold((0, 0), |(requests, credits), price| (requests + 1, credits + price))
    }

    /// Whether the team has just been opened again.
    pub(super) const fn is_just_open(&mut self) -> bool {
        std::mem::replace(&mut self.opens, false)
    }

    pub(super) fn is_at_most(&mut self, certainty: Certainty) {
        self.certainty = self.certainty.max(certainty);
    }
}
