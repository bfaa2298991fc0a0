//! Works a batch out: what each of its operations is answered, and what that changes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cache::TeamCache;
use super::lives;
use super::operation::Operation;
use super::step::{Changes, Mark};
use super::view::{Missing, View};
use crate::calendar::Calendar;
use crate::ledger::machine::{Ended, Machine, Records, ReservationRecord, Rules, judgement};
use crate::ledger::{Books, Crossing, ReservationId, Settled, Swept, ToppedUp, Verdict};
use crate::team::TeamId;

/// How long what was worked out may be under way at most, in microseconds.
const UNDER_WAY_MOST: i64 = 1_000_000;

/// What an operation is answered.
pub(in crate::ledger) enum Answer {
    Verdict(Verdict),
    /// Whether a call that was marked is still open.
    IsOpen(bool),
    Settled(Settled),
    Swept(Swept),
    Books(Books),
    ToppedUp(ToppedUp),
    Done,
}

/// A batch worked out.
pub(super) struct Work {
    /// One for each operation, in their order. Of marks it is not yet known.
    pub(super) answers: Vec<Answer>,
    pub(super) changes: Changes,
    pub(super) unopened: Vec<ReservationId>,
    pub(super) overdue: Vec<(ReservationId, i64, ReservationRecord)>,
    pub(super) swept: Vec<Ended>,
    pub(super) crossed: Vec<Crossing>,
    /// Rows are gone that should be there.
    pub(super) lost_rows: bool,
    /// The first moment for which it would be wrong, in microseconds of Unix time.
    pub(super) until: i64,
}

/// How long what was worked out may be under way, in microseconds: a part of the life of a reservation, so that it can be
/// known for a while that nothing is due.
pub(super) fn under_way(rules: &Rules) -> i64 {
    let ttl = i64::try_from(rules.reservation_ttl.as_micros()).unwrap_or(i64::MAX);
    UNDER_WAY_MOST.min(ttl / 4)
}

/// Works a batch out for one moment, from the records as they are known.
pub(super) fn work_out(
    team: &TeamId,
    operations: &[Operation],
    cache: &TeamCache,
    (rules, is_settled): (&Rules, bool),
    now: i64,
) -> Result<Work, Missing> {
    let admissions = operations.iter().filter_map(Operation::admission).filter(|(_, reserves)| *reserves);
    let new: BTreeSet<ReservationId> = admissions.map(|(admission, _)| admission.id).collect();
    let now = judgement::at(now);
    let mut view = View::new(cache, &new, rules, now.as_microsecond());
    let sweeps = operations.iter().any(|operation| matches!(operation, Operation::Sweep { .. }));
    let lost_rows = sweeps && view.count_rows();
    let mut machine = Machine::new(view, rules, now);
    machine.ends_overdue(is_settled);
    let mut until = now.as_microsecond().saturating_add(under_way(rules));
    let mut answers = Vec::with_capacity(operations.len());
    for operation in operations {
        answers.push(answer(&mut machine, team, operation)?);
        if let Some(zone) = operation.time_zone() {
            until = until.min(end_of_day(now, zone));
        }
    }
    let (swept, crossed) = (machine.take_swept(), std::mem::take(machine.crossed()));
    let mut view = machine.into_records();
    lives::let_live(&mut view, operations, rules);
    if sweeps {
        view.forget_past();
    }
    let View { changes, overdue, .. } = view;
    let unopened = new.iter().copied().filter(|id| cache.call(*id).is_none()).collect();
    let crossed = crossed.into_iter().map(|(_, crossing)| crossing).collect();
    Ok(Work { answers, changes, unopened, overdue, swept, crossed, lost_rows, until })
}

fn answer(machine: &mut Machine<'_, View<'_>>, team: &TeamId, operation: &Operation) -> Result<Answer, Missing> {
    Ok(match operation {
        Operation::Admit { admission, .. } => Answer::Verdict(machine.admit(admission)?),
        Operation::Quote { admission, .. } => Answer::Verdict(machine.quote(admission)?),
        Operation::Settle { settlement, .. } => Answer::Settled(machine.settle(team, settlement)?),
        Operation::ReleaseSlots { id, .. } => {
            machine.release_slots(team, *id)?;
            Answer::Done
        }
        Operation::Sweep { .. } => Answer::Swept(machine.sweep(team)?),
        Operation::Books { inquiry, .. } => Answer::Books(machine.books(inquiry)?),
        Operation::TopUp { top_up, .. } => Answer::ToppedUp(machine.top_up(team, top_up)?),
        Operation::Abandon { id, .. } => {
            if machine.records().reservation(team, *id)?.is_none() {
                // An admission that is still under way was worked out from a revision that is over then.
                machine.records_to_write().changes.touched = true;
            }
            Answer::Settled(machine.abandon(team, *id)?)
        }
        Operation::Dispatch { .. } | Operation::Recall { .. } => Answer::IsOpen(false),
        // What is accepted is open by now.
        Operation::Renew { .. } | Operation::Accept { .. } => Answer::Done,
    })
}

fn end_of_day(now: Timestamp, zone: &TimeZone) -> i64 {
    Calendar::around(now, zone).day.end.as_microsecond()
}

/// The calls that a batch marks, as far as this process knows them.
pub(super) fn marks(operations: &[Operation], cache: &TeamCache) -> Vec<Mark> {
    let marked = operations.iter().filter_map(Operation::marks);
    let known = marked.filter_map(|(id, phase)| Some((id, phase, cache.last_known(id)?.clone())));
    // What has ended is not open any more, whatever it still keeps.
    let open = known.filter_map(|(id, phase, from)| Some((id, phase, from.phase()?, from)));
    open.map(|(id, phase, is, from)| {
        let to = if is == phase { from.clone() } else { from.clone().marked(phase) };
        Mark { id, from, to }
    })
    .collect()
}

/// The calls whose deadlines a batch puts off.
pub(super) fn renewed(operations: &[Operation]) -> Vec<ReservationId> {
    operations.iter().flat_map(Operation::renews).copied().collect()
}

/// The calls that a batch marks of which nothing is known.
pub(super) fn unknown_marks(operations: &[Operation], cache: &TeamCache) -> BTreeSet<ReservationId> {
    let marked = operations.iter().filter_map(Operation::marks).map(|(id, _)| id);
    marked.filter(|id| cache.last_known(*id).is_none() && cache.call(*id).is_none()).collect()
}
