//! Whether this replica should be given requests, and if not, why not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// Flags that the parts of the gateway set as they come up and go down. Clones are the same flags. At first nothing is ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    configured: AtomicBool,
    ledger_reached: AtomicBool,
    upstream_key_healthy: AtomicBool,
    draining: AtomicBool,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check is good.
    pub ready: bool,
    /// Each check: `ok`, or why it is not.
    pub checks: BTreeMap<&'static str, &'static str>,
}

impl Readiness {
    /// The configuration is loaded.
    pub fn configured(&self) {
        self.0.configured.store(true, Ordering::Release);
    }

    /// The ledger has answered once, or is not needed for what comes first. Later outages are refused call by call.
    pub fn ledger_reached(&self) {
        self.0.ledger_reached.store(true, Ordering::Release);
    }

    /// Whether at least one shared key can be used.
    pub fn upstream_key_healthy(&self, healthy: bool) {
        self.0.upstream_key_healthy.store(healthy, Ordering::Release);
    }

    /// The gateway is stopping. There is no way back.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// How it stands now.
    #[must_use]
    pub fn report(&self) -> Report {
        let flags = &self.0;
        let checks = [
            ("configuration", flags.configured.load(Ordering::Acquire), "it is not loaded yet"),
            ("ledger", flags.ledger_reached.load(Ordering::Acquire), "it has not answered yet"),
            ("upstream_key", flags.upstream_key_healthy.load(Ordering::Acquire), "no shared key can be used"),
            ("running", !flags.draining.load(Ordering::Acquire), "the gateway is stopping"),
        ];
        let ready = checks.iter().all(|(_, good, _)| *good);
        let checks = checks.into_iter().map(|(name, good, why)| (name, if good { "ok" } else { why })).collect();
        Report { ready, checks }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_ready_when_every_part_is_and_until_it_stops() {
        let readiness = Readiness::default();
        assert!(!readiness.report().ready);
        readiness.configured();
        readiness.upstream_key_healthy(true);
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.checks["ledger"], "it has not answered yet");
        assert_eq!(report.checks["configuration"], "ok");

        readiness.ledger_reached();
        assert!(readiness.report().ready);
        readiness.upstream_key_healthy(false);
        assert_eq!(readiness.report().checks["upstream_key"], "no shared key can be used");
        readiness.upstream_key_healthy(true);
        readiness.clone().drain();
        assert_eq!(readiness.report().checks["running"], "the gateway is stopping");
    }
}
