//! Brings a team back after a loss: every process restores what it knows, then the team opens.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cache::TeamCache;
use super::context::{Context, REFUSED_MAX, deadline};
use super::loss::{self, ATTEMPTS, writing};
use super::queue::Team;
use super::restored::some_restored;
use super::step::{Changes, Expected, Mark, Marked, Step, TeamRecord, Verdict};
use super::view::Missing;
use super::wanted::Wanted;
use super::{Keeper, KeeperTime, takeover};
use crate::ledger::Outage;
use crate::ledger::machine::{Earlier, Loss, Revision, unclaimed};

/// Restores everything that this process knows and the keeper lacks.
pub(super) async fn restore<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
) -> Result<(), Outage> {
    let mut wanted = Wanted::default();
    let mut refused = 0;
    // Calls that were marked since they were read.
    let mut outdated = BTreeSet::new();
    while refused < ATTEMPTS {
        let Some(mut some) = team.cache().left_to_restore() else { return Ok(()) };
        if some.is_restored() {
            return open(context, team, i64::MIN).await;
        }
        let now = context.time.now();
        let prepared = if outdated.is_empty() {
            some_restored(&team.id, &mut some, &team.cache(), context.rules, now)
        } else {
            let calls = std::mem::take(&mut outdated);
            Err(Missing::of(Wanted { calls, ..Wanted::default() }))
        };
        let step = match prepared {
            Ok(None) => {
                team.cache().note_restored(&some);
                continue;
            }
            Ok(Some((revision, changes))) => {
                let makes = revision.next(context.keeper.name_step());
                let expected = Expected::Revision(revision);
                let step =
                    writing((expected, team.cache().team()), makes, changes, (now, context.rules));
                // The team may be open, with other processes writing to it and marking their calls.
                let marks = unchanged_marks(&team.cache(), &step.changes);
                Step { marks, wants_turn: refused >= REFUSED_MAX, ..step }
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
            Verdict::NotWritten => {
                refused += usize::from(!is_reading);
                let marked = step.marks.iter().zip(&reply.marked);
                let changed = marked.filter(|(_, marked)| **marked == Marked::Changed);
                outdated.extend(changed.map(|(mark, _)| mark.id));
                loss::handle_reply(context, team, &step, reply).await?;
            }
            Verdict::OtherTime | Verdict::OthersTurn => {
                refused += 1;
                context.keeper.let_another_go_first().await;
            }
            Verdict::OtherPrimary => {
                refused += 1;
                Box::pin(takeover::take_over(context, team)).await?;
            }
        }
    }
    Err(Outage::Lost)
}

/// Marks that change nothing, so that the step is refused if a call that it ends or changes has
/// come further than is known.
fn unchanged_marks(cache: &TeamCache, changes: &Changes) -> Vec<Mark> {
    let touched = changes.ended.iter().chain(changes.opened.keys());
    let known = touched.filter_map(|id| Some((*id, cache.call(*id)??)));
    known.map(|(id, record)| Mark { id, from: record.clone(), to: record.clone() }).collect()
}

/// Opens a closed team: unclaimed calls are judged, and every deadline is put off. In an open team,
/// judges what was restored late and is unclaimed. Before `not_before` (microseconds of Unix time)
/// the other processes still have time to restore.
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
        loss::handle_reply(context, team, &reading, reply).await?;
        // A second loss: the other processes have time again from then on.
        if team.cache().revision.epoch != epoch {
            return Ok(());
        }
        // Compared with the keeper's time from the last reply, because the local clock may have
        // been set.
        let now = context.time.now();
        if now < not_before {
            return Err(Outage::Lost);
        }
        let opened = opened(&team.cache(), (now, deadline));
        let Some((revision, changes)) = opened else {
            team.cache().note_judged();
            return Ok(());
        };
        let marks = unchanged_marks(&team.cache(), &changes);
        let step = writing(
            (Expected::Revision(revision), team.cache().team()),
            revision.next(context.keeper.name_step()),
            changes,
            (now, context.rules),
        );
        let step = Step { marks, ..step };
        let reply = context.keeper.step(&team.id, &step).await?;
        context.time.learn(reply.at);
        if reply.verdict == Verdict::Done {
            let mut cache = team.cache();
            cache.change(step.changes, step.makes);
            cache.note_judged();
            return Ok(());
        }
        if reply.verdict == Verdict::OtherPrimary {
            Box::pin(takeover::take_over(context, team)).await?;
        }
        context.keeper.let_another_go_first().await;
    }
    Err(Outage::Lost)
}

/// The changes that open a team whose records are all known, or that account for late restores.
/// `None` when it is open and everything is accounted for.
fn opened(cache: &TeamCache, (now, deadline): (i64, i64)) -> Option<(Revision, Changes)> {
    let (revision, record) = (cache.revision()?, cache.team());
    let loss = record.loss.clone()?;
    let (scopes, calls) = cache.all();
    let earlier = Earlier { kept: &loss.kept, ended_late_at: record.ended_late_at };
    let judged = if loss.closed {
        unclaimed::judge(&scopes, calls, (revision.epoch, earlier), (now, deadline))
    } else {
        let judged = unclaimed::judge_late(&scopes, &calls, (revision, earlier), (now, deadline));
        if judged.is_nothing() && !loss.unjudged {
            return None;
        }
        judged
    };
    let team_scope = scopes.iter().find(|(name, _)| name.level == "team");
    let covered = team_scope
        .filter(|_| judged.placed.is_empty() && !loss.unjudged)
        .map_or_else(|| loss.covered.clone(), |(_, record)| record.sealed());
    let (kept, last_steps) = (loss.kept.clone(), loss.last_steps.clone());
    let record = TeamRecord {
        loss: Some(Loss { closed: false, unjudged: false, covered, ..loss }),
        ..record.clone()
    };
    let ends = scopes
        .iter()
        .filter_map(|(name, record)| Some((name.clone(), Some(record.until()?))))
        .collect();
    let mut changed = judged.scopes;
    for (name, before) in &scopes {
        if let Some(changed) = changed.get_mut(name) {
            let mut before = before.clone();
            before.seal(&kept, &last_steps);
            changed.seal_as(&before);
        }
    }
    let changes = Changes {
        team: Some(record),
        ends,
        scopes: changed.into_iter().map(|(name, record)| (name, Some(record))).collect(),
        opened: judged.open.into_iter().collect(),
        ended: judged.ended,
        ..Changes::default()
    };
    Some((revision, changes))
}

#[cfg(test)]
#[path = "restore_marks_tests.rs"]
mod marks_tests;
#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
