//! Reconciliation: the account's balance, read again and again, is held against what the ledger says was spent.
//!
//! Reading order: [`balance`] (asks the upstream), [`tally`] (what a reading means), and here the job. Every process
//! may do it: it changes nothing but which of its own keys rest. All keys are taken to be keys of one account. What is
//! counted begins with the process, and anew when the balance rises.

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

/// How often a key whose account is empty is looked at, whether its balance has returned.
const LOOK_AT_EMPTY: Duration = Duration::from_secs(10);
/// How long to wait before looking whether there is something to do, when there is not.
const IDLE: Duration = Duration::from_secs(10);
/// The most rows of a team that are read for one reading, and how many at a time.
const ROWS_MOST: usize = 10_000;
const ROWS_PAGE: usize = 500;

/// What reconciliation works with.
pub struct Reconcile<T> {
    /// Where calls go; its settings say whether, and how often.
    pub upstream: Live<Upstream>,
    /// What was spent.
    pub ledger: Arc<dyn Ledger>,
    /// The teams, as they are configured now.
    pub teams: T,
    /// Connections of its own.
    pub wire: UpstreamClient,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
}

/// What was spent so far, added up reading by reading: a team that comes or goes with a reload changes nothing.
#[derive(Default)]
struct Books {
    spending: Spending,
    teams: HashMap<TeamId, TeamBooks>,
}

struct TeamBooks {
    spent: u64,
    at: Timestamp,
}

impl<T: Fn() -> Vec<Arc<Team>> + Send> Reconcile<T> {
    /// Goes on until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let (mut books, mut tallies) = (Books::default(), HashMap::new());
        loop {
            let pause = self.look(&mut books, &mut tallies).await;
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Reads all balances once; says when to do so again.
    async fn look(&self, books: &mut Books, tallies: &mut HashMap<String, Tally>) -> Duration {
        let upstream = self.upstream.read();
        let Some(settings) = &upstream.reconcile else { return IDLE };
        let mut pause = settings.every;
        for key in upstream.keys.iter() {
            let now = self.clock.now();
            if !key.may_be_asked_for_its_balance(now) {
                continue;
            }
            match self.reading(books, &upstream, key, settings).await {
                Ok(reading) => {
                    self.note_balance(key, reading.balance);
                    let meaning = tallies.entry(key.name.to_string()).or_default().take(reading);
                    let drift = match meaning {
                        Meaning::Begins | Meaning::Rose { .. } => None,
                        Meaning::Drift { credits, .. } => Some(Drift(credits)),
                    };
                    key.note_balance(Credits::from_micros(reading.balance), drift, now);
                    self.tell(key, meaning, settings.drift_max);
                }
                Err(why) => {
                    tracing::warn!(key = &*key.name, why, "the account's balance could not be held against the ledger")
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
        books: &mut Books,
        upstream: &Upstream,
        key: &Key,
        settings: &Settings,
    ) -> Result<Reading, String> {
        let before = self.spending(books).await.map_err(|outage| outage.to_string())?;
        let balance = balance::balance(&self.wire, upstream, key, &settings.balance_pointer).await;
        let balance = balance.map_err(|unread| unread.to_string())?.micros();
        let after = self.spending(books).await.map_err(|outage| outage.to_string())?;
        Ok(Reading { balance, before, after })
    }

    fn note_balance(&self, key: &Key, balance: u64) {
        self.observer.balance(&key.name, Credits::from_micros(balance));
        if balance > 0 && key.has_credits_again() {
            tracing::info!(key = &*key.name, "the balance has returned: the shared key is used again");
            self.observer.key_healthy(&key.name, true);
        }
    }

    fn tell(&self, key: &Key, meaning: Meaning, drift_max: Credits) {
        match meaning {
            Meaning::Begins => self.observer.drift(&key.name, 0),
            Meaning::Rose { by } => {
                let by = Credits::from_micros(by);
                tracing::info!(key = &*key.name, %by, "the account's balance rose: counting begins anew");
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

    /// What all teams have spent, added to what they had before.
    async fn spending(&self, books: &mut Books) -> Result<Spending, Outage> {
        let mut reserved = 0;
        for team in (self.teams)() {
            reserved += self.add_team(books, &team).await?;
        }
        books.spending.reserved = reserved;
        Ok(books.spending)
    }

    /// Adds what one team has spent since it was last looked at. What it holds now.
    async fn add_team(&self, books: &mut Books, team: &Team) -> Result<u64, Outage> {
        let total = Limits::new([Limit::new(LimitKind::CreditsTotal, Credits::MAX.micros())]);
        let levels = vec![Level { scope: Scope::Team, limits: Arc::new(total) }];
        let inquiry = SnapshotQuery { team: team.id.clone(), levels, time_zone: team.time_zone.clone(), reader: None };
        let now = self.ledger.snapshot(inquiry).await?;
        let Some(total) = now.standings.first() else { return Ok(0) };
        let last = books.teams.insert(team.id.clone(), TeamBooks { spent: total.used, at: now.at });
        if let Some(last) = last {
            books.spending.spent += total.used.saturating_sub(last.spent);
            self.add_unknown(books, &team.id, (last.at, now.at)).await?;
        }
        Ok(total.reserved)
    }

    /// Adds up calls of unknown outcome that were settled after the one moment and not after the other.
    async fn add_unknown(
        &self,
        books: &mut Books,
        team: &TeamId,
        between: (Timestamp, Timestamp),
    ) -> Result<(), Outage> {
        for skip in (0..ROWS_MOST).step_by(ROWS_PAGE) {
            let page = self.ledger.rows(team, skip, ROWS_PAGE).await?.rows;
            let is_last = page.len() < ROWS_PAGE || page.last().is_some_and(|row| row.settled_at <= between.0);
            let unknown = page.into_iter().filter(|row| row.outcome == Outcome::Unknown);
            for row in unknown.filter(|row| between.0 < row.settled_at && row.settled_at <= between.1) {
                books.spending.unknown_charged += row.charged.micros();
                books.spending.unknown_not_charged += row.reserved.less(row.charged).micros();
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }
}
