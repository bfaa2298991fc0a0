//! Another server has a team's records than before: it was restarted, or a replica was promoted. It may lack the last
//! changes, and those who have made them may be away, so that nobody notices at first.
//!
//! Whatever is counted there begins a new epoch, with what the copy had counted set apart. So numbers of two histories
//! are never taken for one another: whoever comes back and knows more of the old epoch than the copy had finds that
//! out, however far the copy has come meanwhile, and what both have counted is put together (see `shares`). Until then
//! a limit may be passed by what the copy lacks: of that nobody there can know.
//!
//! Nor can anybody there know how far a call has come since: who makes one says so again as soon as it hears of the new
//! server (see `memory`). One of which nothing was said is taken for sent when it is left behind.

use std::sync::Arc;

use super::context::{Context, deadline};
use super::queue::Team;
use super::restore::{self, ATTEMPTS, writing};
use super::step::{Changes, Expected, Step, TeamRecord, Verdict};
use super::wanted::Wanted;
use super::{Keeper, KeeperTime};
use crate::ledger::Outage;
use crate::ledger::machine::{Loss, Revision};

/// Begins an epoch on the server that has the team's records now, unless somebody has, or something is missing: that is
/// seen to as after any loss.
pub(super) async fn take_over<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
) -> Result<(), Outage> {
    for _ in 0..ATTEMPTS {
        let now = context.time.now();
        let reading = Step::reading(now, Wanted::default(), Vec::new(), deadline(now, context.rules));
        let reply = context.keeper.step(&team.id, &reading).await?;
        context.time.learn(reply.at);
        let marks = reply.marks;
        restore::hear(context, team, &reading, reply).await?;
        let reign = context.keeper.reign(&team.id);
        let (known, record) = {
            let cache = team.cache();
            (cache.revision(), cache.team().clone())
        };
        let Some(revision) = known.filter(|_| record.reign != reign) else { return Ok(()) };
        if record.is_closed() {
            // What was restored may be missing again, and others have yet to hear of it.
            team.cache().remember();
            return restore::close(context, team, (known, record)).await;
        }
        let step = taking_over(context, (revision, record), (reign, marks));
        let reply = context.keeper.step(&team.id, &step).await?;
        context.time.learn(reply.at);
        if reply.verdict == Verdict::Done {
            tracing::info!(team = %team.id, "another server of the ledger's store has taken over a team");
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
    (reign, marks): (u64, u64),
) -> Step {
    let now = context.time.now();
    let epoch = u64::try_from(now).unwrap_or(1).max(revision.epoch + 1);
    let makes = Revision { epoch, number: revision.number + 1, name: context.keeper.name_step() };
    let loss = Loss::taken_over(revision, record.loss.as_ref(), now, marks);
    let taken = TeamRecord { loss: Some(loss), reign, ..record };
    let changes = Changes { team: Some(taken), ..Changes::default() };
    writing((Expected::Revision(revision), &TeamRecord::default()), makes, changes, (now, context.rules))
}
