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
use crate::ledger::{BudgetSnapshot, Crossing, ReservationId, Settled, Swept, ToppedUp, Verdict};
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
    Books(BudgetSnapshot),
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

/// How long what was worked out may be under way, in microseconds: a part of the life of a reservation, so that it can
/// be known for a while that nothing is due.
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::ledger::Phase;
    use crate::ledger::keeper::step::Found;
    use crate::ledger::machine::Revision;
    use crate::ledger::machine::kept::{Ledger, NOW};

    #[test]
    fn what_is_worked_out_is_under_way_for_a_quarter_of_a_life_and_for_a_second_at_most() {
        let of = |millis| {
            let mut rules = Ledger::new().rules;
            rules.reservation_ttl = std::time::Duration::from_millis(millis);
            under_way(&rules)
        };
        assert_eq!([of(400), of(4_000), of(600_000)], [100_000, 1_000_000, 1_000_000]);
    }

    #[test]
    fn calls_are_marked_by_what_is_known_of_them_and_what_is_not_known_is_asked_for() {
        let mut ledger = Ledger::new();
        let [open, sent, ended] = [Phase::Waiting, Phase::Dispatched, Phase::Waiting].map(|is| ledger.open(is, 7));
        let unknown = ReservationId::new();
        let known = |id| ledger.kept.calls.get(&id).cloned();
        let calls = vec![(open, known(open)), (sent, known(sent)), (ended, None)];
        let mut cache = TeamCache::default();
        let revision = Some(Revision { epoch: 5, number: 50, name: 0 });
        cache.learn(Found { revision, calls, ..Found::default() }, 0, (NOW, NOW));
        let dispatch = |id| Operation::Dispatch { id, response: oneshot::channel().0 };
        let mut operations: Vec<_> = [open, sent, ended, unknown].map(dispatch).into();
        operations.push(Operation::Renew { ids: vec![sent, open], response: oneshot::channel().0 });
        let marks: Vec<_> = marks(&operations, &cache).into_iter().map(|mark| (mark.id, mark.from, mark.to)).collect();
        let [open_record, sent_record] = [open, sent].map(|id| known(id).unwrap());
        let dispatched = open_record.clone().marked(Phase::Dispatched);
        let is_so = (sent, sent_record.clone(), sent_record);
        assert_eq!(marks, [(open, open_record, dispatched), is_so]);
        assert_eq!(unknown_marks(&operations, &cache), [unknown].into());
        assert_eq!(renewed(&operations), [sent, open]);
    }
}
