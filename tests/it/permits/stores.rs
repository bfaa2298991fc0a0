//! The two stores under test: a server of its own for each case, and a file of its own.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::embedded::{self, EmbeddedLedger};
use moongate::ledger::{OnUnknown, Unobserved};
use moongate::permits::{Permits, RedisPermits};
use moongate::store::{Settings, Topology};
use tempfile::TempDir;

use super::harness::Bench;
use crate::ledger::conformance::{RETENTION, TTL};
use crate::support::redis::RedisServer;
use crate::support::stored::Reached as _;

struct InRedis {
    server: RedisServer,
    clock: Clock,
}

impl Bench for InRedis {
    async fn start(clock: Clock) -> Self {
        Self { server: RedisServer::brand_new(), clock }
    }

    fn handle(&self) -> Arc<dyn Permits> {
        let settings = Settings::new(Topology::Single { url: self.server.url() })
            .told_by(&self.clock)
            .within(Duration::from_secs(10));
        Arc::new(RedisPermits::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap())
    }
}

struct InAFile {
    ledger: EmbeddedLedger,
    _folder: TempDir,
}

impl Bench for InAFile {
    async fn start(clock: Clock) -> Self {
        let folder = TempDir::new().unwrap();
        Self { ledger: open(&folder, clock), _folder: folder }
    }

    fn handle(&self) -> Arc<dyn Permits> {
        Arc::new(self.ledger.clone())
    }
}

fn open(folder: &TempDir, clock: Clock) -> EmbeddedLedger {
    let path = folder.path().join("ledger.db");
    let settings = embedded::Settings {
        path,
        reservation_ttl: TTL,
        retention: RETENTION,
        on_unknown: OnUnknown::Charge,
        clock,
    };
    EmbeddedLedger::open(settings, Arc::new(Unobserved)).unwrap()
}

mod in_redis {
    use super::super::on_every_case;
    use super::InRedis;

    on_every_case!(InRedis);
}

mod in_a_file {
    use super::super::on_every_case;
    use super::InAFile;

    on_every_case!(InAFile);
}

mod survival {
    use moongate::permits::QueuePosition;

    use super::super::harness::{NOON, Replica, call, moment, per_day};
    use super::*;

    #[tokio::test]
    async fn a_file_opened_again_has_not_forgotten_what_was_taken() {
        let (folder, clock) = (TempDir::new().unwrap(), Clock::moved(moment(NOON)));
        for allowed in [true, false] {
            let ledger = open(&folder, clock.clone());
            let replica = Replica::over(Arc::new(ledger), clock.clone()).limit(per_day(1));
            let position = replica.ask(&call("design")).await;
            assert_eq!(matches!(position, QueuePosition::Granted { .. }), allowed, "{position:?}");
        }
    }

    #[tokio::test]
    async fn every_redis_key_expires_and_shares_no_teams_slot() {
        let clock = Clock::moved(moment(NOON));
        let bench = InRedis::start(clock.clone()).await;
        let replica = Replica::over(bench.handle(), clock).limit(per_day(1));
        replica.ask(&call("design")).await;
        replica.ask(&call("design")).await;
        let keys: Vec<String> = bench.server.ask(&["KEYS", "*"]).await.unwrap();
        assert_eq!(keys.len(), 5, "{keys:?}");
        for key in keys {
            assert!(key.starts_with("mg1:{!shared}:"), "{key}");
            assert!(bench.server.ask::<i64>(&["TTL", &key]).await.unwrap() > 0, "{key}");
        }
    }
}
