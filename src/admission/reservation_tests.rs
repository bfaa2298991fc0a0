//! A reservation is settled, or hands its end over, exactly once.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::tz::TimeZone;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::admission::build_admission;
use crate::admission::observe::{self, Observer};
use crate::admission::reservation_manager::{ManagerQueues, Settings, WAITING_MAX};
use crate::clock::Clock;
use crate::http::Transport;
use crate::identity::Principal;
use crate::ledger::embedded::{self, EmbeddedLedger};
use crate::ledger::redis::{self, RedisLedger};
use crate::ledger::{Ledger, LimitStatus, ReservationId, Retention, Unobserved, Verdict};
use crate::live::Live;
use crate::model::ModelId;
use crate::pricing::{Price, PriceTable};
use crate::request::{Buffer, RequestId, RequestLog, Shares};
use crate::store::Topology;
use crate::team::{Credential, KeyId, ModelRules, State, Team, TeamId, UserId};

const PRICE: Credits = Credits::from_micros(25_000);
const TTL: Duration = Duration::from_secs(30);

/// What was reported of settlements.
#[derive(Default)]
struct Reported(Mutex<Vec<(observe::Result, Credits)>>);

impl Observer for Reported {
    fn settled(
        &self,
        _: &TeamId,
        _: &str,
        result: observe::Result,
        charged: Credits,
        _: Delivered,
    ) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((result, charged));
    }

    fn limit_statuses(&self, _: &TeamId, _: &[LimitStatus]) {}

    fn shadow_refused(&self, _: &TeamId, _: &LimitStatus) {}

    fn reservations_open(&self, _: &TeamId, _: u64) {}
}

/// One worker's reservations, over a ledger.
struct Worker {
    manager: Arc<ReservationManager>,
    queues: ManagerQueues,
    reported: Arc<Reported>,
}

impl Worker {
    fn over(ledger: Arc<dyn Ledger>) -> Self {
        let reported = Arc::new(Reported::default());
        let observer = Arc::clone(&reported) as Arc<dyn Observer>;
        let settings = Settings { on_unknown: OnUnknown::Charge, reservation_ttl: TTL };
        let (manager, queues) =
            ReservationManager::new(ledger, observer, settings, TaskTracker::new());
        Self { manager, queues, reported }
    }

    /// A manager over a ledger in a file of its own.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = embedded::Settings {
            path: folder.path().join("ledger.db"),
            reservation_ttl: TTL,
            retention: Retention::default(),
            on_unknown: OnUnknown::Charge,
            clock: Clock::system(),
        };
        Self::over(Arc::new(EmbeddedLedger::open(settings, Arc::new(Unobserved)).unwrap()))
    }

    /// A manager over a ledger in a Redis that does not exist.
    fn without_a_store() -> Self {
        let topology = Topology::Single { url: "redis://127.0.0.1:1".to_owned() };
        let settings = redis::Settings::new(topology);
        let ledger = RedisLedger::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap();
        Self::over(Arc::new(ledger))
    }

    /// The reservation of a call, whether or not the ledger has reserved its price.
    fn holds(&self, call: PaidCall, phase: Phase) -> Reservation {
        Reservation::new(&self.manager, (call, None), phase, PRICE)
    }

    /// A call that the ledger has admitted in this phase.
    async fn admitted(&self, phase: Phase) -> Reservation {
        let call = call();
        let admission = build_admission::admission(&call, phase).unwrap();
        assert_eq!(admission.price, PRICE);
        let verdict = self.manager.ledger().admit(admission).await.unwrap();
        assert!(matches!(verdict, Verdict::Admitted { .. }));
        self.holds(call, phase)
    }

    /// How far the ledger says that the one open call is; `None`: none is open.
    async fn phase(&self) -> Option<Phase> {
        let open = self.manager.ledger().open_calls(&team()).await.unwrap();
        open.first().map(|call| call.phase)
    }

    /// The calls whose deadlines are put off.
    fn listed(&self) -> Vec<ReservationId> {
        self.manager.open.by_team().remove(&team()).unwrap_or_default()
    }

    /// Ends what was handed over, and says how all calls ended: by the ledger, and by the reports.
    async fn ends(self) -> (Vec<(Outcome, Credits)>, Vec<(observe::Result, Credits)>) {
        let stop = CancellationToken::new();
        stop.cancel();
        Arc::clone(&self.manager).work(self.queues, stop).await;
        let rows = self.manager.ledger().rows(&team(), 0, 10).await.unwrap().rows;
        let reported = self.reported.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (rows.into_iter().map(|row| (row.outcome, row.charged)).collect(), reported)
    }
}

fn team() -> TeamId {
    TeamId::parse("design").unwrap()
}

/// A call that costs [`PRICE`].
fn call() -> PaidCall {
    let prices = PriceTable { version: "1".to_owned(), ..PriceTable::default() };
    let team = Team {
        id: team(),
        state: State::Active,
        suspended_users: HashSet::new(),
        models: ModelRules::default(),
        limits: Arc::default(),
        user_limits: Arc::default(),
        weight: 1,
        time_zone: TimeZone::UTC,
        prices: Arc::new(prices),
    };
    let principal = Principal {
        team: team.id.clone(),
        user: UserId::parse("ana").unwrap(),
        credential: Credential::Key(KeyId::parse("k7Qp2mZr9aBc").unwrap()),
        key_models: None,
        key_limits: None,
    };
    let team = Arc::new(team);
    let teams = HashMap::from([(team.id.clone(), Arc::clone(&team))]);
    let buffer = Buffer::new(1 << 20, 1 << 10, Live::new(Shares::of(&teams, None)));
    PaidCall {
        id: RequestId::parse("r1").unwrap(),
        call_id: ReservationId::new(),
        at: Instant::now(),
        transport: Transport::Connection,
        record: RequestLog::default(),
        principal: Arc::new(principal),
        held: buffer.hold(&team.id, 2).unwrap(),
        team,
        model: ModelId::parse("flux/dev").unwrap(),
        price: Price { per_call: PRICE, ..Price::free() },
        body: Bytes::from_static(b"{}"),
        idempotency_key: None,
    }
}

/// The end of a call that was answered and costs its price.
fn charged(reservation: &Reservation) -> End {
    let settlement = Settlement {
        id: reservation.call().call_id,
        outcome: Outcome::Charged,
        charged: PRICE,
        result: CallResult { status: 200, ..CallResult::default() },
        keeps_slots: false,
    };
    End { settlement, delivered: Delivered::default() }
}

/// An end that waits for the store, of another call.
fn another() -> Unwritten {
    let settlement = Settlement {
        id: ReservationId::new(),
        outcome: Outcome::Released,
        charged: Credits::ZERO,
        result: CallResult::default(),
        keeps_slots: false,
    };
    let end = End { settlement, delivered: Delivered::default() };
    Unwritten { team: team(), model_label: "flux/dev".into(), end, listed: None }
}

#[tokio::test]
async fn a_dropped_reservation_ends_once_by_its_phase() {
    for (phase, outcome, cost) in [
        (Phase::Waiting, Outcome::Released, Credits::ZERO),
        (Phase::TurnedBack, Outcome::Refused, Credits::ZERO),
        (Phase::Dispatched, Outcome::Unknown, PRICE),
    ] {
        let worker = Worker::new();
        drop(worker.admitted(phase).await);
        assert_eq!((worker.queues.orphans.len(), worker.listed()), (1, vec![]));
        let ended = observe::Result::Ended(outcome);
        assert_eq!(worker.ends().await, (vec![(outcome, cost)], vec![(ended, cost)]));
    }
}

#[tokio::test]
async fn a_settled_reservation_hands_nothing_over() {
    let worker = Worker::new();
    let reservation = worker.admitted(Phase::Dispatched).await;
    let end = charged(&reservation);
    assert_eq!(reservation.settle(end).await.cost, PRICE);
    assert_eq!((worker.queues.orphans.len(), worker.listed()), (0, vec![]));
    let (outcome, reported) = (Outcome::Charged, observe::Result::Ended(Outcome::Charged));
    assert_eq!(worker.ends().await, (vec![(outcome, PRICE)], vec![(reported, PRICE)]));
}

#[tokio::test]
async fn the_ledger_learns_each_phase_before_the_settlement() {
    let worker = Worker::new();
    let reservation = worker.admitted(Phase::Waiting).await;
    let mut phases = vec![(worker.phase().await, reservation.phase())];
    reservation.dispatch().await.unwrap();
    phases.push((worker.phase().await, reservation.phase()));
    reservation.recall_unsent().await.unwrap();
    phases.push((worker.phase().await, reservation.phase()));
    reservation.dispatch().await.unwrap();
    reservation.recall_turned_back().await.unwrap();
    phases.push((worker.phase().await, reservation.phase()));
    // A call whose mark was taken back is turned back in the ledger, whatever the reason.
    let expected = [
        (Phase::Waiting, Phase::Waiting),
        (Phase::Dispatched, Phase::Dispatched),
        (Phase::TurnedBack, Phase::Waiting),
        (Phase::TurnedBack, Phase::TurnedBack),
    ];
    assert_eq!(phases, expected.map(|(ledger, here)| (Some(ledger), here)));
    let end = charged(&reservation);
    reservation.settle(end).await;
    assert_eq!(worker.phase().await, None);
}

#[tokio::test]
async fn a_call_whose_reservation_has_ended_is_not_sent() {
    let worker = Worker::new();
    let reservation = worker.admitted(Phase::Waiting).await;
    let end = charged(&reservation).settlement;
    worker.manager.ledger().settle(&team(), end).await.unwrap();
    assert_eq!(reservation.dispatch().await, Err(Refusal::LedgerUnavailable));
    assert_eq!(reservation.phase(), Phase::Waiting, "what is not sent waits");
}

#[tokio::test]
async fn without_a_store_nothing_is_sent_and_recalls_still_count() {
    let worker = Worker::without_a_store();
    let waits = worker.holds(call(), Phase::Waiting);
    assert_eq!(waits.dispatch().await, Err(Refusal::LedgerUnavailable));
    assert_eq!(waits.phase(), Phase::Waiting);
    let sent = worker.holds(call(), Phase::Dispatched);
    assert_eq!(sent.recall_turned_back().await, Err(Refusal::LedgerUnavailable));
    assert_eq!(sent.phase(), Phase::TurnedBack, "this process knows it all the same");
}

#[tokio::test]
async fn an_unwritten_settlement_waits_and_its_deadline_is_put_off() {
    let worker = Worker::without_a_store();
    let reservation = worker.holds(call(), Phase::Dispatched);
    let (id, end) = (reservation.call().call_id, charged(&reservation));
    assert_eq!(reservation.settle(end).await.cost, PRICE);
    let Worker { queues: ManagerQueues { orphans, waiting }, .. } = &worker;
    assert_eq!((orphans.len(), waiting.len(), worker.listed()), (0, 1, vec![id]));
}

#[tokio::test]
async fn without_room_to_wait_a_settlement_becomes_an_orphan() {
    let mut worker = Worker::without_a_store();
    (0..WAITING_MAX).for_each(|_| assert!(worker.manager.write_later(another()).is_none()));
    let reservation = worker.holds(call(), Phase::Dispatched);
    let (id, end) = (reservation.call().call_id, charged(&reservation));
    assert_eq!(reservation.settle(end).await.cost, PRICE);
    let orphan = worker.queues.orphans.try_recv().unwrap().end.settlement;
    assert_eq!((orphan.id, orphan.outcome, orphan.charged), (id, Outcome::Unknown, PRICE));
    assert_eq!((worker.queues.orphans.len(), worker.listed()), (0, vec![]));
}

#[tokio::test]
async fn without_room_for_orphans_a_call_waits_for_the_sweep() {
    let worker = Worker::new();
    (0..WAITING_MAX).for_each(|_| worker.manager.orphaned(another()));
    drop(worker.admitted(Phase::Dispatched).await);
    assert_eq!((worker.queues.orphans.len(), worker.listed()), (WAITING_MAX, vec![]));
    assert_eq!(worker.phase().await, Some(Phase::Dispatched), "only its deadline ends it");
}
