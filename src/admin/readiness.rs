//! Readiness of this replica, with the state of what it depends on.
//!
//! Only the replica itself counts for readiness. A failure elsewhere (a shared key, an issuer, a
//! budget) affects all replicas: if it made them unready, nothing would be left to report it, and
//! the teams would lose their own views too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::refusal::Refusal;

/// Readiness and state of dependencies, made once the configuration is loaded. Clones share it.
#[derive(Clone)]
pub struct Readiness(Arc<Parts>);

struct Parts {
    details: Box<dyn Fn() -> Details + Send + Sync>,
    ledger_answered: AtomicBool,
    ledger_is_new: AtomicBool,
    draining: AtomicBool,
}

/// Body of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check passes.
    pub ready: bool,
    /// Each check: `ok`, or why not.
    pub checks: BTreeMap<&'static str, &'static str>,
    /// State of what it depends on.
    #[serde(flatten)]
    pub details: Details,
}

/// State of what the replica depends on. Does not affect readiness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Details {
    /// The upstream: `ok`, or that the breaker is open.
    pub upstream: &'static str,
    /// The shared keys: `ok`, or why one is not used for now.
    pub upstream_keys: BTreeMap<String, &'static str>,
    /// The issuers, if any: `ok`, or why their tokens cannot be verified.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub issuers: BTreeMap<String, &'static str>,
    /// Flaws in the setup of the ledger's store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ledger_store: Vec<String>,
    /// Teams with closed budgets because the ledger's store has lost writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed_teams: Vec<String>,
}

impl Readiness {
    /// A configured gateway whose ledger has not answered yet. `details` is called for every probe.
    #[must_use]
    pub fn new(details: impl Fn() -> Details + Send + Sync + 'static) -> Self {
        Self(Arc::new(Parts {
            details: Box::new(details),
            ledger_answered: AtomicBool::new(false),
            ledger_is_new: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }))
    }

    /// Notes that the ledger has answered once, or is not needed yet. Later outages are refused
    /// call by call.
    pub fn ledger_answered(&self) {
        self.0.ledger_answered.store(true, Ordering::Release);
    }

    /// Notes that the ledger answers but its store is new: replicas that knew the old one must
    /// restore first.
    pub fn ledger_is_new(&self) {
        self.0.ledger_is_new.store(true, Ordering::Release);
    }

    /// Notes that the gateway is stopping, which is final.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Checks that calls should be sent to this replica.
    ///
    /// # Errors
    /// Why not: `draining` or `ledger_unavailable`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.0.draining.load(Ordering::Acquire) {
            return Err(Refusal::Draining);
        }
        if !self.0.ledger_answered.load(Ordering::Acquire) {
            return Err(Refusal::LedgerUnavailable);
        }
        Ok(())
    }

    /// The current state.
    #[must_use]
    pub fn report(&self) -> Report {
        let parts = &self.0;
        let why_no_ledger = match parts.ledger_is_new.load(Ordering::Acquire) {
            true => "it is new, or was restarted: other replicas may still bring what it lacks",
            false => "it has not answered yet",
        };
        let checks = [
            ("configuration", true, "it is not loaded yet"),
            ("ledger", parts.ledger_answered.load(Ordering::Acquire), why_no_ledger),
            ("running", !parts.draining.load(Ordering::Acquire), "the gateway is stopping"),
        ];
        let ready = checks.iter().all(|(_, good, _)| *good);
        let checks = checks
            .into_iter()
            .map(|(name, good, why)| (name, if good { "ok" } else { why }))
            .collect();
        Report { ready, checks, details: (parts.details)() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_ready_while_it_can_work() {
        let readiness = Readiness::new(Details::default);
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.checks["ledger"], "it has not answered yet");
        assert_eq!(report.checks["configuration"], "ok");
        readiness.ledger_is_new();
        assert!(readiness.report().checks["ledger"].starts_with("it is new"));
        assert_eq!(readiness.check(), Err(Refusal::LedgerUnavailable));
        readiness.ledger_answered();
        assert!(readiness.report().ready);
        assert_eq!(readiness.check(), Ok(()));
        readiness.clone().drain();
        assert_eq!(readiness.check(), Err(Refusal::Draining));
        assert_eq!(readiness.report().checks["running"], "the gateway is stopping");
    }

    #[test]
    fn faults_elsewhere_are_reported_without_making_a_replica_unready() {
        let readiness = Readiness::new(|| Details {
            upstream: "breaker_open",
            upstream_keys: [("primary".to_owned(), "the upstream rejects it")].into(),
            issuers: [("https://sso.example.com".to_owned(), "none of its keys could be read")]
                .into(),
            ledger_store: vec!["it evicts".to_owned()],
            closed_teams: vec!["design".to_owned()],
        });
        readiness.ledger_answered();
        let report = serde_json::to_value(readiness.report()).unwrap();
        assert_eq!(
            report,
            serde_json::json!({
                "ready": true,
                "checks": { "configuration": "ok", "ledger": "ok", "running": "ok" },
                "upstream": "breaker_open",
                "upstream_keys": { "primary": "the upstream rejects it" },
                "issuers": { "https://sso.example.com": "none of its keys could be read" },
                "ledger_store": ["it evicts"],
                "closed_teams": ["design"],
            })
        );
    }
}
