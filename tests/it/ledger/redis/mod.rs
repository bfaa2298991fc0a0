//! The ledger whose keeper is Redis: the whole suite.

mod abandoned;
mod clocks;
mod cluster_forks;
mod contention;
mod edge;
mod evicted;
mod faults;
mod for_ever;
mod forks;
mod late;
mod layout;
mod left_behind;
mod losses;
mod lost;
mod noticed;
mod observers;
mod parts;
mod reading;
mod replicas;
mod retention;
mod topologies;
mod upgrade;
mod upon;
mod whole;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings};
use moongate::ledger::{
    Crossing, Ledger, Observed, Observer, OnUnknown, Swept, SweptCharge, Unobserved,
};
use moongate::store::{self, Topology};
use moongate::team::TeamId;

use crate::ledger::conformance::{Bench, RETENTION, TTL, Watch};
use crate::support::redis::RedisServer;
use crate::support::stored::Reached as _;
use crate::support::stored::kept as stored;

/// How long the store may take in tests that wait for the end of that time: not so short that a
/// busy machine passes it when nothing is wrong.
const BRIEF: Duration = Duration::from_secs(2);

/// The defaults for one server, where it does not matter how fast the store is: many tests run at
/// once.
fn patient(server: &RedisServer) -> Settings {
    Settings::new(Topology::Single { url: server.url() }).within(Duration::from_secs(20))
}

fn handle(settings: Settings) -> Arc<dyn Ledger> {
    handle_with_clock(settings, Clock::system())
}

fn handle_with_clock(settings: Settings, clock: Clock) -> Arc<dyn Ledger> {
    Arc::new(RedisLedger::new(settings, clock, Arc::new(Unobserved)).unwrap())
}

fn observed(settings: Settings, observer: Arc<dyn Observer>) -> Arc<dyn Ledger> {
    let ledger = RedisLedger::new(settings, Clock::system(), Arc::clone(&observer)).unwrap();
    Arc::new(Observed::new(ledger, observer))
}

/// Remembers what was reported to an observer.
#[derive(Default)]
struct Seen {
    operations: Mutex<Vec<(&'static str, &'static str)>>,
    batches: Mutex<Vec<usize>>,
    ups: Mutex<Vec<bool>>,
    losses: Mutex<Vec<String>>,
}

impl Seen {
    fn operations(&self) -> Vec<(&'static str, &'static str)> {
        self.operations.lock().unwrap().clone()
    }

    fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }

    fn losses(&self) -> Vec<String> {
        self.losses.lock().unwrap().clone()
    }

    fn ups(&self) -> Vec<bool> {
        self.ups.lock().unwrap().clone()
    }
}

impl store::Observer for Seen {
    fn operation(&self, op: &'static str, result: &'static str, _took: Duration) {
        self.operations.lock().unwrap().push((op, result));
    }

    fn up(&self, up: bool) {
        self.ups.lock().unwrap().push(up);
    }
}

impl Observer for Seen {
    fn batch(&self, size: usize) {
        self.batches.lock().unwrap().push(size);
    }

    fn swept(&self, _team: &TeamId, _swept: Swept, _charges: &[SweptCharge]) {}

    fn crossed(&self, _team: &TeamId, _crossing: &Crossing) {}

    fn epoch_changed(&self, team: &TeamId) {
        self.losses.lock().unwrap().push(team.to_string());
    }
}

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
            reservation_ttl: TTL,
            retention: RETENTION,
            on_unknown: self.on_unknown,
            ..Settings::new(Topology::Single { url: self.server.url() })
        }
        .within(Duration::from_secs(20))
        .told_by(&self.clock);
        Arc::new(RedisLedger::new(settings, Clock::system(), self.watch.clone()).unwrap())
    }
}

crate::ledger::conformance::on_every_case!(KeptBench);

#[test]
fn random_lives_match_the_plain_model() {
    crate::ledger::model::random_lives_match_the_plain_model::<KeptBench>();
}
