//! A restarted server, or a promoted replica, has a team's records now. It may lack the last
//! writes, and the processes that made them may be away, so the loss can go unnoticed at first.
//!
//! Counting there begins a new epoch, and what the copy had counted is kept apart. So the counts of
//! two histories are never mixed up: a process that comes back and knows more of the old epoch
//! finds the difference, however far the copy has come, and the counts are added (see `shares`).
//! Until then a limit may be exceeded by what the copy lacks, which no process there can know.
//!
//! The phases of calls are uncertain too: each process reports the phases of its calls again when
//! it learns of the new server (see `remember`). An abandoned call without such a report is taken
//! for sent.

use std::sync::Arc;

use super::context::{Context, deadline};
use super::loss::{self, ATTEMPTS, writing};
use super::queue::Team;
use super::step::{Changes, Expected, Step, TeamRecord, Verdict};
use super::wanted::Wanted;
use super::{Keeper, KeeperTime};
use crate::ledger::Outage;
use crate::ledger::machine::{Loss, Revision};

/// Begins an epoch on the current server unless another process has. A loss found on the way is
/// handled as any loss.
pub(super) async fn take_over<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
) -> Result<(), Outage> {
    for _ in 0..ATTEMPTS {
        let now = context.time.now();
        let reading =
            Step::reading(now, Wanted::default(), Vec::new(), deadline(now, context.rules));
        let reply = context.keeper.step(&team.id, &reading).await?;
        context.time.learn(reply.at);
        let marks = reply.marks;
        loss::handle_reply(context, team, &reading, reply).await?;
        let replication_id = context.keeper.replication_id(&team.id);
        let (known, record) = {
            let cache = team.cache();
            (cache.revision(), cache.team().clone())
        };
        let Some(revision) = known.filter(|_| record.replication_id != replication_id) else {
            return Ok(());
        };
        if record.is_closed() {
            // What was restored may be missing again, and the other processes must learn of that.
            team.cache().remember();
            return loss::close(context, team, (known, record)).await;
        }
        let step = taking_over(context, (revision, record), (replication_id, marks));
        let reply = context.keeper.step(&team.id, &step).await?;
        context.time.learn(reply.at);
        if reply.verdict == Verdict::Done {
            tracing::info!(
                team = %team.id,
                "another server of the ledger's store has taken over a team"
            );
            let mut cache = team.cache();
            cache.note_marks(reply.marks);
            cache.change(step.changes, step.makes);
            cache.claim_own();
            return Ok(());
        }
        context.keeper.let_another_go_first().await;
    }
    Err(Outage::Lost)
}

fn taking_over<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    (revision, record): (Revision, TeamRecord),
    (replication_id, marks): (u64, u64),
) -> Step {
    let now = context.time.now();
    let name = context.keeper.name_step();
    let makes = Revision::begin(now, revision.epoch, Some(revision), name);
    let loss = Loss::taken_over(revision, record.loss.as_ref(), now, marks);
    let taken = TeamRecord { loss: Some(loss), replication_id, ..record };
    let changes = Changes { team: Some(taken), ..Changes::default() };
    writing(
        (Expected::Revision(revision), &TeamRecord::default()),
        makes,
        changes,
        (now, context.rules),
    )
}

#[cfg(test)]
#[path = "takeover_tests.rs"]
mod tests;
