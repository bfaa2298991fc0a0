//! What a ledger reports to its observer: every reservation that a sweep ended, once, even when
//! answers are lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Crossing, Ledger, Observer, ReservationId, Swept, SweptCharge};
use moongate::store::{self, Topology};
use moongate::team::TeamId;

use super::{handle, observed, patient};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{MORNING, call, moment};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// Counts what was ended.
#[derive(Default)]
struct Ended {
    swept: Mutex<Vec<Swept>>,
    abandoned: Mutex<usize>,
}

impl store::Observer for Ended {
    fn operation(&self, _op: &'static str, _result: &'static str, _took: Duration) {}

    fn up(&self, _up: bool) {}
}

impl Observer for Ended {
    fn batch(&self, _size: usize) {}

    fn swept(&self, _team: &TeamId, swept: Swept, _charges: &[SweptCharge]) {
        self.swept.lock().unwrap().push(swept);
    }

    fn abandoned(&self, _team: &TeamId) {
        *self.abandoned.lock().unwrap() += 1;
    }

    fn crossed(&self, _team: &TeamId, _crossing: &Crossing) {}

    fn epoch_changed(&self, _team: &TeamId) {}
}

/// A server, a proxy before it, and a ledger that goes through the proxy.
struct World {
    server: RedisServer,
    proxy: Proxy,
    clock: Clock,
    ended: Arc<Ended>,
    ledger: Arc<dyn Ledger>,
}

impl World {
    async fn start() -> Self {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port()).await;
        let (clock, ended) = (Clock::moved(moment(MORNING)), Arc::new(Ended::default()));
        let url = format!("redis://127.0.0.1:{}", proxy.port());
        let settings = Self::settings(&server, &clock).at(Topology::Single { url });
        let ledger = observed(settings, ended.clone());
        Self { server, proxy, clock, ended, ledger }
    }

    fn settings(server: &RedisServer, clock: &Clock) -> Settings {
        Settings { reservation_ttl: TTL, ..patient(server) }.told_by(clock)
    }
}

#[tokio::test]
async fn a_sweep_is_reported_once_though_its_answer_was_lost() {
    let World { server, proxy, clock, ended, ledger } = World::start().await;
    let dead = handle(World::settings(&server, &clock));
    dead.admit(call().admission(ReservationId::new())).await.unwrap();
    dead.admit(call().waiting().admission(ReservationId::new())).await.unwrap();
    clock.set(clock.now() + 2 * TTL);
    proxy.set_once_sent("\"unknown\",[", Fault::CutBeforeAnswer);
    ledger.sweep(&call().team).await.unwrap_err();
    assert_eq!(*ended.swept.lock().unwrap(), [], "it is not known yet that it was done");
    proxy.set(Fault::None);
    wait_until("the ledger answers again", || async { ledger.sweep(&call().team).await.is_ok() })
        .await;
    let rows = ledger.rows(&call().team, 0, 9).await.unwrap();
    assert_eq!(rows.rows.len(), 2);
    assert_eq!(*ended.swept.lock().unwrap(), [Swept { released: 1, refused: 0, unknown: 1 }]);
}

#[tokio::test]
async fn an_admission_without_an_answer_is_reported_when_released() {
    let World { server, proxy, ended, ledger, .. } = World::start().await;
    let unheard = ReservationId::new();
    // What it needs to know of the team it knows then.
    ledger.admit(call().admission(ReservationId::new())).await.unwrap();
    proxy.set(Fault::HoldAnswers);
    {
        let mut admission = ledger.admit(call().admission(unheard));
        let direct = handle(patient(&server));
        let is_made = || async { matches!(direct.open(&call().team).await, Ok(2)) };
        tokio::select! {
            _ = &mut admission => panic!("its answer is held"),
            () = wait_until("it is made", is_made) => {}
        }
    }
    proxy.set(Fault::None);
    wait_until("it is released", || async { *ended.abandoned.lock().unwrap() == 1 }).await;
    assert_eq!(ledger.open(&call().team).await.unwrap(), 1);
}
