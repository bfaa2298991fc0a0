//! Carries a batch through: works it out and sends it, until it is written at the revision that it
//! was worked out from.

use std::sync::Arc;

use super::attempt::{Attempt, Carried};
use super::context::{Context, deadline};
use super::operation::{Answer, Operation};
use super::queue::{Batch, Team};
use super::work::Work;
use super::{Keeper, KeeperTime, restore};
use crate::ledger::{Outage, Settled, Verdict};

/// The most attempts for one batch. A refused attempt returns newer records. The other processes
/// keep writing meanwhile, so one of them soon stops being first.
const ATTEMPTS: usize = 512;

/// Carries a batch through and sends the answers, or the outage.
pub(in crate::ledger) async fn carry_through<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    batch: Batch,
) -> Result<(), Outage> {
    context.observer.batch(batch.len());
    match attempts(context, team, &batch).await {
        Ok(carried) => {
            carried.hand_out(context, team, batch);
            Ok(())
        }
        Err(outage) => {
            for operation in batch {
                // Whether it was reserved is unknown, and no caller will use it.
                if let Operation::Admit { admission, .. } = &operation {
                    context.abandoned.add(&team.id, admission.id);
                }
                operation.fail(outage.clone());
            }
            Err(outage)
        }
    }
}

impl Carried {
    fn hand_out<K, T>(self, context: &Context<'_, K, T>, team: &Arc<Team>, batch: Batch) {
        let Work { answers, swept, crossed, lost_rows, .. } = *self.work;
        if lost_rows {
            context.observer.epoch_changed(&team.id);
            tracing::error!(
                team = %team.id,
                "the store of the ledger has lost rows of a team; its budgets are not touched"
            );
        }
        context.report(&team.id, swept, &crossed);
        for (operation, answer) in batch.iter().zip(&answers) {
            if let (Operation::Admit { admission, .. }, Answer::Verdict(Verdict::Admitted { .. })) =
                (operation, answer)
            {
                team.cache().owns_admitted(admission.id);
            }
        }
        for (operation, answer) in batch.into_iter().zip(answers) {
            if let (Operation::Abandon { .. }, Answer::Settled(Settled::Now(_))) =
                (&operation, &answer)
            {
                context.observer.abandoned(&team.id);
            }
            operation.answer(answer, &team.id, context.abandoned, self.void.as_ref());
        }
    }
}

async fn attempts<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    batch: &Batch,
) -> Result<Carried, Outage> {
    let mut attempt = Attempt::new(batch);
    let sweeps = batch.iter().any(|operation| matches!(operation, Operation::Sweep { .. }));
    for _ in 0..ATTEMPTS {
        // The keeper's clock may have been set back since the last sweep.
        let latest = context.time.now().max(team.cache().team().ended_late_at);
        if attempt.opens_since.is_some_and(|since| latest >= deadline(since, context.rules)) {
            return Err(Outage::TimedOut);
        }
        // Rare work is boxed, here and in the attempt, so that the future of a batch stays small.
        if team.cache().memory.is_some() {
            Box::pin(restore::restore(context, team)).await?;
        }
        if attempt.fresh && team.cache().team().is_closed() {
            Box::pin(attempt.open(context, team)).await?;
        } else if sweeps && team.cache().team().is_unjudged() {
            Box::pin(restore::open(context, team, i64::MIN)).await?;
        }
        let (step, work) = attempt.prepare(context, team, batch);
        let (mut step, work) = match (step, work) {
            (None, Some(work)) => return Ok(Carried { work, void: None }),
            (Some(step), work) => (step, work),
            (None, None) => break,
        };
        if attempt.must_trust(team) {
            Box::pin(attempt.trust(context, team)).await?;
        }
        let reply = match context.keeper.step(&team.id, &step).await {
            Ok(reply) => reply,
            Err(outage) => {
                Attempt::doubt(team, &mut step, work);
                return Err(outage);
            }
        };
        context.time.learn(reply.at);
        if let Some(carried) = attempt.take(context, team, batch, (step, work), reply).await? {
            return Ok(carried);
        }
    }
    Err(Outage::Refused("the team's records change with every answer".to_owned()))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
