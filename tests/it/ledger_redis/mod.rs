//! The ledger in Redis: the whole suite, and what only a store across a network can get wrong.

use std::sync::Arc;

use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings, StoreClock, Topology};
use moongate::ledger::{Ledger, OnUnknown, Unobserved};

use crate::ledger_conformance::{Bench, RETENTION, TTL};
use crate::support::redis::RedisServer;

/// A server of its own for each case.
struct RedisBench {
    server: RedisServer,
    settings: Settings,
}

impl Bench for RedisBench {
    async fn start(clock: Clock, on_unknown: OnUnknown) -> Self {
        let server = RedisServer::start().await;
        let settings = Settings {
            reservation_ttl: TTL,
            retention: RETENTION,
            on_unknown,
            clock: StoreClock::Fixed(clock),
            // Cases run many at once; how fast the store is, is not what they test.
            deadline: std::time::Duration::from_secs(10),
            ..Settings::new(Topology::Single { url: server.url() })
        };
        Self { server, settings }
    }

    async fn handle(&self) -> Arc<dyn Ledger> {
        assert!(self.server.port() > 0);
        Arc::new(RedisLedger::new(self.settings.clone(), Clock::system(), Arc::new(Unobserved)).unwrap())
    }
}

mod suite {
    use super::RedisBench;

    crate::ledger_conformance::on_every_case!(RedisBench);

    #[test]
    fn random_lives_match_the_plain_model() {
        crate::ledger_model::random_lives_match_the_plain_model::<RedisBench>();
    }
}
