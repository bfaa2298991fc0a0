//! The round over all teams, once a process: ends what dead replicas left behind, and reads how every limit stands.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::observe::Observer;
use crate::ledger::{Inquiry, Ledger, Level, Outage, Scope, Swept};
use crate::team::Team;

/// Goes round until told to stop. Teams that a reload adds or takes away are noticed in the next round.
pub async fn patrol(
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
        let mut failed_in_a_row = 0;
        for team in teams() {
            match visit(&*ledger, &*observer, &team).await {
                Ok(()) => failed_in_a_row = 0,
                // The store answers, and every team must be asked for: what this replica knows is brought that way.
                Err(Outage::Lost) => {
                    tracing::debug!(team = %team.id, "a team's budgets are closed: its store was lost, or is new")
                }
                Err(outage) => {
                    tracing::debug!(%outage, team = %team.id, "a team's reservations could not be looked after");
                    failed_in_a_row += 1;
                }
            }
            if failed_in_a_row >= FAILURES_MAX {
                break;
            }
        }
    }
}

/// How many teams in a row may fail before the rest waits for the next round: one team's broken key must not keep the
/// others waiting, and a store that is away must not be asked for each of a thousand teams.
const FAILURES_MAX: usize = 5;

async fn visit(ledger: &dyn Ledger, observer: &dyn Observer, team: &Team) -> Result<(), Outage> {
    let swept = ledger.sweep(&team.id).await?;
    if swept != Swept::default() {
        let Swept { released, refused, unknown } = swept;
        tracing::warn!(team = %team.id, released, refused, unknown, "reservations were left behind");
    }
    let levels = vec![Level { scope: Scope::Team, limits: Arc::clone(&team.limits) }];
    let inquiry = Inquiry { team: team.id.clone(), levels, time_zone: team.time_zone.clone(), reader: None };
    let books = ledger.books(inquiry).await?;
    observer.standings(&team.id, &books.standings);
    observer.reservations_open(&team.id, books.open);
    Ok(())
}
