//! Notes that the keeper has lost writes of a team, and begins a new epoch in which the team is
//! closed.

use std::sync::Arc;

use super::context::{Context, deadline, first_due};
use super::news::News;
use super::queue::Team;
use super::step::{Changes, Expected, Found, Reply, Step, TeamRecord, Verdict};
use super::wanted::Wanted;
use super::{Keeper, KeeperTime, lives};
use crate::ledger::Outage;
use crate::ledger::machine::{Loss, Revision, Rules};

/// How often other processes may write first before the operation is given up.
pub(super) const ATTEMPTS: usize = 64;

/// Takes in a reply. If it shows a loss, the loss is handled first.
pub(super) async fn handle_reply<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    step: &Step,
    reply: Reply,
) -> Result<(), Outage> {
    let Some(found) = reply.found else { return Ok(()) };
    let confirmed = found.revision.and_then(|found| team.cache().confirm(found));
    if let Some((swept, crossed)) = confirmed {
        context.report(&team.id, swept, &crossed);
    }
    let mut news = team.cache().compare(&found, reply.marks);
    // The index of deadlines ends abandoned calls, and the index of ends forgets users: the loss of
    // either is a loss.
    let part_is_lost = found.ends_are_lost || found.due.as_ref().is_some_and(|due| due.is_lost);
    if news == News::None && found.revision.is_some() && part_is_lost {
        news = News::Lost;
    }
    if matches!(news, News::Lost | News::LostBefore) {
        let left = (found.revision, found.team.clone());
        note_loss(context, team, left, news == News::LostBefore).await?;
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

/// Notes a loss and reports it; `found` is what is left. If no process has noticed it before, a new
/// epoch begins, in which the team is closed.
pub(super) async fn note_loss<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    found: (Option<Revision>, TeamRecord),
    was_noticed: bool,
) -> Result<(), Outage> {
    let (calls, is_reported) = {
        let mut cache = team.cache();
        // The loss was reported before, and the team has not been seen since.
        let is_reported = cache.memory.is_some() && cache.revision().is_none();
        cache.remember();
        (cache.memory.as_ref().map_or(0, |memory| memory.calls.len()), is_reported)
    };
    if !is_reported {
        report(context, team, (calls, was_noticed)).await;
    }
    if was_noticed { Ok(()) } else { close(context, team, found).await }
}

async fn report<K: Keeper, T: KeeperTime>(
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
    tracing::error!(
        team = %team.id,
        calls,
        what_next,
        "the store of the ledger has lost writes of a team"
    );
    // Restores what this process knows; its trust in the store starts anew.
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
    let loss = Loss::noticed(found, record.loss.as_ref(), now);
    // Limits say whether a prepaid budget keeps the team for ever; a later batch that knows them
    // extends this.
    let until = record.until.max(lives::least(now, context.rules));
    let record = TeamRecord {
        loss: Some(loss),
        until,
        replication_id: context.keeper.replication_id(&team.id),
        ..record
    };
    let changes = Changes { team: Some(record), lives_on: true, ..Changes::default() };
    let expected = match found {
        Some(found) => Expected::Revision(found),
        None => {
            let name = context.keeper.name_step();
            Expected::Nothing(context.keeper.leave_mark(&team.id, name).await?)
        }
    };
    let makes = Revision::begin(now, last, found, context.keeper.name_step());
    let step = writing((expected, &TeamRecord::default()), makes, changes, (now, context.rules));
    let reply = context.keeper.step(&team.id, &step).await?;
    context.time.learn(reply.at);
    if reply.verdict == Verdict::Done {
        let team_record = step.changes.team.unwrap_or_default();
        let made = Found { revision: Some(makes), team: team_record, ..Found::default() };
        team.cache().learn(made, reply.marks, (now, now));
        context.keeper.made(&team.id).await;
    }
    // If another process was first, the next reading shows it.
    Ok(())
}

/// A step that writes to the team of this record.
pub(super) fn writing(
    (expected, record): (Expected, &TeamRecord),
    makes: Revision,
    changes: Changes,
    (now, rules): (i64, &Rules),
) -> Step {
    let until = now.saturating_add(super::work::under_way(rules));
    let nothing = Step::reading(now, Wanted::default(), Vec::new(), deadline(now, rules));
    let replication_id = changes.team.as_ref().unwrap_or(record).replication_id;
    Step { expected, replication_id, makes, until, changes, ..nothing }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
