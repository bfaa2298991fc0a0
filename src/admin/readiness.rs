//! Whether this replica should be given requests, and if not, why not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::team::TeamId;

/// What is known of the parts of the gateway. Clones know the same. That there is one says that the configuration is loaded.
#[derive(Clone)]
pub struct Readiness(Arc<Parts>);

struct Parts {
    upstream_key_is_healthy: Box<dyn Fn() -> bool + Send + Sync>,
    closed_teams: Box<dyn Fn() -> Vec<TeamId> + Send + Sync>,
    ledger_answered: AtomicBool,
    ledger_is_new: AtomicBool,
    someone_can_be_let_in: AtomicBool,
    draining: AtomicBool,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check is good.
    pub ready: bool,
    /// Each check: `ok`, or why it is not.
    pub checks: BTreeMap<&'static str, &'static str>,
    /// The teams whose budgets are closed because the ledger's store has lost writes. Only their paid calls are refused, by
    /// every replica alike, so that this one stays ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed_teams: Vec<String>,
}

impl Readiness {
    /// A gateway with a configuration, whose ledger has not answered yet. The questions are asked for every probe: whether
    /// at least one shared key can be used, and which teams' budgets are closed.
    #[must_use]
    pub fn new(
        upstream_key_is_healthy: impl Fn() -> bool + Send + Sync + 'static,
        closed_teams: impl Fn() -> Vec<TeamId> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Parts {
            upstream_key_is_healthy: Box::new(upstream_key_is_healthy),
            closed_teams: Box::new(closed_teams),
            ledger_answered: AtomicBool::new(false),
            ledger_is_new: AtomicBool::new(false),
            someone_can_be_let_in: AtomicBool::new(false),
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

    /// There is a credential that can be judged: a replica that starts while every issuer is away does not take the place of
    /// one that has their keys. Later outages are refused token by token.
    pub fn someone_can_be_let_in(&self) {
        self.0.someone_can_be_let_in.store(true, Ordering::Release);
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
            ("identity", parts.someone_can_be_let_in.load(Ordering::Acquire), "no issuer's keys could be read yet"),
            ("upstream_key", (parts.upstream_key_is_healthy)(), "no shared key can be used"),
            ("running", !parts.draining.load(Ordering::Acquire), "the gateway is stopping"),
        ];
        let ready = checks.iter().all(|(_, good, _)| *good);
        let checks = checks.into_iter().map(|(name, good, why)| (name, if good { "ok" } else { why })).collect();
        let closed_teams = (parts.closed_teams)().iter().map(TeamId::to_string).collect();
        Report { ready, checks, closed_teams }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_ready_when_every_part_is_and_until_it_stops() {
        let key = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&key);
        let readiness = Readiness::new(move || asked.load(Ordering::Relaxed), Vec::new);
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.checks["ledger"], "it has not answered yet");
        assert_eq!(report.checks["configuration"], "ok");
        readiness.ledger_is_new();
        assert!(readiness.report().checks["ledger"].starts_with("it is new"));

        readiness.ledger_answered();
        assert!(!readiness.report().ready);
        assert_eq!(readiness.report().checks["identity"], "no issuer's keys could be read yet");
        readiness.someone_can_be_let_in();
        assert!(readiness.report().ready);
        key.store(false, Ordering::Relaxed);
        assert_eq!(readiness.report().checks["upstream_key"], "no shared key can be used");
        key.store(true, Ordering::Relaxed);
        readiness.clone().drain();
        assert_eq!(readiness.report().checks["running"], "the gateway is stopping");
    }
}
