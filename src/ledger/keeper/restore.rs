//! What is done when the keeper has lost something of a team: the loss is noted and the team closed,
//! everybody restores what they know, and the team opens again.

use std::sync::Arc;

use super::cache::{InDoubt, TeamCache};
use super::context::{Context, REFUSED_MOST, deadline, first_due};
use super::news::News;
use super::queue::Team;
use super::restored::some_restored;
use super::step::{Changes, Expected, Found, Reply, Step, TeamRecord, Verdict};
use super::view::Missing;
use super::wanted::Wanted;
use super::{Keeper, KeeperTime, lives, takeover};
use crate::ledger::Outage;
use crate::ledger::machine::{Loss, Revision, Rules, unclaimed};

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
        let mut cache = team.cache();
        cache.owns(&changes, makes);
        cache.change(changes, makes);
        drop(cache);
        context.tell(&team.id, swept, &crossed);
    }
    let mut news = team.cache().hears_of(&found, reply.marks);
    // Without deadlines nothing that is left behind would ever end, and without the ends of users none be forgotten.
    let part_is_lost = found.ends_are_lost || found.due.as_ref().is_some_and(|due| due.is_lost);
    if news == News::None && found.revision.is_some() && part_is_lost {
        news = News::Lost;
    }
    if matches!(news, News::Lost | News::LostBefore) {
        let left = (found.revision, found.team.clone());
        lose(context, team, left, news == News::LostBefore).await?;
    }
    if news != News::Lost {
        let due = (step.from, first_due(reply.at, context.rules));
        let mut cache = team.cache();
        cache.learn(found, reply.marks, due);
        if news == News::TakenOver {
            cache.claim_own();
        }
    }
    Ok(())
}

/// Takes note that the keeper has lost something, and tells of it. What is left is `found`; if nobody has noticed it
/// before, a new epoch begins, in which the team is closed.
pub(super) async fn lose<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    found: (Option<Revision>, TeamRecord),
    was_noticed: bool,
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
    if was_noticed { Ok(()) } else { close(context, team, found).await }
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
) -> Result<(), Outage> {
    let now = context.time.now();
    let known = team.cache().memory.as_ref().map_or_else(Revision::default, |memory| memory.last);
    let last = known.epoch.max(found.map_or(0, |found| found.epoch));
    let epoch = u64::try_from(now).unwrap_or(1).max(last + 1);
    let loss = Loss::noticed(found, record.loss.as_ref(), now);
    // Whether a prepaid budget needs it for ever is known to those who ask under limits.
    let until = record.until.max(lives::least(now, context.rules));
    let record = TeamRecord { loss: Some(loss), until, reign: context.keeper.reign(&team.id), ..record };
    let changes = Changes { team: Some(record), lives_on: true, ..Changes::default() };
    let expected = match found {
        Some(found) => Expected::Revision(found),
        None => {
            let mark = context.keeper.name_step();
            context.keeper.leave_mark(&team.id, mark).await?;
            Expected::Nothing(mark)
        }
    };
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
            Ok(Some((revision, changes))) => {
                let makes = revision.next(context.keeper.name_step());
                let expected = Expected::Revision(revision);
                let step = writing((expected, team.cache().team()), makes, changes, (now, context.rules));
                // The team may be open, and the others busy with it.
                Step { wants_turn: refused >= REFUSED_MOST, ..step }
            }
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

/// Opens a team again: what nobody has claimed is judged, and every deadline is put off. Of a team that is open: what
/// came late and nobody has claimed is judged. `not_before` is when the others have had time, in microseconds of Unix
/// time.
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

/// What opens a team of which all is known, or accounts for what came late. `None`: it is open, and all is accounted
/// for.
fn opened(cache: &TeamCache, (now, deadline): (i64, i64)) -> Option<(Revision, Changes)> {
    let (revision, record) = (cache.revision()?, cache.team());
    let loss = record.loss.clone()?;
    let (scopes, calls) = cache.all();
    let judged = if loss.closed {
        unclaimed::judge(&scopes, calls, revision.epoch, (now, deadline))
    } else {
        let judged = unclaimed::judge_late(&scopes, &calls, revision, (now, deadline));
        if judged.is_nothing() && !loss.unjudged {
            return None;
        }
        judged
    };
    let team_scope = scopes.iter().find(|(name, _)| name.level == "team");
    let covered = team_scope.filter(|_| !judged.is_doubted).map(|(_, record)| record.sealed()).unwrap_or_default();
    let kept = loss.kept.clone();
    let record = TeamRecord { loss: Some(Loss { closed: false, unjudged: false, covered, ..loss }), ..record.clone() };
    let ends = scopes.iter().filter_map(|(name, record)| Some((name.clone(), Some(record.until()?)))).collect();
    let mut changed = judged.scopes;
    for (name, before) in &scopes {
        if let Some(changed) = changed.get_mut(name) {
            let mut before = before.clone();
            before.seal(&kept);
            changed.seal_as(&before);
        }
    }
    let changes = Changes {
        team: Some(record),
        ends,
        scopes: changed.into_iter().map(|(name, record)| (name, Some(record))).collect(),
        opened: judged.open,
        ended: judged.ended,
        ..Changes::default()
    };
    Some((revision, changes))
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
