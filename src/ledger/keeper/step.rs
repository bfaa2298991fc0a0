//! One step at the keeper: what it writes if the revision is as expected, and what it reads
//! otherwise.

use std::sync::Arc;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::wanted::{CellName, Wanted};
use crate::ledger::machine::{
    Loss, ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord,
};
use crate::ledger::{Outage, ReservationId, Row, Sums, TopUpId};

/// The record of a team as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct TeamRecord {
    /// Rows stored: of calls with a cost, and of calls without.
    pub(in crate::ledger) rows: [u64; 2],
    /// Rows of each kind that were dropped because there were too many.
    #[serde(default)]
    pub(in crate::ledger) lost: [u64; 2],
    /// When the last dropped row had been settled, in microseconds of Unix time; 0 when none was
    /// dropped.
    #[serde(default)]
    pub(in crate::ledger) lost_until: [i64; 2],
    /// When each list expires unless rows are added, in microseconds of Unix time.
    #[serde(default)]
    pub(in crate::ledger) rows_until: [i64; 2],
    /// When the team's records expire unless they are used, in microseconds of Unix time.
    #[serde(default)]
    pub(in crate::ledger) until: i64,
    /// Users and keys with a prepaid budget, whose counts must be kept for ever.
    #[serde(default)]
    pub(in crate::ledger) prepaid: u64,
    /// The last loss of writes; `None` when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ledger) loss: Option<Loss>,
    /// The server of the current epoch (see [`Keeper::replication_id`]); 0 when it is unknown.
    ///
    /// [`Keeper::replication_id`]: super::Keeper::replication_id
    #[serde(rename = "reign", default, skip_serializing_if = "is_unknown")]
    pub(in crate::ledger) replication_id: u64,
    /// The latest moment at which a call was ended after its deadline, in microseconds of Unix
    /// time; 0: none was. The keeper's clock may have been set back since.
    #[serde(default, skip_serializing_if = "is_never")]
    pub(in crate::ledger) ended_late_at: i64,
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_unknown(replication_id: &u64) -> bool {
    *replication_id == 0
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_never(at: &i64) -> bool {
    *at == 0
}

impl TeamRecord {
    /// Whether a loss has closed the team.
    pub(in crate::ledger) fn is_closed(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.closed)
    }

    /// Whether the history of this record at a revision includes a change, so that the change was
    /// either written or never will be.
    pub(in crate::ledger) fn has_come_to(&self, is: Revision, change: Revision) -> bool {
        let kept = self.loss.as_ref().and_then(|loss| loss.kept.get(&change.epoch));
        is.has_come_to(change) || kept.is_some_and(|kept| *kept >= change.number)
    }

    /// Whether scopes were restored late and are yet to be judged.
    pub(in crate::ledger) fn is_unjudged(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.unjudged && !loss.closed)
    }
}

/// Records that are kept only for a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) enum Past {
    /// A user or a key that may be forgotten.
    Scope(ScopeName),
    /// A call that had ended and was restored.
    Restored(ReservationId),
    /// How many cells of usage a day has.
    Day(String),
}

/// A call's new phase. It decides nothing about limits, so it neither moves the revision nor is
/// refused with it.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Mark {
    pub(in crate::ledger) id: ReservationId,
    /// The call's record, as far as this process knows.
    pub(in crate::ledger) from: ReservationRecord,
    pub(in crate::ledger) to: ReservationRecord,
}

/// What a batch changes.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Changes {
    pub(in crate::ledger) team: Option<TeamRecord>,
    /// `None` forgets the scope.
    pub(in crate::ledger) scopes: LiteMap<ScopeName, Option<ScopeRecord>>,
    /// New times at which scopes may be forgotten, in microseconds of Unix time; `None`: never.
    pub(in crate::ledger) ends: LiteMap<ScopeName, Option<i64>>,
    pub(in crate::ledger) opened: LiteMap<ReservationId, ReservationRecord>,
    pub(in crate::ledger) ended: Vec<ReservationId>,
    /// Oldest first.
    pub(in crate::ledger) rows: Vec<Row>,
    pub(in crate::ledger) cells: LiteMap<CellName, Sums>,
    /// New counts of cells of a day.
    pub(in crate::ledger) days: LiteMap<String, u64>,
    pub(in crate::ledger) top_ups: LiteMap<TopUpId, TopUpRecord>,
    /// Ended calls that were restored, so that none is restored twice.
    pub(in crate::ledger) restored: Vec<ReservationId>,
    /// Other records whose time is over.
    pub(in crate::ledger) forgotten: Vec<Past>,
    /// How many of the oldest rows are dropped after the new ones are added: with a cost, and
    /// without.
    pub(in crate::ledger) trimmed: [u64; 2],
    /// Whether the expiry of each list of rows is put off.
    pub(in crate::ledger) rows_live_on: [bool; 2],
    /// Whether the expiry of the team's records is put off to that in the team's record.
    pub(in crate::ledger) lives_on: bool,
    /// Moves the revision although nothing else changes, so that batches worked out earlier are
    /// refused.
    pub(in crate::ledger) touched: bool,
}

impl Changes {
    /// Whether a call is opened, changed or ended.
    pub(super) fn touch(&self, id: ReservationId) -> bool {
        self.opened.contains_key(&id) || self.ended.contains(&id)
    }

    /// Whether a call is ended; it may keep slots.
    pub(super) fn ends(&self, id: ReservationId) -> bool {
        self.ended.contains(&id) || self.opened.get(&id).is_some_and(|record| record.unread)
    }

    /// Whether nothing changes.
    pub(in crate::ledger) fn is_nothing(&self) -> bool {
        let Self { team, scopes, ends, opened, ended, rows, cells, days, top_ups, .. } = self;
        let Self { restored, forgotten, trimmed, lives_on, touched, .. } = self;
        let nothing_named = scopes.is_empty()
            && ends.is_empty()
            && opened.is_empty()
            && ended.is_empty()
            && rows.is_empty();
        let nothing_summed =
            cells.is_empty() && days.is_empty() && top_ups.is_empty() && *trimmed == [0, 0];
        let nothing_past = restored.is_empty() && forgotten.is_empty();
        team.is_none() && nothing_named && nothing_summed && nothing_past && !lives_on && !touched
    }
}

/// A mark beside the team's records, which is gone if the store is emptied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct LeftMark {
    pub(in crate::ledger) name: u64,
    /// When it was left, by the store's own clock, in microseconds of Unix time: if the request
    /// comes again, it leaves another mark.
    pub(in crate::ledger) left_at: u64,
}

/// What a step expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Expected {
    /// Any revision: the step writes nothing and reads what is wanted.
    Anything,
    /// No records of the team, and this mark, left before (see [`Keeper::leave_mark`]). If the
    /// records that this step makes are lost, the step cannot make them again when it is sent
    /// twice.
    ///
    /// [`Keeper::leave_mark`]: super::Keeper::leave_mark
    Nothing(LeftMark),
    /// The current revision.
    Revision(Revision),
}

/// One step.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Step {
    pub(in crate::ledger) expected: Expected,
    /// The server that must have the team's records; 0: any.
    pub(in crate::ledger) replication_id: u64,
    /// The revision that its changes make.
    pub(in crate::ledger) makes: Revision,
    /// The moment it was worked out for, in microseconds of Unix time; the keeper's time must not
    /// be earlier.
    pub(in crate::ledger) from: i64,
    /// The first moment at which it would be wrong, in microseconds of Unix time.
    pub(in crate::ledger) until: i64,
    /// Applied whether or not the changes are written.
    pub(in crate::ledger) marks: Vec<Mark>,
    /// Open calls whose deadlines are put off within the step's times, whether or not the changes
    /// are written: a late renewal, or one of a process whose clock is wrong, would set a deadline
    /// that its process does not know of.
    pub(in crate::ledger) renewed: Vec<ReservationId>,
    /// The deadline of what is renewed or opened, in microseconds of Unix time.
    pub(in crate::ledger) deadline: i64,
    /// Calls that must not be open.
    pub(in crate::ledger) unopened: Vec<ReservationId>,
    /// Calls that must still be overdue with this deadline and record.
    pub(in crate::ledger) overdue: Vec<(ReservationId, i64, ReservationRecord)>,
    pub(in crate::ledger) changes: Changes,
    /// Records to return if the changes are not written.
    pub(in crate::ledger) wanted: Arc<Wanted>,
    /// Whether they are returned in the same reply. A process that is rarely refused reads them
    /// afterwards instead.
    pub(in crate::ledger) reads: bool,
    /// Asks the other processes to let this one go first, after several refusals.
    pub(in crate::ledger) wants_turn: bool,
}

impl Step {
    /// Whether it makes a revision if the expected one is there.
    pub(in crate::ledger) fn is_made(&self) -> bool {
        matches!(self.expected, Expected::Nothing(_)) || !self.changes.is_nothing()
    }

    /// Whether its changes and renewals count at this moment of the keeper's time.
    pub(in crate::ledger) const fn is_timely(&self, at: i64) -> bool {
        at >= self.from && at < self.until
    }

    /// A step that only reads and puts off deadlines.
    pub(in crate::ledger) fn reading(
        now: i64,
        wanted: impl Into<Arc<Wanted>>,
        renewed: Vec<ReservationId>,
        deadline: i64,
    ) -> Self {
        Self {
            expected: Expected::Anything,
            replication_id: 0,
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

/// The result of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Marked {
    /// The call is open and has the new phase.
    Done,
    /// The call is not open any more.
    Gone,
    /// The call's record differs from the expected one; only marks and renewals were applied.
    Changed,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Verdict {
    /// The changes are made.
    Done,
    /// Applied were only marks and renewals: the revision is another, or nothing was to be written.
    NotWritten,
    /// Not written, because the keeper's time is outside the step's bounds.
    OtherTime,
    /// Not written, because another process has asked to go first.
    OthersTurn,
    /// Not sent: another server has the records now.
    OtherPrimary,
}

/// The keeper's answer.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Reply {
    pub(in crate::ledger) verdict: Verdict,
    /// The keeper's time, in microseconds of Unix time.
    pub(in crate::ledger) at: i64,
    /// The count of marked calls, which moves although the revision does not.
    pub(in crate::ledger) marks: u64,
    /// The result of each mark.
    pub(in crate::ledger) marked: Vec<Marked>,
    /// Why written admissions do not stand: too few replicas have them.
    pub(in crate::ledger) void: Option<Outage>,
    /// The wanted records, unless the changes were written.
    pub(in crate::ledger) found: Option<Found>,
}

impl Reply {
    /// The reply when another server has the records. `at` is the store's time as far as it is
    /// known.
    pub(in crate::ledger) const fn of_another_primary(at: i64) -> Self {
        Self {
            verdict: Verdict::OtherPrimary,
            at,
            marks: 0,
            marked: Vec::new(),
            void: None,
            found: None,
        }
    }
}

/// The records found.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Found {
    /// `None` when there are no records of the team.
    pub(in crate::ledger) revision: Option<Revision>,
    pub(in crate::ledger) team: TeamRecord,
    pub(in crate::ledger) scopes: Vec<(ScopeName, ScopeRecord)>,
    pub(in crate::ledger) calls: Vec<(ReservationId, Option<ReservationRecord>)>,
    pub(in crate::ledger) cells: Vec<(CellName, Option<Sums>)>,
    pub(in crate::ledger) days: Vec<(String, u64)>,
    pub(in crate::ledger) top_ups: Vec<(TopUpId, Option<TopUpRecord>)>,
    pub(in crate::ledger) due: Option<Due>,
    /// Whether each of the named calls was restored after it had ended.
    pub(in crate::ledger) restored: Vec<(ReservationId, bool)>,
    pub(in crate::ledger) past: Option<Vec<Past>>,
    /// The index of when scopes may be forgotten is lost.
    pub(in crate::ledger) ends_are_lost: bool,
    pub(in crate::ledger) oldest: Option<[Vec<i64>; 2]>,
}

/// Overdue calls.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Due {
    /// Calls whose deadlines have passed, earliest first; a bounded number.
    pub(in crate::ledger) overdue: Vec<(ReservationId, i64)>,
    /// The next deadline, in microseconds of Unix time, if there is one.
    pub(in crate::ledger) next: Option<i64>,
    /// The index of deadlines is lost.
    pub(in crate::ledger) is_lost: bool,
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
