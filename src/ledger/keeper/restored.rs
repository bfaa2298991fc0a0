//! Works out the changes that restore what this process knows and the keeper lacks.

use std::collections::BTreeSet;

use super::cache::TeamCache;
use super::context::deadline;
use super::memory::Memory;
use super::own::{Claimed, Written};
use super::step::Changes;
use super::view::{Missing, View};
use super::wanted::Wanted;
use crate::ledger::machine::past::note;
use crate::ledger::machine::{
    Ending, Loss, Records, ReservationRecord, Revision, Rules, ScopeName, judgement,
};
use crate::ledger::{Outcome, Scope};
use crate::team::TeamId;

/// The changes that restore a part of the memory, and their base revision; `None` when the keeper
/// lacks nothing of it. Rows whose ends were taken back are void from then on: they lose their
/// revisions.
pub(super) fn some_restored(
    team: &TeamId,
    some: &mut Memory,
    cache: &TeamCache,
    rules: &Rules,
    now: i64,
) -> Result<Option<(Revision, Changes)>, Missing> {
    let (Some(revision), Some(loss)) = (cache.revision(), cache.team().loss.clone()) else {
        return Err(Missing::of(wanted(some)));
    };
    let none = BTreeSet::new();
    let mut view = View::new(cache, &none, rules, now);
    // The scopes may include ends up to that moment.
    if view.team_now().ended_late_at < some.ended_late_at {
        view.team().ended_late_at = some.ended_late_at;
    }
    if !loss.is_over(now) {
        restore_scopes(&mut view, team, some, &loss)?;
    }
    let some = &*some;
    let known = || Missing::of(wanted(some));
    let epochs = if some.calls.is_empty() {
        Vec::new()
    } else {
        let of_team = view.scope(team, &ScopeName::from(&Scope::Team)).map_err(|_| known())?;
        of_team.sealed().into_keys().chain(loss.kept.keys().copied()).collect()
    };
    for (id, call) in &some.calls {
        let Claimed { admitted, record, .. } = call;
        let is_there = view.reservation(team, *id).map_err(|_| known())?.is_some();
        let has_ended = !record.unread && view.is_restored(*id)?;
        // A void step had ended it, so the team opened without anything held for it.
        let is_back = call.voids.iter().any(|step| some.taken_out.contains(&step.name));
        let is_lacking =
            loss.lacks(*admitted) && (is_back || !loss.covers(*admitted)) && !has_ended;
        if is_there || is_lacking {
            let ending = may_have_ended_since(call, is_there, (&loss, &epochs));
            let deadline = deadline(now, rules);
            let record = ReservationRecord { ending, deadline, ..record.clone() };
            view.put_reservation(team, *id, record.claimed_in(revision.epoch))?;
        }
    }
    for written in some.rows.iter().filter(|written| written.at.iter().all(|at| loss.lacks(*at))) {
        restore_row(&mut view, team, written, (&loss, rules, now))?;
    }
    for (id, (_, record)) in some.top_ups.iter().filter(|(_, (at, _))| loss.lacks(*at)) {
        let at = judgement::at(now);
        view.put_top_up(team, id, record, (at, at))?;
    }
    let changes = view.changes;
    Ok((!changes.is_nothing()).then_some((revision, *changes)))
}

/// Merges what the process knows of the scopes, but for the ends that it takes back.
fn restore_scopes(
    view: &mut View<'_>,
    team: &TeamId,
    some: &mut Memory,
    loss: &Loss,
) -> Result<(), Missing> {
    let again = ended_again(view, some, loss)?;
    let mut void = Vec::new();
    for (name, known) in &some.scopes {
        let (mut record, mut known) = (view.scope(team, name)?, known.clone());
        record.seal(&loss.kept, &loss.last_steps);
        known.count_again(|step| loss.includes(step));
        for (place, at) in &again {
            let is_news = known.has_counted(*at) && !record.has_counted(*at);
            let written = some.rows.get(*place).filter(|row| row.scopes.contains(name));
            if let Some(written) = written.filter(|_| is_news) {
                let (windows, end) = written.end();
                known.take_back(*at, &windows, &end);
                // The team counts every call.
                void.extend((name.level == "team").then_some(*place));
            }
        }
        if name.level == "team" {
            some.taken_out.extend(known.voids_in(&record));
        }
        if record.restore(&known) {
            view.put_scope(team, name, record)?;
            if !loss.closed || some.unjudged {
                view.team().loss.get_or_insert_default().unjudged = true;
            }
        }
    }
    for place in void {
        if let Some(written) = some.rows.get_mut(place) {
            written.at.clear();
        }
    }
    Ok(())
}

/// The places of the rows that this process brings back of free calls that have ended again since,
/// and the revisions of these rows. Both ends would be counted, and the second would free what
/// another call holds.
fn ended_again(
    view: &View<'_>,
    some: &Memory,
    loss: &Loss,
) -> Result<Vec<(usize, Revision)>, Missing> {
    let mut again = Vec::new();
    for (place, Written { at, row, .. }) in some.rows.iter().enumerate() {
        if let [at] = **at
            && loss.lacks(at)
            && !row.outcome.costs()
            && view.is_restored(row.id).map_err(|_| Missing::of(wanted(some)))?
        {
            again.push((place, at));
        }
    }
    Ok(again)
}

/// The first change in which a call may have ended before the loss: its own process got no answer,
/// or had not renewed it in time, so that others may have swept it. If the store was lost again
/// after a copy took over, a call that is there may have ended in any change since that copy.
/// `epochs` are those that are known; the number of each is the time at which it began.
fn may_have_ended_since(
    call: &Claimed,
    is_there: bool,
    (loss, epochs): (&Loss, &[u64]),
) -> Option<Ending> {
    // Once the next epoch had begun without records, nobody could sweep the call any more.
    let next = epochs.iter().copied().filter(|epoch| *epoch > call.seen.epoch).min();
    let emptied = next.filter(|next| Revision::begins_empty(*next));
    let until = emptied.and_then(|at| i64::try_from(at).ok()).unwrap_or(i64::MAX);
    let may_be_swept = call.record.deadline < loss.noticed_at.min(until);
    let swept = may_be_swept.then(|| Ending::swept_after(call.seen, call.record.deadline));
    let ending = match (call.record.ending, swept) {
        // It is in doubt in two epochs: any change since the earlier one began may have ended it.
        (Some(first), Some(swept)) if first.epoch < swept.epoch => {
            Ending { number: 0, ..first.or_later(swept) }
        }
        (Some(first), Some(swept)) => first.or_later(swept),
        (ending, swept) => ending.or(swept)?,
    };
    let has_gone_on = is_there && loss.kept.range(ending.epoch + 1..).next().is_some();
    let copied = loss.kept.get(&ending.epoch).filter(|_| has_gone_on);
    Some(copied.map_or(ending, |last| ending.or_from(last + 1)))
}

/// Restores the row of an ended call, once. Its charge is part of the restored scopes.
fn restore_row(
    view: &mut View<'_>,
    team: &TeamId,
    written: &Written,
    (loss, rules, now): (&Loss, &Rules, i64),
) -> Result<(), Missing> {
    let row = &written.row;
    // Read in any case: what is restored is remembered only while the call is not open.
    let open = view.reservation(team, row.id)?;
    if view.is_restored(row.id)? || has_ended_before(view, team, written, loss)? {
        return Ok(());
    }
    view.changes.restored.push(row.id);
    // A record that only keeps slots for an answer stays.
    if let Some(record) = open.filter(|record| !record.unread) {
        if was_sent_since(&record, written) {
            return hold_again(view, team, &record);
        }
        view.changes.ended.push(row.id);
    }
    note(view, team, row.clone(), &rules.retention, judgement::at(now))
}

/// Whether the surviving records hold another row of the call: the process that ended it got no
/// answer, and ended it again in what was lost.
fn has_ended_before(
    view: &View<'_>,
    team: &TeamId,
    written: &Written,
    loss: &Loss,
) -> Result<bool, Missing> {
    let ending = written.ending.map(Ending::change);
    let is_there = ending.is_some_and(|change| !loss.lacks(change))
        || written.voids.iter().any(|step| loss.includes(*step));
    Ok(is_there && view.reservation(team, written.row.id)?.is_none_or(|record| record.unread))
}

/// Whether a free sweep in the lost history was no end: the process that makes the call did not
/// learn of it, claimed the call after the loss and sent it. A call that was turned back may have
/// been claimed as sent, and is not sent again.
fn was_sent_since(record: &ReservationRecord, Written { at, row, .. }: &Written) -> bool {
    let since = match row.outcome {
        Outcome::Released => record.claimed,
        Outcome::Refused => record.marked_as_sent_in(),
        Outcome::Charged | Outcome::Unknown => return false,
    };
    record.dispatched && at.iter().all(|at| since > at.epoch)
}

/// Opens a call again that the restored scopes count as ended.
fn hold_again(
    view: &mut View<'_>,
    team: &TeamId,
    record: &ReservationRecord,
) -> Result<(), Missing> {
    for name in &record.scopes {
        let mut scope = view.scope(team, name)?;
        scope.reserve(&record.windows, record.price);
        view.put_scope(team, name, scope)?;
    }
    Ok(())
}

/// The keeper's records that a restore must read.
pub(super) fn wanted(some: &Memory) -> Wanted {
    let rows = some.rows.iter().map(|written| &written.row);
    let of_team = (!some.calls.is_empty()).then(|| ScopeName::from(&Scope::Team));
    let mut wanted = Wanted {
        scopes: some.scopes.keys().cloned().chain(of_team).collect(),
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
