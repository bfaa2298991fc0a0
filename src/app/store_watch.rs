//! Whether this replica may begin with the ledger's store, and whether the store stays fit: asked at the start and from
//! time to time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::acquire::Served;
use crate::admin::Readiness;
use crate::identity::RegistrySync;
use crate::ledger::{Flaw, Ledger, Outage, Weight};
use crate::live::Live;

/// How soon it is asked again while it does not answer, or is too new.
const SOON: Duration = Duration::from_millis(250);
/// How soon a store that is used is looked at again after it did not answer: it may come back as another one.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(1);
/// How often it is looked at otherwise.
const FROM_TIME_TO_TIME: Duration = Duration::from_secs(10);
/// How often it is said again what is wrong with it.
const SAID_AGAIN: Duration = Duration::from_secs(600);

/// Watches the store.
pub(super) struct StoreWatch {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) registrar: Arc<RegistrySync>,
    pub(super) readiness: Readiness,
    pub(super) flaws: Live<Vec<Flaw>>,
    pub(super) served: Served,
    /// Told why this replica must not begin.
    pub(super) unfit: oneshot::Sender<String>,
}

impl StoreWatch {
    /// Watches until told to stop, or until the store is found unfit before the replica has begun.
    pub(super) async fn run(self, stop: CancellationToken) {
        // Whoever waits for the verdict learns of the end as well.
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(self) {
        let Self { ledger, registrar, readiness, flaws, served, unfit } = self;
        let mut told = Told::default();
        if let Some(found) = first_answer(&*ledger, &readiness).await {
            flaws.replace(found.clone());
            told.tell(&found);
            if let Some(refusal) = found.iter().find(|flaw| flaw.weight == Weight::Refusal) {
                let _ = unfit.send(format!("{refusal}; or allow it with ledger.redis.allow_eviction"));
                return;
            }
        }
        until_it_knows_all(&*ledger, &readiness).await;
        // No replica is given requests before it knows who is suspended.
        registrar.until_read().await;
        readiness.ledger_answered();
        let Served { team, operator, teams } = served;
        tracing::info!(team, operator, teams, "ready");
        loop {
            match ledger.inspect().await {
                Ok(found) => {
                    flaws.replace(found.clone());
                    told.tell(&found);
                    tokio::time::sleep(FROM_TIME_TO_TIME).await;
                }
                Err(_) => tokio::time::sleep(AFTER_AN_OUTAGE).await,
            }
        }
    }
}

/// What is wrong with the store, once it answers; `None` when it answers, and only does not say that: one node of a
/// cluster that is away keeps no replica from the others.
async fn first_answer(ledger: &dyn Ledger, readiness: &Readiness) -> Option<Vec<Flaw>> {
    while answers(ledger, readiness).await.is_none() {
        tokio::time::sleep(SOON).await;
    }
    ledger.inspect().await.ok()
}

/// Asks the ledger until it has what other replicas know.
async fn until_it_knows_all(ledger: &dyn Ledger, readiness: &Readiness) {
    while answers(ledger, readiness).await != Some(Knows::All) {
        tokio::time::sleep(SOON).await;
    }
}

/// What a store knows that answers.
#[derive(PartialEq, Eq)]
enum Knows {
    All,
    /// Other replicas may still bring what it lacks.
    NotAll,
}

async fn answers(ledger: &dyn Ledger, readiness: &Readiness) -> Option<Knows> {
    match ledger.probe().await {
        Ok(()) => Some(Knows::All),
        Err(Outage::Lost) => {
            readiness.ledger_is_new();
            Some(Knows::NotAll)
        }
        // The log has it from whoever watches all operations.
        Err(Outage::TimedOut | Outage::Unreachable(_) | Outage::Refused(_)) => None,
    }
}

/// What was said of the store.
#[derive(Default)]
struct Told {
    flaws: Vec<Flaw>,
    at: Option<Instant>,
}

impl Told {
    /// Says what is wrong, when that is news, or was last said long ago.
    fn tell(&mut self, found: &[Flaw]) {
        if !self.is_due(found, Instant::now()) {
            return;
        }
        for flaw in found {
            match flaw.weight {
                Weight::Warning => tracing::warn!(%flaw, "the ledger's store may lose what was spent"),
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
        let long_ago = self.at.is_some_and(|at| now.saturating_duration_since(at) >= SAID_AGAIN);
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
    fn a_flaw_is_told_when_it_appears_now_and_then_while_it_stays_and_when_it_is_gone() {
        let (mut told, start) = (Told::default(), Instant::now());
        let flaw = [Flaw { weight: Weight::Error, text: "it evicts".to_owned() }];
        assert!(!told.is_due(&[], start), "a store that is fit is no news");
        assert!(told.is_due(&flaw, start));
        let lines = (1..=180).filter(|n| told.is_due(&flaw, start + FROM_TIME_TO_TIME * *n)).count();
        assert_eq!(lines, 3, "in half an hour");
        assert!(told.is_due(&[], start));
        assert!(!told.is_due(&[], start + 2 * SAID_AGAIN));
    }
}
