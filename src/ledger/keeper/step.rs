//! One step at the keeper: what is to be written if nothing has changed since it was worked out, and what is read if
//! something has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::wanted::{CellName, Wanted};
use crate::ledger::machine::{Loss, ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{Outage, ReservationId, Row, Sums, TopUpId};

/// What is known of a team as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct TeamRecord {
    /// How many rows there are: of calls that cost something, and of those that did not.
    pub(in crate::ledger) rows: [u64; 2],
    /// How many of each gave way because there were too many.
    #[serde(default)]
    pub(in crate::ledger) lost: [u64; 2],
    /// When the last of those had been settled, in microseconds of Unix time; 0: none has gone.
    #[serde(default)]
    pub(in crate::ledger) lost_until: [i64; 2],
    /// Until when each list lives unless it is added to, in microseconds of Unix time.
    #[serde(default)]
    pub(in crate::ledger) rows_until: [i64; 2],
    /// Until when the team's records live unless they are used, likewise.
    #[serde(default)]
    pub(in crate::ledger) until: i64,
    /// How many users and keys have a prepaid budget, so that what they count must be known for ever.
    #[serde(default)]
    pub(in crate::ledger) prepaid: u64,
    /// The last time that some of them were lost; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ledger) loss: Option<Loss>,
    /// The server that has had them since the epoch began (see [`Keeper::reign`]); 0: that is not known.
    ///
    /// [`Keeper::reign`]: super::Keeper::reign
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub(in crate::ledger) reign: u64,
}

// serde hands the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_unknown(reign: &u64) -> bool {
    *reign == 0
}

impl TeamRecord {
    /// Whether something was lost, and the team is not open again.
    pub(in crate::ledger) fn is_closed(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.closed)
    }

    /// Whether what is there, of which this is kept at a revision, comes after a change: it was made, or never will be.
    pub(in crate::ledger) fn has_come_to(&self, is: Revision, change: Revision) -> bool {
        let kept = self.loss.as_ref().and_then(|loss| loss.kept.get(&change.epoch));
        (is.epoch == change.epoch && is.number >= change.number) || kept.is_some_and(|kept| *kept >= change.number)
    }

    /// Whether scopes were restored late, and what they hold is yet to be judged.
    pub(in crate::ledger) fn is_unjudged(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.unjudged)
    }
}

/// What is kept for a while only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) enum Past {
    /// A user or a key that may be forgotten.
    Scope(ScopeName),
    /// A call that had ended and was restored.
    Restored(ReservationId),
    /// How many cells of usage a day has.
    Day(String),
}

/// A call that has come to another phase. It needs no judgement, so it does not move the revision and is not refused
/// for it.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Mark {
    pub(in crate::ledger) id: ReservationId,
    /// What is kept of the call, as far as this process knows.
    pub(in crate::ledger) from: ReservationRecord,
    pub(in crate::ledger) to: ReservationRecord,
}

/// What a batch changes.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Changes {
    pub(in crate::ledger) team: Option<TeamRecord>,
    /// `None`: it is forgotten.
    pub(in crate::ledger) scopes: BTreeMap<ScopeName, Option<ScopeRecord>>,
    /// Scopes that may be forgotten at another moment than was said before, in microseconds of Unix time; `None`:
    /// never.
    pub(in crate::ledger) ends: BTreeMap<ScopeName, Option<i64>>,
    pub(in crate::ledger) opened: BTreeMap<ReservationId, ReservationRecord>,
    pub(in crate::ledger) ended: Vec<ReservationId>,
    /// Oldest first.
    pub(in crate::ledger) rows: Vec<Row>,
    pub(in crate::ledger) cells: BTreeMap<CellName, Sums>,
    /// How many cells a day has now.
    pub(in crate::ledger) days: BTreeMap<String, u64>,
    pub(in crate::ledger) top_ups: BTreeMap<TopUpId, TopUpRecord>,
    /// Calls that have ended and are restored: none of them comes a second time.
    pub(in crate::ledger) restored: Vec<ReservationId>,
    /// What else is forgotten since its time is over.
    pub(in crate::ledger) forgotten: Vec<Past>,
    /// How many of the oldest rows go, after the new ones have come: of those that cost something, and of those that
    /// did not.
    pub(in crate::ledger) trimmed: [u64; 2],
    /// The ends of the lists of rows are put off, each.
    pub(in crate::ledger) rows_live_on: [bool; 2],
    /// The end of the team's records is put off, to what is known of the team as a whole.
    pub(in crate::ledger) lives_on: bool,
    /// The revision moves although nothing else changes: what was worked out before can then not be written any more.
    pub(in crate::ledger) touched: bool,
}

impl Changes {
    /// Whether a call is opened, changed or ended.
    pub(super) fn touch(&self, id: ReservationId) -> bool {
        self.opened.contains_key(&id) || self.ended.contains(&id)
    }

    /// Whether nothing changes.
    pub(in crate::ledger) fn is_nothing(&self) -> bool {
        let Self { team, scopes, ends, opened, ended, rows, cells, days, top_ups, .. } = self;
        let Self { restored, forgotten, trimmed, lives_on, touched, .. } = self;
        let nothing_named =
            scopes.is_empty() && ends.is_empty() && opened.is_empty() && ended.is_empty() && rows.is_empty();
        let nothing_summed = cells.is_empty() && days.is_empty() && top_ups.is_empty() && *trimmed == [0, 0];
        let nothing_past = restored.is_empty() && forgotten.is_empty();
        team.is_none() && nothing_named && nothing_summed && nothing_past && !lives_on && !touched
    }
}

/// What a step expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Expected {
    /// Whatever is there: nothing is written, and what is wanted is read.
    Anything,
    /// Nothing of the team, and the mark of this number, which was left before (see [`Keeper::leave_mark`]): should
    /// what is made so be lost, the step that made it does not make it again where it comes a second time.
    ///
    /// [`Keeper::leave_mark`]: super::Keeper::leave_mark
    Nothing(u64),
    /// This revision.
    Revision(Revision),
}

/// One step.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Step {
    pub(in crate::ledger) expected: Expected,
    /// The server that is to have the team's records from then on; 0: any.
    pub(in crate::ledger) reign: u64,
    /// The revision that its changes make.
    pub(in crate::ledger) makes: Revision,
    /// The moment it was worked out for, in microseconds of Unix time: the keeper's time must be that or a little
    /// later.
    pub(in crate::ledger) from: i64,
    /// The first moment for which it would be wrong, likewise.
    pub(in crate::ledger) until: i64,
    /// Done in any case.
    pub(in crate::ledger) marks: Vec<Mark>,
    /// Calls whose deadlines are put off, if they are open, in any case.
    pub(in crate::ledger) renewed: Vec<ReservationId>,
    /// The deadline of what is renewed or opened, in microseconds of Unix time.
    pub(in crate::ledger) deadline: i64,
    /// Calls that must not be open.
    pub(in crate::ledger) unopened: Vec<ReservationId>,
    /// Calls that must be overdue as this process knows them: deadline and record.
    pub(in crate::ledger) overdue: Vec<(ReservationId, i64, ReservationRecord)>,
    pub(in crate::ledger) changes: Changes,
    /// What is told of, unless the changes were made.
    pub(in crate::ledger) wanted: Arc<Wanted>,
    /// Whether it is told of in the same answer. A process that is hardly ever refused asks for it afterwards.
    pub(in crate::ledger) reads: bool,
    /// Others were first so often that they are asked to let this process go first.
    pub(in crate::ledger) wants_turn: bool,
}

impl Step {
    /// Whether it makes a revision, where what it expects is there.
    pub(in crate::ledger) fn is_made(&self) -> bool {
        matches!(self.expected, Expected::Nothing(_)) || !self.changes.is_nothing()
    }

    /// A step that only reads, and puts off deadlines.
    pub(in crate::ledger) fn reading(
        now: i64,
        wanted: impl Into<Arc<Wanted>>,
        renewed: Vec<ReservationId>,
        deadline: i64,
    ) -> Self {
        Self {
            expected: Expected::Anything,
            reign: 0,
            makes: Revision::default(),
            from: now,
            until: i64::MAX,
            marks: Vec::new(),
            renewed,
            deadline,
            unopened: Vec::new(),
            overdue: Vec::new(),
            changes: Changes::default(),
            wanted: wanted.into(),
            reads: true,
            wants_turn: false,
        }
    }
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Marked {
    /// The call is open and has come to that phase.
    Done,
    /// It is not open any more.
    Gone,
    /// Something else is kept of it than was thought; nothing but marks and renewals was done.
    Changed,
}

/// What the keeper did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Verdict {
    /// The changes are made.
    Done,
    /// Nothing but the marks and renewals: the records are not as expected, or nothing was.
    Told,
    /// Likewise: its time is another.
    OtherTime,
    /// Likewise: others have asked to go first.
    OthersTurn,
    /// Nothing at all was sent: it would go to another server than the one that had the records.
    OtherReign,
}

/// The keeper's answer.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Reply {
    pub(in crate::ledger) verdict: Verdict,
    /// Its time, in microseconds of Unix time.
    pub(in crate::ledger) at: i64,
    /// How often calls were marked: what moves when nothing that judges does.
    pub(in crate::ledger) marks: u64,
    /// What became of each mark.
    pub(in crate::ledger) marked: Vec<Marked>,
    /// Why admissions do not stand although they were written: too few replicas have them.
    pub(in crate::ledger) void: Option<Outage>,
    /// What is there, unless the changes were made.
    pub(in crate::ledger) found: Option<Found>,
}

impl Reply {
    /// What is said where another server has the records. `at` is its time, as far as that is known.
    pub(in crate::ledger) const fn of_another_reign(at: i64) -> Self {
        Self { verdict: Verdict::OtherReign, at, marks: 0, marked: Vec::new(), void: None, found: None }
    }
}

/// What is there of what was wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Found {
    /// `None`: nothing of the team.
    pub(in crate::ledger) revision: Option<Revision>,
    pub(in crate::ledger) team: TeamRecord,
    pub(in crate::ledger) scopes: Vec<(ScopeName, ScopeRecord)>,
    pub(in crate::ledger) calls: Vec<(ReservationId, Option<ReservationRecord>)>,
    pub(in crate::ledger) cells: Vec<(CellName, Option<Sums>)>,
    pub(in crate::ledger) days: Vec<(String, u64)>,
    pub(in crate::ledger) top_ups: Vec<(TopUpId, Option<TopUpRecord>)>,
    pub(in crate::ledger) due: Option<Due>,
    /// Those of the calls asked about that were restored after they had ended.
    pub(in crate::ledger) restored: Vec<(ReservationId, bool)>,
    pub(in crate::ledger) past: Option<Vec<Past>>,
    /// It is not there any more from when on what may be forgotten.
    pub(in crate::ledger) ends_are_lost: bool,
    pub(in crate::ledger) oldest: Option<[Vec<i64>; 2]>,
}

/// Which calls are due.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Due {
    /// Those whose deadlines have passed, earliest first; a bounded number.
    pub(in crate::ledger) overdue: Vec<(ReservationId, i64)>,
    /// When the next one is due, in microseconds of Unix time, if there is one.
    pub(in crate::ledger) next: Option<i64>,
    /// The deadlines themselves are gone.
    pub(in crate::ledger) is_lost: bool,
}
