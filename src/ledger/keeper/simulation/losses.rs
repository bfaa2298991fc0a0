//! Losses, as the checker models them: the lost writes, the processes that knew of them, and how
//! exactly the promises can be checked from then on.
//!
//! If every process with knowledge restores it before the team opens, the model continues as if
//! nothing had been lost ([`Certainty::Whole`]). If a step was written and lost before its answer
//! arrived, it is unknown whether it was written ([`Certainty::Unsure`]): then no call is charged
//! less, and no limit is exceeded by what was really paid. If a process restored too late or
//! crashed, or others continued with an older copy before its loss was noticed, a limit may be
//! exceeded by what only that process knew ([`Certainty::Late`]). At the end everything is counted
//! all the same, except lost writes that no live process had seen. A process that has seen the
//! team's own scope knows what all calls held, whoever made them; if it crashes before it has
//! restored that, the knowledge is lost. One case cannot be known: a call has ended without its
//! process learning of it, and another process with a call of its own has crashed. If one hold is
//! left, it may belong to either call; it is given to the claimed one. An older copy is never used
//! as if it were the original: an epoch begins there first.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::ReservationId;
use crate::ledger::machine::{Loss, Revision, ScopeRecord};

/// How exactly the promises can be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    #[default]
    Whole,
    Unsure,
    Late,
}

/// The live processes at a loss or after a crash, and what they have seen.
#[derive(Default)]
pub(super) struct LiveProcesses {
    /// Incarnations of the live processes.
    pub(super) alive: Vec<u64>,
    /// The last number of each epoch at which each process has seen the team's own scope.
    pub(super) seen: Vec<BTreeMap<u64, u64>>,
}

impl LiveProcesses {
    /// Whether one of them has seen the write of this revision.
    pub(super) fn have_seen(&self, made: Revision) -> bool {
        self.seen.iter().any(|seen| has_come_to(seen, made))
    }
}

fn has_come_to(seen: &BTreeMap<u64, u64>, made: Revision) -> bool {
    seen.get(&made.epoch).is_some_and(|number| *number >= made.number)
}

/// The last number of each epoch that a scope includes when read at a revision after this last
/// loss.
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
    /// Time of the last loss.
    pub(super) last: Option<i64>,
    pub(super) certainty: Certainty,
    /// Writes are lost, and no process has closed the team for it.
    pub(super) is_unnoticed: bool,
    /// An epoch has begun on the copy that was promoted since.
    pub(super) is_taken_over: bool,
    /// The bug is planted by which no epoch begins there.
    pub(super) is_planted: bool,
    /// Written revisions whose writers have no answer yet.
    pub(super) unanswered: BTreeSet<Revision>,
    /// Doubtful changes that were lost.
    pub(super) doubtful: BTreeSet<Revision>,
    /// A live process has yet to restore something.
    pub(super) somebody_is_left: bool,
    pub(super) somebody_died: bool,
    /// Ended calls that are open again because their processes did not learn of the end, with their
    /// prices.
    pub(super) resurrected: BTreeMap<ReservationId, u64>,
    /// The step that is being written opens the team.
    pub(super) opens: bool,
}

impl Losses {
    /// Notes that a step is written.
    pub(super) fn written(&mut self, makes: Revision) {
        self.unanswered.insert(makes);
    }

    /// Notes that the writer of a step has its answer.
    pub(super) fn answered(&mut self, makes: Revision) {
        self.unanswered.remove(&makes);
        if self.doubtful.remove(&makes) && self.certainty == Certainty::Unsure {
            // The team was opened meanwhile, so this answer comes too late.
            self.certainty = Certainty::Late;
        }
    }

    /// Notes a crash, by which what only that process knew is lost.
    pub(super) fn crash(&mut self, is_closed: bool) {
        self.somebody_died = true;
        if is_closed || self.is_unnoticed {
            self.certainty = Certainty::Late;
        }
    }

    /// Requests and credits that calls of crashed processes may not be charged: the hold of each
    /// may have been given to a call that had ended.
    pub(super) fn given_away(&self) -> (u64, u64) {
        let given = self.resurrected.values().filter(|_| self.somebody_died);
        given.fold((0, 0), |(requests, credits), price| (requests + 1, credits + price))
    }

    /// Whether the team has just been opened.
    pub(super) const fn is_just_open(&mut self) -> bool {
        std::mem::replace(&mut self.opens, false)
    }

    pub(super) fn is_at_most(&mut self, certainty: Certainty) {
        self.certainty = self.certainty.max(certainty);
    }
}
