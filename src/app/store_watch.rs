//! Checks whether the ledger's store is fit, at start and regularly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::acquire::Served;
use crate::admin::Readiness;
use crate::identity::RegistrySync;
use crate::ledger::{Flaw, Ledger, Outage, Weight};
use crate::live::Live;

/// Pause before asking again a store that does not answer or is too new.
const SOON: Duration = Duration::from_millis(250);
/// Pause before checking again a store that did not answer: another server may have taken its
/// place.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(1);
/// Pause between checks otherwise.
const FROM_TIME_TO_TIME: Duration = Duration::from_secs(10);
/// Least time between two log lines about the same flaws.
const LOGGED_AGAIN: Duration = Duration::from_secs(600);

/// The watcher of the store.
pub(super) struct StoreWatch {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) registry_sync: Arc<RegistrySync>,
    pub(super) readiness: Readiness,
    pub(super) flaws: Live<Vec<Flaw>>,
    pub(super) served: Served,
    /// Receives the reason why this replica must not start.
    pub(super) unfit: oneshot::Sender<String>,
}

impl StoreWatch {
    /// Watches until stopped, or until the store is found unfit before the replica is ready.
    pub(super) async fn run(self, stop: CancellationToken) {
        // A receiver of `unfit` notices the end as well, since the sender is dropped.
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(self) {
        let Self { ledger, registry_sync, readiness, flaws, served, unfit } = self;
        let mut logged = Logged::default();
        if let Some(found) = first_answer(&*ledger, &readiness).await {
            flaws.replace(found.clone());
            logged.log(&found);
            if let Some(refusal) = found.iter().find(|flaw| flaw.weight == Weight::Refusal) {
                let _ =
                    unfit.send(format!("{refusal}; or allow it with ledger.redis.allow_eviction"));
                return;
            }
        }
        until_it_knows_all(&*ledger, &readiness).await;
        // Before it knows all suspensions the replica must not get requests.
        registry_sync.until_read().await;
        readiness.ledger_answered();
        let Served { team, operator, teams } = served;
        tracing::info!(team, operator, teams, "ready");
        loop {
            match ledger.inspect().await {
                Ok(found) => {
                    flaws.replace(found.clone());
                    logged.log(&found);
                    tokio::time::sleep(FROM_TIME_TO_TIME).await;
                }
                Err(_) => tokio::time::sleep(AFTER_AN_OUTAGE).await,
            }
        }
    }
}

/// Flaws of the store, once it answers. `None` when it answers but cannot be inspected: one failed
/// node of a cluster must not keep the replica from the others.
async fn first_answer(ledger: &dyn Ledger, readiness: &Readiness) -> Option<Vec<Flaw>> {
    while answers(ledger, readiness).await.is_none() {
        tokio::time::sleep(SOON).await;
    }
    ledger.inspect().await.ok()
}

/// Asks the ledger until other replicas have restored what they know.
async fn until_it_knows_all(ledger: &dyn Ledger, readiness: &Readiness) {
    while answers(ledger, readiness).await != Some(Knows::All) {
        tokio::time::sleep(SOON).await;
    }
}

/// What a store knows that answers.
#[derive(PartialEq, Eq)]
enum Knows {
    All,
    /// Other replicas may still restore what it lacks.
    NotAll,
}

async fn answers(ledger: &dyn Ledger, readiness: &Readiness) -> Option<Knows> {
    match ledger.probe().await {
        Ok(()) => Some(Knows::All),
        Err(Outage::Lost) => {
            readiness.ledger_is_new();
            Some(Knows::NotAll)
        }
        // Logged by the observer of all operations.
        Err(Outage::TimedOut | Outage::Unreachable(_) | Outage::Refused(_)) => None,
    }
}

/// The flaws that were last logged.
#[derive(Default)]
struct Logged {
    flaws: Vec<Flaw>,
    at: Option<Instant>,
}

impl Logged {
    /// Logs the flaws, if they are new or were last logged long ago.
    fn log(&mut self, found: &[Flaw]) {
        if !self.is_due(found, Instant::now()) {
            return;
        }
        for flaw in found {
            match flaw.weight {
                Weight::Warning => {
                    tracing::warn!(%flaw, "the ledger's store may lose what was spent")
                }
                Weight::Error | Weight::Refusal => {
                    tracing::error!(%flaw, "the ledger's store is not fit to keep what was spent")
                }
            }
        }
        if found.is_empty() {
            tracing::info!("the ledger's store is fit again");
        }
    }

    fn is_due(&mut self, found: &[Flaw], now: Instant) -> bool {
        let long_ago = self.at.is_some_and(|at| now.saturating_duration_since(at) >= LOGGED_AGAIN);
        let due = found != self.flaws || (long_ago && !found.is_empty());
        if due {
            (self.flaws, self.at) = (found.to_vec(), Some(now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_is_logged_when_it_appears_persists_and_ends() {
        let (mut logged, start) = (Logged::default(), Instant::now());
        let flaw = [Flaw { weight: Weight::Error, text: "it evicts".to_owned() }];
        assert!(!logged.is_due(&[], start), "a store that is fit is no news");
        assert!(logged.is_due(&flaw, start));
        let lines =
            (1..=180).filter(|n| logged.is_due(&flaw, start + FROM_TIME_TO_TIME * *n)).count();
        assert_eq!(lines, 3, "in half an hour");
        assert!(logged.is_due(&[], start));
        assert!(!logged.is_due(&[], start + 2 * LOGGED_AGAIN));
    }
}
