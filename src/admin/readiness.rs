//! Whether this replica should be given requests, and what it knows of the parts it works with.
//!
//! Ready is what this replica can do itself. What is out of order elsewhere (a shared key, an issuer, a budget) is the
//! same for every replica: were they unready for it, nobody would be left to say so, and the teams would lose their own
//! views too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// What is known of the parts of the gateway. Clones know the same. That there is one says that the configuration is
/// loaded.
#[derive(Clone)]
pub struct Readiness(Arc<Parts>);

struct Parts {
    details: Box<dyn Fn() -> Details + Send + Sync>,
    ledger_answered: AtomicBool,
    ledger_is_new: AtomicBool,
    draining: AtomicBool,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check is good.
    pub ready: bool,
    /// Each check: `ok`, or why it is not.
    pub checks: BTreeMap<&'static str, &'static str>,
    /// What it works with.
    #[serde(flatten)]
    pub details: Details,
}

/// How the parts are that the replica works with. None of them makes it unready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Details {
    /// The upstream: `ok`, or that the breaker refuses calls to it.
    pub upstream: &'static str,
    /// The shared keys: `ok`, or why one is left alone for now.
    pub upstream_keys: BTreeMap<String, &'static str>,
    /// The issuers, where there are any: `ok`, or why none of their tokens can be judged.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub issuers: BTreeMap<String, &'static str>,
    /// What is wrong with the ledger's store although it answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ledger_store: Vec<String>,
    /// The teams whose budgets are closed because the ledger's store has lost writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed_teams: Vec<String>,
}

impl Readiness {
    /// A gateway with a configuration, whose ledger has not answered yet. The details are asked for at every probe.
    #[must_use]
    pub fn new(details: impl Fn() -> Details + Send + Sync + 'static) -> Self {
        Self(Arc::new(Parts {
            details: Box::new(details),
            ledger_answered: AtomicBool::new(false),
            ledger_is_new: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }))
    }

    /// The ledger has answered once, or is not needed for what comes first. Later outages are refused call by call.
    pub fn ledger_answered(&self) {
        self.0.ledger_answered.store(true, Ordering::Release);
    }

    /// The ledger answers, but its store is new to everyone: replicas that were there before come first.
    pub fn ledger_is_new(&self) {
        self.0.ledger_is_new.store(true, Ordering::Release);
    }

    /// The gateway is stopping. There is no way back.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// How it stands now.
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
        let checks = checks.into_iter().map(|(name, good, why)| (name, if good { "ok" } else { why })).collect();
        Report { ready, checks, details: (parts.details)() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_ready_when_it_can_work_and_until_it_stops() {
        let readiness = Readiness::new(Details::default);
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.checks["ledger"], "it has not answered yet");
        assert_eq!(report.checks["configuration"], "ok");
        readiness.ledger_is_new();
        assert!(readiness.report().checks["ledger"].starts_with("it is new"));
        readiness.ledger_answered();
        assert!(readiness.report().ready);
        readiness.clone().drain();
        assert_eq!(readiness.report().checks["running"], "the gateway is stopping");
    }

    #[test]
    fn what_is_out_of_order_elsewhere_is_told_and_changes_nothing() {
        let readiness = Readiness::new(|| Details {
            upstream: "breaker_open",
            upstream_keys: [("primary".to_owned(), "the upstream rejects it")].into(),
            issuers: [("https://sso.example.com".to_owned(), "none of its keys could be read")].into(),
            ledger_store: vec!["it evicts".to_owned()],
            closed_teams: vec!["design".to_owned()],
        });
        readiness.ledger_answered();
        let told = serde_json::to_value(readiness.report()).unwrap();
        assert_eq!(
            told,
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
