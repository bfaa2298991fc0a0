//! Works a batch out: the answers to its operations, and the changes to write.

use std::collections::BTreeSet;

use super::cache::TeamCache;
use super::lives;
use super::operation::{Answer, Operation};
use super::step::Changes;
use super::view::{Missing, View};
use crate::ledger::machine::{Ended, Machine, Records, ReservationRecord, Rules, judgement};
use crate::ledger::{Crossing, ReservationId};
use crate::team::TeamId;

/// The longest time from working a step out to writing it, in microseconds.
const UNDER_WAY_MAX: i64 = 1_000_000;

/// A batch worked out.
pub(super) struct Work {
    /// One for each operation, in their order; answers to marks follow with the reply.
    pub(super) answers: Vec<Answer>,
    pub(super) changes: Box<Changes>,
    pub(super) unopened: Vec<ReservationId>,
    pub(super) overdue: Vec<(ReservationId, i64, ReservationRecord)>,
    pub(super) swept: Vec<Ended>,
    pub(super) crossed: Vec<Crossing>,
    /// Rows are missing that should be stored.
    pub(super) lost_rows: bool,
    /// The first moment at which it would be wrong, in microseconds of Unix time.
    pub(super) until: i64,
}

/// How long a step may be under way, in microseconds: a part of a reservation's life, so that for a
/// while no call can become due.
pub(super) fn under_way(rules: &Rules) -> i64 {
    let ttl = i64::try_from(rules.reservation_ttl.as_micros()).unwrap_or(i64::MAX);
    UNDER_WAY_MAX.min(ttl / 4)
}

/// Works a batch out for one moment, from the cached records.
pub(super) fn work_out(
    team: &TeamId,
    operations: &[Operation],
    cache: &TeamCache,
    (rules, is_settled): (&Rules, bool),
    now: i64,
) -> Result<Box<Work>, Missing> {
    let admissions =
        operations.iter().filter_map(Operation::admission).filter(|(_, reserves)| *reserves);
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
            let calendar = machine.records().calendar(now, zone);
            until = until.min(calendar.day.end.as_microsecond());
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
    Ok(Box::new(Work { answers, changes, unopened, overdue, swept, crossed, lost_rows, until }))
}

fn answer(
    machine: &mut Machine<'_, View<'_>>,
    team: &TeamId,
    operation: &Operation,
) -> Result<Answer, Missing> {
    Ok(match operation {
        Operation::Admit { admission, .. } => Answer::Verdict(machine.admit(admission)?),
        Operation::Quote { admission, .. } => Answer::Verdict(machine.quote(admission)?),
        Operation::Settle { settlement, .. } => Answer::Settled(machine.settle(team, settlement)?),
        Operation::ReleaseSlots { id, .. } => {
            machine.release_slots(team, *id)?;
            Answer::Done
        }
        Operation::Sweep { .. } => Answer::Swept(machine.sweep(team)?),
        Operation::Snapshot { query, .. } => Answer::Snapshot(machine.snapshot(query)?),
        Operation::TopUp { top_up, .. } => Answer::ToppedUp(machine.top_up(team, top_up)?),
        Operation::Abandon { id, .. } => {
            if machine.records().reservation(team, *id)?.is_none() {
                // Moves the revision, so that an admission that is still under way is refused.
                machine.records_to_write().changes.touched = true;
            }
            Answer::Settled(machine.abandon(team, *id)?)
        }
        Operation::Dispatch { .. } | Operation::Recall { .. } => Answer::IsOpen(false),
        // An accepted team has been opened by now.
        Operation::Renew { .. } | Operation::Accept { .. } => Answer::Done,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::machine::memory_records::Ledger;

    /// A second at most.
    #[test]
    fn a_step_may_take_a_quarter_of_a_reservations_life() {
        let of = |millis| {
            let mut rules = Ledger::new().rules;
            rules.reservation_ttl = std::time::Duration::from_millis(millis);
            under_way(&rules)
        };
        assert_eq!([of(400), of(4_000), of(600_000)], [100_000, 1_000_000, 1_000_000]);
    }
}
