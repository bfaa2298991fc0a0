//! The sweeper, once a process: visits all teams, ends what dead replicas left behind, even of
//! teams that are not configured any more, and reads every limit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::observe::Observer;
use crate::ledger::{Ledger, Level, Outage, Scope, SnapshotQuery, Swept};
use crate::team::{Team, TeamId};

/// Sweeps until stopped. A reload's teams are included from the next sweep on.
pub async fn run_sweeper(
    ledger: Arc<dyn Ledger>,
    observer: Arc<dyn Observer>,
    teams: impl Fn() -> Vec<Arc<Team>> + Send,
    every: Duration,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let teams = teams();
        let mut failures = FailuresInARow::default();
        for team in &teams {
            if !failures.note(&team.id, visit(&*ledger, &*observer, team).await) {
                break;
            }
        }
        if failures.are_few() {
            let known: HashSet<&TeamId> = teams.iter().map(|team| &team.id).collect();
            sweep_others(&*ledger, &known, &mut failures).await;
        }
    }
}

/// Sweeps teams that have left the configuration. Their records name the windows that count the
/// ends.
async fn sweep_others(
    ledger: &dyn Ledger,
    known: &HashSet<&TeamId>,
    failures: &mut FailuresInARow,
) {
    let others = match ledger.teams().await {
        Ok(teams) => teams.into_iter().filter(|team| !known.contains(team)),
        Err(outage) => {
            // An outage is reported elsewhere, at a limited rate.
            tracing::debug!(%outage, "the teams in the ledger could not be read");
            return;
        }
    };
    for team in others {
        let swept = async {
            // Asked first, because a team without open calls needs no sweep.
            if ledger.open(&team).await? > 0 { sweep(ledger, &team).await } else { Ok(()) }
        };
        if !failures.note(&team, swept.await) {
            return;
        }
    }
}

/// How many teams in a row have failed.
#[derive(Default)]
struct FailuresInARow(usize);

impl FailuresInARow {
    /// Notes the result for a team. `false`: the rest waits for the next sweep.
    fn note(&mut self, team: &TeamId, result: Result<(), Outage>) -> bool {
        match result {
            Ok(()) => self.0 = 0,
            // The store has lost writes, and every team must be visited so that this replica
            // restores what it knows.
            Err(Outage::Lost) => {
                tracing::debug!(
                    %team,
                    "a team's budgets are closed: its store was lost, or is new"
                );
            }
            Err(outage) => {
                tracing::debug!(%outage, %team, "a team's reservations could not be swept");
                self.0 += 1;
            }
        }
        self.are_few()
    }

    const fn are_few(&self) -> bool {
        self.0 < FAILURES_MAX
    }
}

/// How many teams in a row may fail before the sweep ends: one team's broken key must not delay the
/// others, and a store that is away must not be asked for each of a thousand teams.
const FAILURES_MAX: usize = 5;

async fn sweep(ledger: &dyn Ledger, team: &TeamId) -> Result<(), Outage> {
    let swept = ledger.sweep(team).await?;
    if swept != Swept::default() {
        let Swept { released, refused, unknown } = swept;
        tracing::warn!(
            %team,
            released,
            refused,
            unknown,
            "calls that nobody settled in time were settled: the replica that made them has \
             probably died"
        );
    }
    Ok(())
}

async fn visit(ledger: &dyn Ledger, observer: &dyn Observer, team: &Team) -> Result<(), Outage> {
    sweep(ledger, &team.id).await?;
    let levels = vec![Level { scope: Scope::Team, limits: Arc::clone(&team.limits) }];
    let query = SnapshotQuery {
        team: team.id.clone(),
        levels,
        time_zone: team.time_zone.clone(),
        reader: None,
    };
    let snapshot = ledger.snapshot(query).await?;
    observer.limit_statuses(&team.id, &snapshot.statuses);
    observer.reservations_open(&team.id, snapshot.open);
    Ok(())
}
