//! What restores what this process knows and the keeper lacks, worked out from what is there.

use std::collections::BTreeSet;

use super::cache::{TeamCache, Written};
use super::memory::Memory;
use super::step::Changes;
use super::view::{Missing, View};
use super::wanted::Wanted;
use crate::credits::Credits;
use crate::ledger::machine::past::note;
use crate::ledger::machine::{Records, ReservationRecord, Revision, Rules, judgement};
use crate::team::TeamId;

/// What restores some of what is known, and the revision that was worked out from. `None`: the keeper lacks nothing of
/// it.
pub(super) fn some_restored(
    team: &TeamId,
    some: &Memory,
    cache: &TeamCache,
    rules: &Rules,
    now: i64,
) -> Result<Option<(Revision, Changes)>, Missing> {
    let (Some(revision), Some(loss)) = (cache.revision(), cache.team().loss.clone()) else {
        return Err(Missing::of(wanted(some)));
    };
    let none = BTreeSet::new();
    let mut view = View::new(cache, &none, rules, now);
    let known = || Missing::of(wanted(some));
    if !loss.is_over(now) {
        for (name, known) in &some.scopes {
            let mut record = view.scope(team, name)?;
            record.seal(&loss.kept);
            if record.restore(known) {
                view.put_scope(team, name, record)?;
                if let Some(loss) = view.team().loss.as_mut().filter(|loss| !loss.closed) {
                    loss.unjudged = true;
                }
            }
        }
    }
    for (id, (admitted, record)) in &some.calls {
        let is_there = view.reservation(team, *id).map_err(|_| known())?.is_some();
        let has_ended = !record.unread && view.is_restored(*id)?;
        let is_lacking = loss.lacks(*admitted) && !loss.covers(*admitted) && !has_ended;
        if is_there || is_lacking {
            // A mark that was sent before and comes late is told from those that come after this.
            let marks = record.marks.wrapping_add(1);
            let record = ReservationRecord { claimed: revision.epoch, marks, ..record.clone() };
            view.put_reservation(team, *id, record)?;
        }
    }
    for written in some.rows.iter().filter(|written| written.at.iter().all(|at| loss.lacks(*at))) {
        restore_row(&mut view, team, written, (rules, now))?;
    }
    for (id, (_, record)) in some.top_ups.iter().filter(|(_, (at, _))| loss.lacks(*at)) {
        let at = judgement::at(now);
        view.put_top_up(team, id, record, (at, at))?;
    }
    let changes = view.changes;
    Ok((!changes.is_nothing()).then_some((revision, changes)))
}

/// Restores the row of a call that has ended, once. What it was charged is in its scopes.
fn restore_row(
    view: &mut View<'_>,
    team: &TeamId,
    written: &Written,
    (rules, now): (&Rules, i64),
) -> Result<(), Missing> {
    let row = &written.row;
    if view.is_restored(row.id)? {
        return Ok(());
    }
    view.changes.restored.push(row.id);
    // What is left of it for the sake of its slots stays.
    if let Some(record) = view.reservation(team, row.id)?.filter(|record| !record.unread) {
        if was_sent_since(&record, written) {
            return hold_again(view, team, &record);
        }
        view.changes.ended.push(row.id);
    }
    note(view, team, row.clone(), &rules.retention, judgement::at(now))
}

/// Whether a call was left behind and swept at no cost in what was lost, and whoever makes it, who has not heard of
/// that, has claimed it after the loss and sent it then. That end was none.
fn was_sent_since(record: &ReservationRecord, Written { at, row }: &Written) -> bool {
    let is_free = row.charged == Credits::ZERO;
    is_free && record.dispatched && at.iter().all(|at| record.claimed > at.epoch)
}

/// A call is open that has ended in the scopes.
fn hold_again(view: &mut View<'_>, team: &TeamId, record: &ReservationRecord) -> Result<(), Missing> {
    for name in &record.scopes {
        let mut scope = view.scope(team, name)?;
        scope.reserve(&record.windows, record.price);
        view.put_scope(team, name, scope)?;
    }
    Ok(())
}

/// The keeper's records of what is to be restored.
pub(super) fn wanted(some: &Memory) -> Wanted {
    let rows = some.rows.iter().map(|written| &written.row);
    let mut wanted = Wanted {
        scopes: some.scopes.keys().cloned().collect(),
        calls: some.calls.keys().copied().chain(rows.clone().map(|row| row.id)).collect(),
        restored: some.calls.keys().copied().chain(rows.clone().map(|row| row.id)).collect(),
        ..Wanted::default()
    };
    wanted.cells_of(rows);
    wanted
}

#[cfg(test)]
#[path = "restored_tests.rs"]
mod tests;
