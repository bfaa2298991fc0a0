//! One of two gateways killed at every step of a call, again and again: no slot stays taken,
//! nothing is free, nothing is charged twice, and the ledger agrees with Firemoon's own call
//! log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moongate::credits::Credits;
use moongate::ledger::redis::Settings;
use moongate::ledger::{BudgetSnapshot, Ledger, Level, Outcome, Phase, Row, Scope, SnapshotQuery};
use moongate::store::Topology;
use moongate::team::{Limit, LimitKind, Limits, TeamId};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, moongate, with_operators};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;
use crate::support::stored::{self, by_gateways};

/// How often a gateway is killed at each step.
const ROUNDS: usize = 6;
/// How many calls it then has, as many as may run at the same time.
const CALLS: usize = 3;
const ALL_OF_THEM: u64 = 3;
/// What one costs, in millionths.
const PRICE: u64 = 25_000;

/// Two gateways on one Redis; between it and the one that is killed stands a proxy.
struct World {
    _redis: RedisServer,
    firemoon: Firemoon,
    proxy: Proxy,
    doomed: Installation,
    survivor: Gateway,
    lasting: Installation,
    ledger: Arc<dyn Ledger>,
    team: TeamId,
    /// How many calls the doomed gateway has.
    calls: usize,
    /// Whether the first of them finds a connection to the upstream, so that it is reserved as
    /// sent.
    at_hand: bool,
}

impl World {
    async fn start() -> Self {
        let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
        let proxy = Proxy::start(redis.port()).await;
        let of = |url: String| {
            Installation::before(&firemoon)
                .set("/listen/workers", json!(1))
                .set(
                    "/ledger",
                    json!({ "redis": { "url": url, "deadline": "20s" }, "reservation_ttl": "2s" }),
                )
                .set("/teams/design/limits", json!({ "concurrent": CALLS, "credits_total": 100 }))
        };
        let doomed = of(format!("redis://127.0.0.1:{}", proxy.port()));
        let lasting = with_operators(of(redis.url()));
        std::fs::write(lasting.folder().join("ops-token"), OPS).unwrap();
        let survivor = Gateway::serve(&lasting).await;
        // Asks while the gateways are busy.
        let deadline = Duration::from_secs(20);
        let ledger =
            stored::ledger(Settings::new(Topology::Single { url: redis.url() }).within(deadline));
        let team = TeamId::parse("design").unwrap();
        Self {
            _redis: redis,
            firemoon,
            proxy,
            doomed,
            survivor,
            lasting,
            ledger,
            team,
            calls: CALLS,
            at_hand: true,
        }
    }

    async fn rows(&self) -> Vec<Row> {
        self.ledger.rows(&self.team, 0, 10_000).await.unwrap().rows
    }

    async fn snapshot(&self) -> BudgetSnapshot {
        let limits = [
            Limit::new(LimitKind::CreditsTotal, 100_000_000),
            Limit::new(LimitKind::Concurrent, 3),
        ];
        let levels = vec![Level { scope: Scope::Team, limits: Arc::new(Limits::new(limits)) }];
        let inquiry = SnapshotQuery {
            team: self.team.clone(),
            levels,
            time_zone: jiff::tz::TimeZone::UTC,
            reader: None,
        };
        self.ledger.snapshot(inquiry).await.unwrap()
    }

    /// How many reservations there are, as Redis says it.
    async fn held(&self) -> usize {
        self.ledger.open_calls(&self.team).await.unwrap().len()
    }

    /// How many of them are marked as sent.
    async fn marked(&self) -> usize {
        let open = self.ledger.open_calls(&self.team).await.unwrap();
        open.iter().filter(|call| call.phase == Phase::Dispatched).count()
    }

    /// Kills a gateway, round after round, when its calls are where `until` waits for them to be;
    /// `before` is done before they are sent. Says what was left of them.
    async fn kill(&self, step: &str, before: impl AsyncFn(), until: impl AsyncFn(&str)) -> Left {
        let (mut left, mut counted, mut unheard) = (Left::default(), 0, 0);
        for round in 0..ROUNDS {
            let mut gateway = Gateway::serve(&self.doomed).await;
            let key = self.doomed.key("design");
            let first = if self.at_hand { picture() } else { Call::get("/gateway/v1/me") };
            assert_eq!(
                gateway.send(&first.with(key)).await.status,
                200,
                "{step}: it has a connection to Redis"
            );
            let (rows_before, executed_before) =
                (self.rows().await.len(), self.firemoon.executed().await);
            before().await;
            let prefix = format!("{step}-{round}-");
            let ids: Vec<String> =
                (0..self.calls).map(|number| format!("{prefix}{number}")).collect();
            let mut calls = JoinSet::new();
            for id in &ids {
                let (call, address) =
                    (picture().with(key).header("x-request-id", id), gateway.team().to_owned());
                // The caller gets no answer: its gateway dies.
                calls.spawn(async move {
                    Connection::open(&address).await.exchange(&call).await.is_ok()
                });
            }
            until(&prefix).await;
            counted += self.counted_by(&gateway).await;
            gateway.kill();
            self.proxy.cut();
            drop(gateway);
            self.proxy.set(Fault::None);
            self.firemoon.release().await;
            assert!(!calls.join_all().await.contains(&true), "{step}: nobody was answered");
            wait_until("nothing of the dead gateway is held", || async { self.held().await == 0 })
                .await;
            let reply = self.survivor.send(&picture().with(self.lasting.key("design"))).await;
            assert_eq!(reply.status, 200, "{step}: its slots are free: {}", reply.text());
            let rows = self.rows().await;
            let its: Vec<&Row> =
                rows.iter().filter(|row| ids.contains(&row.summary.request_id)).collect();
            left.rows += its.len();
            for row in &its {
                *left.outcomes.entry(row.outcome.name()).or_default() += 1;
            }
            // Settled by the gateway that died, which had no answer to that.
            let settled = its.iter().filter(|row| row.outcome == Outcome::Charged);
            unheard += settled.map(|row| row.charged.micros()).sum::<u64>();
            left.executed += self.firemoon.executed().await - executed_before - 1;
            assert_eq!(rows.len() - rows_before, its.len() + 1, "{step}: no call has two rows");
        }
        counted += self.counted_by(&self.survivor).await;
        self.compare(step, counted + unheard, &left).await;
        left
    }

    /// The ledger, its rows, its report, the metrics and the upstream agree on what was spent.
    /// `counted` is what the metrics say, and what a killed gateway could not count.
    async fn compare(&self, step: &str, counted: u64, left: &Left) {
        let (snapshot, rows) = (self.snapshot().await, self.rows().await);
        let spent: u64 = rows.iter().map(|row| row.charged.micros()).sum();
        assert_eq!(
            (snapshot.statuses[0].used, snapshot.statuses[0].reserved, snapshot.open),
            (spent, 0, 0),
            "{step}"
        );
        assert!(snapshot.statuses[0].used <= snapshot.statuses[0].max);
        assert_eq!(
            self.reported().await.micros(),
            spent,
            "{step}: `moongate usage` says what the ledger says"
        );
        assert_eq!(
            counted, spent,
            "{step}: the metrics of all replicas add up to what was charged"
        );
        let billed: Credits = self.firemoon.charged().await.parse().unwrap();
        let charged = rows.iter().filter(|row| row.outcome != Outcome::Released).count() as u64;
        let in_vain = charged - self.firemoon.executed().await;
        assert_eq!(
            spent - billed.micros(),
            in_vain * PRICE,
            "{step}: nothing was free, nor paid twice: {left:?}"
        );
    }

    /// What a gateway's own metrics say that it charged, in millionths.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    async fn counted_by(&self, gateway: &Gateway) -> u64 {
        let charged =
            gateway.metric(r#"moongate_team_credits_total{team="design",model="flux/dev"}"#).await;
        (charged.unwrap_or_default() * 1e6).round() as u64
    }

    /// What `moongate usage --period month` says was spent.
    async fn reported(&self) -> Credits {
        let usage = ["usage", "--period", "month", "--json"];
        let (code, report, complaint) = moongate(&self.survivor, &self.lasting, &usage);
        assert_eq!((code, complaint.as_str()), (0, ""));
        serde_json::from_str::<Value>(&report).unwrap()["totals"]["cost"]
            .to_string()
            .parse()
            .unwrap()
    }
}

/// What was left of the killed gateways' calls.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    rows: usize,
    outcomes: BTreeMap<&'static str, usize>,
    executed: u64,
}

impl Left {
    /// Expects a row with this outcome of every call, and that every call was made.
    fn all(outcome: Outcome) -> Self {
        let all = ROUNDS * CALLS;
        let outcomes = BTreeMap::from([(outcome.name(), all)]);
        Self { rows: all, outcomes, executed: u64::try_from(all).unwrap() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_store_knows_it_leaves_nothing() {
    let world = World::start().await;
    let hold = async || world.proxy.hold_from("unheard-");
    let until = async |prefix: &str| {
        wait_until("they wait before Redis", || async { world.proxy.holds(prefix) > 0 }).await;
    };
    assert_eq!(world.kill("unheard", hold, until).await, Left::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_reserving_a_waiting_call_it_charges_nothing() {
    let world = World { at_hand: false, ..World::start().await };
    // Holds only the answer to the reservation: what the gateway reads before is answered.
    let hold =
        async || world.proxy.set_once_sent(by_gateways::RESERVES_WAITING, Fault::HoldAnswers);
    let until =
        async |_: &str| wait_until("one is reserved", || async { world.held().await > 0 }).await;
    let left = world.kill("reserved", hold, until).await;
    assert!(left.rows >= ROUNDS && left.executed == 0, "{left:?}");
    assert_eq!(left.outcomes, BTreeMap::from([("released", left.rows)]));
}

/// The charge stays, because it cannot be known that the call was not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_reserving_a_call_sent_it_leaves_a_charge() {
    let world = World { calls: 1, ..World::start().await };
    let hold = async || world.proxy.set_once_sent(by_gateways::RESERVES_SENT, Fault::HoldAnswers);
    let until = async |_: &str| {
        wait_until("one is reserved as sent", || async { world.marked().await > 0 }).await
    };
    let left = world.kill("reserved-as-sent", hold, until).await;
    assert_eq!(
        left,
        Left { rows: ROUNDS, outcomes: BTreeMap::from([("unknown", ROUNDS)]), executed: 0 }
    );
}

/// The charge stays, because it cannot be known that the call was not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_marking_a_call_sent_it_leaves_a_charge() {
    // More than one would be reserved after the other, and the answers to that held.
    let world = World { calls: 1, at_hand: false, ..World::start().await };
    let hold = async || world.proxy.set_once_sent(by_gateways::MARKS_SENT, Fault::HoldAnswers);
    let until =
        async |_: &str| wait_until("one is marked", || async { world.marked().await > 0 }).await;
    let left = world.kill("marked", hold, until).await;
    assert_eq!(
        left,
        Left { rows: ROUNDS, outcomes: BTreeMap::from([("unknown", ROUNDS)]), executed: 0 }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_the_upstreams_work_it_leaves_charged_unknowns() {
    let world = World::start().await;
    let until = async |_: &str| world.firemoon.until_held(ALL_OF_THEM).await;
    let left = world.kill("sent", async || world.firemoon.hold().await, until).await;
    assert_eq!(
        (left.rows, left.outcomes),
        (ROUNDS * CALLS, BTreeMap::from([("unknown", ROUNDS * CALLS)]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_settlement_it_leaves_charged_unknown_calls() {
    let world = World::start().await;
    let until = async |_: &str| {
        world.firemoon.until_held(ALL_OF_THEM).await;
        // Answers whatever else the gateway asks of Redis until then.
        world.proxy.hold_from(by_gateways::SETTLES);
        world.firemoon.release().await;
        wait_until("one is about to be settled", || async {
            world.proxy.holds(by_gateways::SETTLES) > 0
        })
        .await;
        wait_until("all were made", || async { world.firemoon.sums().await["held"] == 0 }).await;
    };
    let left = world.kill("answered", async || world.firemoon.hold().await, until).await;
    assert_eq!(left, Left::all(Outcome::Unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_its_calls_are_settled_it_leaves_their_settlements() {
    let world = World::start().await;
    let until = async |prefix: &str| {
        world.firemoon.until_held(ALL_OF_THEM).await;
        world.proxy.set_once_sent(by_gateways::SETTLES, Fault::HoldAnswers);
        world.firemoon.release().await;
        let settled = || async {
            world.rows().await.iter().any(|row| row.summary.request_id.starts_with(prefix))
        };
        wait_until("one is settled", settled).await;
    };
    let left = world.kill("settled", async || world.firemoon.hold().await, until).await;
    assert!(left.outcomes["charged"] >= ROUNDS, "{left:?}");
    assert_eq!(
        (left.rows, left.executed),
        (ROUNDS * CALLS, u64::try_from(ROUNDS * CALLS).unwrap())
    );
}
