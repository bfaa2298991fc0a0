//! The round over all teams, once a process: ends what dead replicas left behind, also of teams that are in no
//! configuration any more, and reads how every limit stands.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::observe::Observer;
use crate::ledger::{Ledger, Level, Outage, Scope, SnapshotQuery, Swept};
use crate::team::{Team, TeamId};

/// Goes round until told to stop. Teams that a reload adds or takes away are noticed in the next round.
pub async fn run_sweeper(
    ledger: Arc<dyn Ledger>,
    observer: Arc<dyn Observer>,
    teams: impl Fn() -> Vec<Arc<Team>> + Send,
    every: Duration,
    stop: CancellationToken,
) {
    let mut round = tokio::time::interval(every);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = round.tick() => {}
        }
        let teams = teams();
        let mut patience = Patience::default();
        for team in &teams {
            if !patience.outlasts(&team.id, visit(&*ledger, &*observer, team).await) {
                break;
            }
        }
        if patience.is_left() {
            let known: HashSet<&TeamId> = teams.iter().map(|team| &team.id).collect();
            look_after_others(&*ledger, &known, &mut patience).await;
        }
    }
}

/// What teams that have left the configuration left behind. Their records say in which windows it ends.
async fn look_after_others(ledger: &dyn Ledger, known: &HashSet<&TeamId>, patience: &mut Patience) {
    let others = match ledger.teams().await {
        Ok(teams) => teams.into_iter().filter(|team| !known.contains(team)),
        Err(outage) => {
            // Whether the store answers is told elsewhere, once in a while.
            tracing::debug!(%outage, "it could not be read which teams the ledger has");
            return;
        }
    };
    for team in others {
        let swept = async {
            // Asked first: what has nothing open is only history.
            if ledger.open(&team).await? > 0 { sweep(ledger, &team).await } else { Ok(()) }
        };
        if !patience.outlasts(&team, swept.await) {
            return;
        }
    }
}

/// How many teams in a row have failed.
#[derive(Default)]
struct Patience(usize);

impl Patience {
    /// Notes how a team was looked after. `false`: the rest waits for the next round.
    fn outlasts(&mut self, team: &TeamId, result: Result<(), Outage>) -> bool {
        match result {
            Ok(()) => self.0 = 0,
            // The store answers, and every team must be asked for: what this replica knows is brought that way.
            Err(Outage::Lost) => {
                tracing::debug!(%team, "a team's budgets are closed: its store was lost, or is new");
            }
            Err(outage) => {
                tracing::debug!(%outage, %team, "a team's reservations could not be looked after");
                self.0 += 1;
            }
        }
        self.is_left()
    }

    const fn is_left(&self) -> bool {
        self.0 < FAILURES_MAX
    }
}

/// How many teams in a row may fail before the rest waits for the next round: one team's broken key must not keep the
/// others waiting, and a store that is away must not be asked for each of a thousand teams.
const FAILURES_MAX: usize = 5;

async fn sweep(ledger: &dyn Ledger, team: &TeamId) -> Result<(), Outage> {
    let swept = ledger.sweep(team).await?;
    if swept != Swept::default() {
        let Swept { released, refused, unknown } = swept;
        tracing::warn!(%team, released, refused, unknown, "calls that nobody settled in time were settled: the replica that made them has probably died");
    }
    Ok(())
}

async fn visit(ledger: &dyn Ledger, observer: &dyn Observer, team: &Team) -> Result<(), Outage> {
    sweep(ledger, &team.id).await?;
    let levels = vec![Level { scope: Scope::Team, limits: Arc::clone(&team.limits) }];
    let inquiry = SnapshotQuery { team: team.id.clone(), levels, time_zone: team.time_zone.clone(), reader: None };
    let books = ledger.snapshot(inquiry).await?;
    observer.standings(&team.id, &books.standings);
    observer.reservations_open(&team.id, books.open);
    Ok(())
}
