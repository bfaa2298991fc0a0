//! The ledger of which Redis is only the keeper: the whole suite.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::{KeptLedger, Settings, StoreClock, Topology};
use moongate::ledger::{Ledger, OnUnknown};

use crate::ledger_conformance::{Bench, RETENTION, TTL, Watch};
use crate::support::redis::RedisServer;

/// A server of its own for each case; handles are processes, that know nothing of each other.
struct KeptBench {
    server: RedisServer,
    clock: Clock,
    on_unknown: OnUnknown,
    watch: Arc<Watch>,
}

impl Bench for KeptBench {
    async fn start(clock: Clock, on_unknown: OnUnknown, watch: Arc<Watch>) -> Self {
        Self { server: RedisServer::start().await, clock, on_unknown, watch }
    }

    async fn handle(&self) -> Arc<dyn Ledger> {
        let settings = Settings {
            deadline: Duration::from_secs(20),
            reservation_ttl: TTL,
            retention: RETENTION,
            on_unknown: self.on_unknown,
            clock: StoreClock::Fixed(self.clock.clone()),
            ..Settings::new(Topology::Single { url: self.server.url() })
        };
        Arc::new(KeptLedger::new(settings, Clock::system(), self.watch.clone()).unwrap())
    }
}

crate::ledger_conformance::on_every_case!(KeptBench);

#[test]
fn random_lives_match_the_plain_model() {
    crate::ledger_model::random_lives_match_the_plain_model::<KeptBench>();
}
