//! Reconciliation: regularly compares the account's balance with the ledger.
//!
//! Reading order: `balance` (reads it), `tally` (interprets it), and here the job. Every
//! process may run it: it changes only the cooldowns of its own keys. All keys are assumed to
//! belong to one account. Counting starts with the process, and again whenever the balance rises.

mod balance;
pub mod settings;
mod tally;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use settings::Settings;

use self::tally::{Meaning, Reading, Spending, Tally};
use super::balance::Drift;
use super::keys::Key;
use super::{Observer, Upstream, UpstreamClient};
use crate::clock::Clock;
use crate::credits::Credits;
use crate::ledger::{Ledger, Level, Outage, Outcome, Scope, SnapshotQuery};
use crate::live::Live;
use crate::team::{Limit, LimitKind, Limits, Team, TeamId};

/// How often the balance of an empty account is read, to notice a top-up.
const LOOK_AT_EMPTY: Duration = Duration::from_secs(10);
/// Pause before checking again whether there is anything to do.
const IDLE: Duration = Duration::from_secs(10);
/// Most rows of a team for one reading, and how many are read at a time.
const ROWS_MAX: usize = 10_000;
const ROWS_PAGE: usize = 500;

/// The reconciliation job.
pub struct Reconcile<T> {
    /// The upstream, whose settings say whether and how often to reconcile.
    pub upstream: Live<Upstream>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The teams as currently configured.
    pub teams: T,
    /// Connections of its own.
    pub client: UpstreamClient,
    /// Where results are reported.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
}

/// Spending so far, added up reading by reading, so that teams that come and go with a reload
/// change nothing.
#[derive(Default)]
struct Totals {
    spending: Spending,
    teams: HashMap<TeamId, TeamTotals>,
}

struct TeamTotals {
    spent: u64,
    at: Timestamp,
}

impl<T: Fn() -> Vec<Arc<Team>> + Send> Reconcile<T> {
    /// Runs until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let (mut totals, mut tallies) = (Totals::default(), HashMap::new());
        loop {
            let pause = self.look(&mut totals, &mut tallies).await;
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Reads all balances once; returns when to do so again.
    async fn look(&self, totals: &mut Totals, tallies: &mut HashMap<String, Tally>) -> Duration {
        let upstream = self.upstream.read();
        let Some(settings) = &upstream.reconcile else { return IDLE };
        let mut pause = settings.every;
        for key in upstream.keys.iter() {
            let now = self.clock.now();
            if !key.may_be_asked_for_its_balance(now) {
                continue;
            }
            match self.reading(totals, &upstream, key, settings).await {
                Ok(reading) => {
                    self.note_balance(key, reading.balance);
                    let meaning = tallies.entry(key.name.to_string()).or_default().take(reading);
                    let drift = match meaning {
                        Meaning::Begins | Meaning::Rose { .. } => None,
                        Meaning::Drift { credits, .. } => Some(Drift(credits)),
                    };
                    key.note_balance(Credits::from_micros(reading.balance), drift, now);
                    self.report(key, meaning, settings.drift_max);
                }
                Err(why) => {
                    tracing::warn!(
                        key = &*key.name,
                        why,
                        "the account's balance could not be compared with the ledger"
                    )
                }
            }
            if key.is_empty(self.clock.now()) {
                pause = pause.min(LOOK_AT_EMPTY);
            }
        }
        pause
    }

    async fn reading(
        &self,
        totals: &mut Totals,
        upstream: &Upstream,
        key: &Key,
        settings: &Settings,
    ) -> Result<Reading, String> {
        let before = self.spending(totals).await.map_err(|outage| outage.to_string())?;
        let balance =
            balance::balance(&self.client, upstream, key, &settings.balance_pointer).await;
        let balance = balance.map_err(|unread| unread.to_string())?.micros();
        let after = self.spending(totals).await.map_err(|outage| outage.to_string())?;
        Ok(Reading { balance, before, after })
    }

    fn note_balance(&self, key: &Key, balance: u64) {
        self.observer.balance(&key.name, Credits::from_micros(balance));
        if balance > 0 && key.has_credits_again() {
            tracing::info!(
                key = &*key.name,
                "the balance has returned: the shared key is used again"
            );
            self.observer.key_healthy(&key.name, true);
        }
    }

    fn report(&self, key: &Key, meaning: Meaning, drift_max: Credits) {
        match meaning {
            Meaning::Begins => self.observer.drift(&key.name, 0),
            Meaning::Rose { by } => {
                let by = Credits::from_micros(by);
                tracing::info!(
                    key = &*key.name,
                    %by,
                    "the account's balance rose: counting begins anew"
                );
                self.observer.drift(&key.name, 0);
            }
            Meaning::Drift { credits, unexplained } => {
                self.observer.drift(&key.name, credits);
                if unexplained.unsigned_abs() > drift_max.micros() {
                    let (drift, unexplained) = (Drift(credits), Drift(unexplained));
                    tracing::warn!(
                        key = &*key.name,
                        %drift,
                        %unexplained,
                        "the account's balance drifts from the ledger"
                    );
                }
            }
        }
    }

    /// Adds what all teams have spent since the last reading, and returns the totals.
    async fn spending(&self, totals: &mut Totals) -> Result<Spending, Outage> {
        let mut reserved = 0;
        for team in (self.teams)() {
            reserved += self.add_team(totals, &team).await?;
        }
        totals.spending.reserved = reserved;
        Ok(totals.spending)
    }

    /// Adds what one team has spent since the last reading. Returns what it has reserved now.
    async fn add_team(&self, totals: &mut Totals, team: &Team) -> Result<u64, Outage> {
        let total = Limits::new([Limit::new(LimitKind::CreditsTotal, Credits::MAX.micros())]);
        let levels = vec![Level { scope: Scope::Team, limits: Arc::new(total) }];
        let query = SnapshotQuery {
            team: team.id.clone(),
            levels,
            time_zone: team.time_zone.clone(),
            reader: None,
        };
        let now = self.ledger.snapshot(query).await?;
        let Some(total) = now.statuses.first() else { return Ok(0) };
        let last =
            totals.teams.insert(team.id.clone(), TeamTotals { spent: total.used, at: now.at });
        if let Some(last) = last {
            totals.spending.spent += total.used.saturating_sub(last.spent);
            self.add_unknown(totals, &team.id, (last.at, now.at)).await?;
        }
        Ok(total.reserved)
    }

    /// Adds calls of unknown outcome that were settled between the two moments.
    async fn add_unknown(
        &self,
        totals: &mut Totals,
        team: &TeamId,
        between: (Timestamp, Timestamp),
    ) -> Result<(), Outage> {
        for skip in (0..ROWS_MAX).step_by(ROWS_PAGE) {
            let page = self.ledger.rows(team, skip, ROWS_PAGE).await?.rows;
            let is_last = page.len() < ROWS_PAGE
                || page.last().is_some_and(|row| row.settled_at <= between.0);
            let unknown = page.into_iter().filter(|row| row.outcome == Outcome::Unknown);
            for row in
                unknown.filter(|row| between.0 < row.settled_at && row.settled_at <= between.1)
            {
                totals.spending.unknown_charged += row.charged.micros();
                totals.spending.unknown_not_charged += row.reserved.less(row.charged).micros();
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }
}
