//! What is done when the keeper has lost something of a team: the loss is noted and the team closed,
//! everybody restores what they know, and the team opens again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cache::{InDoubt, TeamCache, Written};
use super::context::{Context, deadline, first_due};
use super::memory::Memory;
use super::news::News;
use super::queue::Team;
use super::step::{Changes, Expected, Found, Reply, Step, TeamRecord, Verdict};
use super::view::{Missing, View};
use super::wanted::Wanted;
use super::{Keeper, KeeperTime, lives, takeover};
use crate::ledger::machine::past::note;
use crate::ledger::machine::{Loss, Records, ReservationRecord, Revision, Rules, judgement, unclaimed};
use crate::ledger::{Outage, Row};
use crate::team::TeamId;

/// How often others may be first before it is given up for now.
pub(super) const ATTEMPTS: usize = 64;

/// Takes note of what the keeper told, unless that says that it has lost something: then that is seen to.
pub(super) async fn hear<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    step: &Step,
    reply: Reply,
) -> Result<(), Outage> {
    let Some(found) = reply.found else { return Ok(()) };
    let confirmed = team.cache().confirmed(found.revision);
    if let Some(confirmed) = confirmed {
        let InDoubt { makes, changes, swept, crossed } = *confirmed;
        team.cache().change(changes, makes);
        context.tell(&team.id, swept, &crossed);
    }
    let mut news = team.cache().hears_of(&found, reply.marks);
    // Without deadlines nothing that is left behind would ever end, and without the ends of users none be forgotten.
    let part_is_lost = found.ends_are_lost || found.due.as_ref().is_some_and(|due| due.is_lost);
    if news == News::None && found.revision.is_some() && part_is_lost {
        news = News::Lost;
    }
    if news != News::None {
        let left = (found.revision, found.team.clone());
        let marks_are_lost = team.cache().misses_marks(&found, reply.marks);
        lose(context, team, left, (news == News::LostBefore, marks_are_lost)).await?;
    }
    if news != News::Lost {
        let due = (step.from, first_due(reply.at, context.rules));
        team.cache().learn(found, reply.marks, due);
    }
    Ok(())
}

/// Takes note that the keeper has lost something, and tells of it. What is left is `found`; if nobody has noticed it before, a
/// new epoch begins, in which the team is closed.
pub(super) async fn lose<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    found: (Option<Revision>, TeamRecord),
    (was_noticed, marks_are_lost): (bool, bool),
) -> Result<(), Outage> {
    let (calls, is_told) = {
        let mut cache = team.cache();
        // It was noticed, and nothing of the team was seen since.
        let is_told = cache.memory.is_some() && cache.revision().is_none();
        cache.remember();
        (cache.memory.as_ref().map_or(0, |memory| memory.calls.len()), is_told)
    };
    if !is_told {
        tell(context, team, (calls, was_noticed)).await;
    }
    if was_noticed { Ok(()) } else { close(context, team, found, marks_are_lost).await }
}

async fn tell<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    (calls, was_noticed): (usize, bool),
) {
    context.observer.epoch_changed(&team.id);
    let what_next = match (was_noticed, context.loss.hold) {
        (true, _) => "another replica has noticed it; this one restores what it knows",
        (false, false) => "its budgets are closed until every replica has restored what it knows",
        (false, true) => "its budgets are closed until an operator accepts what is left",
    };
    tracing::error!(team = %team.id, calls, what_next, "the store of the ledger has lost writes of a team");
    // What this process has to say of the team it knows itself.
    context.keeper.is_doubted(&team.id).await;
}

/// Begins a new epoch, in which the team is closed.
pub(super) async fn close<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    (found, record): (Option<Revision>, TeamRecord),
    marks_are_lost: bool,
) -> Result<(), Outage> {
    let now = context.time.now();
    let known = team.cache().memory.as_ref().map_or_else(Revision::default, |memory| memory.last);
    let last = known.epoch.max(found.map_or(0, |found| found.epoch));
    let epoch = u64::try_from(now).unwrap_or(1).max(last + 1);
    let loss = Loss::noticed(found, record.loss.as_ref(), now).and_of_marks(marks_are_lost);
    // Whether a prepaid budget needs it for ever is known to those who ask under limits.
    let until = record.until.max(lives::least(now, context.rules));
    let record = TeamRecord { loss: Some(loss), until, reign: context.keeper.reign(&team.id), ..record };
    let changes = Changes { team: Some(record), lives_on: true, ..Changes::default() };
    let expected = found.map_or(Expected::Lost, Expected::Revision);
    let number = found.map_or(0, |found| found.number + 1);
    let makes = Revision { epoch, number, name: context.keeper.name_step() };
    let step = writing((expected, &TeamRecord::default()), makes, changes, (now, context.rules));
    let reply = context.keeper.step(&team.id, &step).await?;
    context.time.learn(reply.at);
    if reply.verdict == Verdict::Done {
        let team_record = step.changes.team.unwrap_or_default();
        let made = Found { revision: Some(makes), team: team_record, ..Found::default() };
        team.cache().learn(made, reply.marks, (now, now));
        context.keeper.made(&team.id).await;
    }
    // If others were first, that is seen with the next reading.
    Ok(())
}

/// A step that writes, of a team of which this is known.
pub(super) fn writing(
    (expected, record): (Expected, &TeamRecord),
    makes: Revision,
    changes: Changes,
    (now, rules): (i64, &Rules),
) -> Step {
    let until = now.saturating_add(super::work::under_way(rules));
    let nothing = Step::reading(now, Wanted::default(), Vec::new(), deadline(now, rules));
    let reign = changes.team.as_ref().unwrap_or(record).reign;
    Step { expected, reign, makes, until, changes, ..nothing }
}

/// Restores all that this process knows and the keeper lacks.
pub(super) async fn restore<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
) -> Result<(), Outage> {
    let mut wanted = Wanted::default();
    let mut refused = 0;
    while refused < ATTEMPTS {
        let Some(some) = team.cache().left_to_restore() else { return Ok(()) };
        if some.is_restored() {
            return open(context, team, i64::MIN).await;
        }
        let now = context.time.now();
        let prepared = some_restored(&team.id, &some, &team.cache(), context.rules, now);
        let step = match prepared {
            Ok(None) => {
                team.cache().note_restored(&some);
                continue;
            }
            Ok(Some((revision, changes))) => writing(
                (Expected::Revision(revision), team.cache().team()),
                revision.next(context.keeper.name_step()),
                changes,
                (now, context.rules),
            ),
            Err(Missing(more)) => {
                wanted.add(*more);
                Step::reading(now, wanted.clone(), Vec::new(), deadline(now, context.rules))
            }
        };
        let is_reading = step.expected == Expected::Anything;
        let reply = context.keeper.step(&team.id, &step).await?;
        context.time.learn(reply.at);
        match reply.verdict {
            Verdict::Done => {
                let mut cache = team.cache();
                cache.change(step.changes, step.makes);
                cache.note_restored(&some);
                wanted = Wanted::default();
            }
            Verdict::Told => {
                refused += usize::from(!is_reading);
                hear(context, team, &step, reply).await?;
            }
            Verdict::OtherTime | Verdict::OthersTurn => {
                refused += 1;
                context.keeper.let_another_go_first().await;
            }
            Verdict::OtherReign => {
                refused += 1;
                Box::pin(takeover::take_over(context, team)).await?;
            }
        }
    }
    Err(Outage::Lost)
}

/// What restores some of what is known, and the revision that was worked out from. `None`: the keeper lacks nothing of it.
fn some_restored(
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
        let is_there = view.reservation(team, *id).map_err(|_| Missing::of(wanted(some)))?.is_some();
        let has_ended = !record.unread && view.is_restored(*id)?;
        let is_lacking = loss.lacks(*admitted) && !loss.covers(*admitted) && !has_ended;
        if is_there || is_lacking {
            let record = ReservationRecord { claimed: revision.epoch, ..record.clone() };
            view.put_reservation(team, *id, record)?;
        }
    }
    for Written { row, .. } in some.rows.iter().filter(|written| written.at.iter().all(|at| loss.lacks(*at))) {
        restore_row(&mut view, team, row, (rules, now))?;
    }
    for (id, (_, record)) in some.top_ups.iter().filter(|(_, (at, _))| loss.lacks(*at)) {
        let at = judgement::at(now);
        view.put_top_up(team, id, record, (at, at))?;
    }
    let changes = view.changes;
    Ok((!changes.is_nothing()).then_some((revision, changes)))
}

/// Restores the row of a call that has ended, once. What it was charged is in its scopes.
fn restore_row(view: &mut View<'_>, team: &TeamId, row: &Row, (rules, now): (&Rules, i64)) -> Result<(), Missing> {
    if view.is_restored(row.id)? {
        return Ok(());
    }
    // What is left of it for the sake of its slots stays.
    if view.reservation(team, row.id)?.is_some_and(|record| !record.unread) {
        view.changes.ended.push(row.id);
    }
    note(view, team, row.clone(), &rules.retention, judgement::at(now))?;
    view.changes.restored.push(row.id);
    Ok(())
}

/// The keeper's records of what is to be restored.
fn wanted(some: &Memory) -> Wanted {
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

/// Opens a team again: what nobody has claimed is judged, and every deadline is put off. Of a team that is open: what came late
/// and nobody has claimed is judged. `not_before` is when the others have had time, in microseconds of Unix time.
pub(super) async fn open<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    not_before: i64,
) -> Result<(), Outage> {
    let epoch = team.cache().revision.epoch;
    for _ in 0..ATTEMPTS {
        let now = context.time.now();
        let all = Wanted { all: true, ..Wanted::default() };
        let deadline = deadline(now, context.rules);
        let reading = Step::reading(now, all, Vec::new(), deadline);
        let reply = context.keeper.step(&team.id, &reading).await?;
        context.time.learn(reply.at);
        hear(context, team, &reading, reply).await?;
        // It was lost again meanwhile: the others have time from then on.
        if team.cache().revision.epoch != epoch {
            return Ok(());
        }
        // By the keeper's time, which was just told, not by a clock that may have been set since it was told before.
        let now = context.time.now();
        if now < not_before {
            return Err(Outage::Lost);
        }
        let opened = opened(&team.cache(), (now, deadline));
        let Some((revision, changes)) = opened else {
            team.cache().note_judged();
            return Ok(());
        };
        let step = writing(
            (Expected::Revision(revision), team.cache().team()),
            revision.next(context.keeper.name_step()),
            changes,
            (now, context.rules),
        );
        let reply = context.keeper.step(&team.id, &step).await?;
        context.time.learn(reply.at);
        if reply.verdict == Verdict::Done {
            let mut cache = team.cache();
            cache.change(step.changes, step.makes);
            cache.note_judged();
            return Ok(());
        }
        if reply.verdict == Verdict::OtherReign {
            Box::pin(takeover::take_over(context, team)).await?;
        }
        context.keeper.let_another_go_first().await;
    }
    Err(Outage::Lost)
}

/// What opens a team of which all is known, or accounts for what came late. `None`: it is open, and all is accounted for.
fn opened(cache: &TeamCache, (now, deadline): (i64, i64)) -> Option<(Revision, Changes)> {
    let (revision, record) = (cache.revision()?, cache.team());
    let loss = record.loss.clone()?;
    let (scopes, calls) = cache.all();
    let judged = if loss.closed {
        unclaimed::judge(&scopes, calls, (revision.epoch, loss.marks_are_lost), (now, deadline))
    } else {
        let judged = unclaimed::judge_late(&scopes, &calls, revision, (now, deadline));
        if judged.is_nothing() && !loss.unjudged {
            return None;
        }
        judged
    };
    let team_scope = scopes.iter().find(|(name, _)| name.level == "team");
    let covered = team_scope.map(|(_, record)| record.sealed()).unwrap_or_default();
    let record = TeamRecord { loss: Some(Loss { closed: false, unjudged: false, covered, ..loss }), ..record.clone() };
    let ends = scopes.iter().filter_map(|(name, record)| Some((name.clone(), Some(record.until()?)))).collect();
    let changes = Changes {
        team: Some(record),
        ends,
        scopes: judged.scopes.into_iter().map(|(name, record)| (name, Some(record))).collect(),
        opened: judged.open,
        ended: judged.ended,
        ..Changes::default()
    };
    Some((revision, changes))
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
