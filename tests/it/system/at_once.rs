//! A call that can be sent at once is reserved as sent: two operations on the ledger instead of
//! three. One that has to wait is reserved as waiting, and marked just before its first byte: until
//! then it costs nothing, whatever happens.

use std::sync::Arc;

use moongate::credits::Credits;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, Outcome, Phase};
use moongate::store::Topology;
use moongate::team::TeamId;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::spending::{limit_status, spent};
use crate::support::caller::{Call, Connection, Reply};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored;

/// How many operations a gateway has made on its ledger.
#[derive(Debug, PartialEq)]
struct Operations {
    admit: f64,
    dispatch: f64,
    recall: f64,
    settle: f64,
}

impl Operations {
    async fn of(gateway: &Gateway) -> Self {
        Self {
            admit: Self::count(gateway, "admit").await,
            dispatch: Self::count(gateway, "dispatch").await,
            recall: Self::count(gateway, "recall").await,
            settle: Self::count(gateway, "settle").await,
        }
    }

    async fn count(gateway: &Gateway, word: &str) -> f64 {
        let series = format!(r#"moongate_ledger_operations_total{{op="{word}",result="ok"}}"#);
        gateway.metric(&series).await.unwrap_or_default()
    }
}

/// One worker, so that every call finds the connection of the one before.
fn with_one_worker(installation: Installation) -> Installation {
    installation
        .set("/listen/workers", json!(1))
        .set("/teams/design/limits", json!({ "credits_total": 100, "requests_per_day": 100 }))
}

fn ledger(redis: &RedisServer) -> (Arc<dyn Ledger>, TeamId) {
    let settings = Settings::new(Topology::Single { url: redis.url() });
    (stored::ledger(settings), TeamId::parse("design").unwrap())
}

/// A call on a connection of its own, which can be hung up.
async fn calling(gateway: &Gateway, call: Call) -> JoinHandle<Option<Reply>> {
    let mut connection = Connection::open(gateway.team()).await;
    tokio::spawn(async move { connection.exchange(&call).await.ok() })
}

/// A gateway that has a connection to the upstream at hand, and a proxy before its Redis.
struct World {
    redis: RedisServer,
    proxy: Proxy,
    firemoon: Firemoon,
    installation: Installation,
    gateway: Gateway,
}

impl World {
    async fn start() -> Self {
        let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
        let proxy = Proxy::start(redis.port()).await;
        let url = format!("redis://127.0.0.1:{}", proxy.port());
        // Makes the sweep that follows the start the only one in these tests. A team's operations
        // are sent one after the other: if the answer to a sweep were held, the operation that is
        // waited for would not be sent.
        let ledger = json!({
            "redis": { "url": url, "deadline": "20s" },
            "reservation_ttl": "1h",
        });
        let installation = with_one_worker(Installation::before(&firemoon)).set("/ledger", ledger);
        let gateway = Gateway::serve(&installation).await;
        wait_until("all three teams were swept and read", || async {
            Operations::count(&gateway, "sweep").await >= 3.0
                && Operations::count(&gateway, "books").await >= 3.0
        })
        .await;
        assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
        Self { redis, proxy, firemoon, installation, gateway }
    }

    /// One more call, which is reserved as sent, while its gateway does not hear of it.
    async fn reserved_and_unheard(&self) -> JoinHandle<Option<Reply>> {
        self.proxy.set_once_sent(stored::by_gateways::RESERVES_SENT, Fault::HoldAnswers);
        let call = calling(&self.gateway, picture().with(self.installation.key("design"))).await;
        let (ledger, team) = ledger(&self.redis);
        wait_until("it is reserved as sent", || async {
            let open = ledger.open_calls(&team).await.unwrap();
            open.len() == 1 && open[0].phase == Phase::Dispatched
        })
        .await;
        call
    }

    async fn spent(&self) -> (String, String) {
        spent(&self.gateway, self.installation.key("design"), "team:credits_total").await
    }
}

/// The call finds a connection at hand.
#[tokio::test]
async fn a_lone_call_takes_two_ledger_operations() {
    let redis = RedisServer::start().await;
    for protocol in ["http1", "http2"] {
        for in_file in [true, false] {
            let firemoon = Firemoon::start();
            let installation = if in_file {
                Installation::before(&firemoon)
            } else {
                Installation::on(&redis, &firemoon)
            };
            let installation =
                with_one_worker(installation).set("/upstream/protocol", json!(protocol));
            let gateway = Gateway::serve(&installation).await;
            let call = picture().with(installation.key("design"));
            assert_eq!(gateway.send(&call).await.status, 200);
            // The first had to wait for its connection.
            let mut operations = Operations { admit: 1.0, dispatch: 1.0, recall: 0.0, settle: 1.0 };
            assert_eq!(Operations::of(&gateway).await, operations, "{protocol}");
            for _ in 0..5 {
                assert_eq!(gateway.send(&call).await.status, 200);
                operations = Operations {
                    admit: operations.admit + 1.0,
                    settle: operations.settle + 1.0,
                    ..operations
                };
                assert_eq!(Operations::of(&gateway).await, operations, "{protocol}");
            }
            // An idempotency key's claim must be marked as sent first.
            assert_eq!(gateway.send(&call.header("idempotency-key", protocol)).await.status, 200);
            let operations = Operations { admit: 7.0, dispatch: 2.0, recall: 0.0, settle: 7.0 };
            assert_eq!(Operations::of(&gateway).await, operations, "{protocol}");
        }
    }
}

/// No permit is at hand there.
#[tokio::test]
async fn under_account_limits_every_call_is_marked_as_sent() {
    let firemoon = Firemoon::start();
    let installation = with_one_worker(Installation::before(&firemoon));
    let installation = installation.set("/upstream/limits", json!({ "requests_per_month": 100 }));
    let gateway = Gateway::serve(&installation).await;
    for _ in 0..3 {
        assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    }
    let operations = Operations { admit: 3.0, dispatch: 3.0, recall: 0.0, settle: 3.0 };
    assert_eq!(Operations::of(&gateway).await, operations);
}

#[tokio::test]
async fn a_refused_calls_connection_serves_the_next_call() {
    for protocol in ["http1", "http2"] {
        let firemoon = Firemoon::start();
        let installation = with_one_worker(Installation::before(&firemoon))
            .set("/upstream/protocol", json!(protocol))
            .set("/teams/growth/limits", json!({ "requests_per_day": 0 }));
        let gateway = Gateway::serve(&installation).await;
        let [design, growth] =
            ["design", "growth"].map(|team| picture().with(installation.key(team)));
        assert_eq!(gateway.send(&design).await.status, 200);
        for _ in 0..3 {
            assert_eq!(gateway.send(&growth).await.refusal(), (429, "quota_exhausted".to_owned()));
            assert_eq!(gateway.send(&design).await.status, 200);
        }
        assert_eq!(
            Operations::of(&gateway).await.dispatch,
            1.0,
            "{protocol}: the connection was there each time"
        );
        let books = firemoon.books().await;
        let calls = books["calls"].as_array().unwrap();
        let of_the_first = |call: &&Value| call["connection"] == calls[0]["connection"];
        assert_eq!(calls.iter().filter(of_the_first).count(), 4, "{protocol}: {books}");
    }
}

#[tokio::test]
async fn a_call_whose_connection_has_gone_uses_another() {
    let mut world = World::start().await;
    let call = world.reserved_and_unheard().await;
    let address = world.firemoon.address().to_owned();
    world.firemoon.kill();
    let firemoon = Firemoon::start_at(&address, &[]);
    world.proxy.set(Fault::None);
    let reply = call.await.unwrap().expect("an answer");
    assert_eq!(
        (reply.status, reply.header("x-credits-cost")),
        (200, Some("0.025")),
        "{}",
        reply.text()
    );
    let operations = Operations { admit: 2.0, dispatch: 2.0, recall: 1.0, settle: 2.0 };
    assert_eq!(Operations::of(&world.gateway).await, operations);
    assert_eq!((firemoon.requests().await, firemoon.executed().await), (1, 1));
    assert_eq!(world.spent().await, ("0.05".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn a_call_whose_connection_closes_while_marked_uses_another() {
    let mut world = World::start().await;
    let (ledger, team) = ledger(&world.redis);
    let growth = TeamId::parse("growth").unwrap();
    // What a settlement of this team needs is known then: it takes no answer to be worked out.
    assert_eq!(
        world.gateway.send(&picture().with(world.installation.key("growth"))).await.status,
        200
    );
    world.firemoon.hold().await;
    let first = calling(&world.gateway, picture().with(world.installation.key("growth"))).await;
    world.firemoon.until_held(1).await;
    // The first call has the only connection, so that the next is reserved as waiting; it gives the
    // connection back before that one is admitted.
    world.proxy.set_once_sent(stored::by_gateways::RESERVES_WAITING, Fault::HoldAnswers);
    let call = calling(&world.gateway, picture().with(world.installation.key("design"))).await;
    let phase = async || ledger.open_calls(&team).await.unwrap().first().map(|call| call.phase);
    wait_until("it is reserved as waiting", || async { phase().await == Some(Phase::Waiting) })
        .await;
    world.firemoon.release().await;
    wait_until("the first is settled", || async {
        ledger.rows(&growth, 0, 2).await.unwrap().rows.len() == 2
    })
    .await;
    world.proxy.set_once_sent(stored::by_gateways::MARKS_SENT, Fault::HoldAnswers);
    world.proxy.set(Fault::None);
    wait_until("it is marked", || async { phase().await == Some(Phase::Dispatched) }).await;
    let address = world.firemoon.address().to_owned();
    world.firemoon.kill();
    let firemoon = Firemoon::start_at(&address, &[]);
    world.proxy.set(Fault::None);
    assert_eq!(call.await.unwrap().expect("an answer").status, 200);
    assert_eq!(first.await.unwrap().expect("an answer").status, 200);
    assert_eq!(
        Operations::of(&world.gateway).await,
        Operations { admit: 4.0, dispatch: 3.0, recall: 1.0, settle: 4.0 }
    );
    assert_eq!((firemoon.requests().await, firemoon.executed().await), (1, 1));
    assert_eq!(world.spent().await, ("0.05".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn a_call_that_finds_no_other_connection_costs_nothing() {
    let mut world = World::start().await;
    let call = world.reserved_and_unheard().await;
    world.firemoon.kill();
    world.proxy.set(Fault::None);
    let reply = call.await.unwrap().expect("an answer");
    assert_eq!(reply.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(
        Operations::of(&world.gateway).await,
        Operations { admit: 2.0, dispatch: 1.0, recall: 1.0, settle: 2.0 }
    );
    assert_eq!(world.spent().await, ("0.025".to_owned(), "0".to_owned()));
    let key = world.installation.key("design");
    assert_eq!(limit_status(&world.gateway, key, "team:requests_per_day").await["used"], 1);
}

#[tokio::test]
async fn who_hangs_up_before_the_ledger_has_answered_pays_nothing() {
    let world = World::start().await;
    let call = world.reserved_and_unheard().await;
    call.abort();
    wait_until("the gateway sees that it has left", || async {
        world.gateway.lines("request").iter().any(|line| line["outcome"] == "abandoned")
    })
    .await;
    world.proxy.set(Fault::None);
    let (ledger, team) = ledger(&world.redis);
    wait_until("nothing is reserved", || async {
        ledger.open_calls(&team).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(world.spent().await, ("0.025".to_owned(), "0".to_owned()));
    assert_eq!(world.firemoon.requests().await, 1);
}

/// An upstream that takes connections, and never a call.
struct Mute {
    address: String,
    taken: Arc<Mutex<Vec<TcpStream>>>,
}

impl Mute {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) =
            (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let keep = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                keep.lock().await.push(stream);
            }
        });
        Self { address, taken }
    }
}

#[tokio::test]
async fn a_gateway_killed_before_a_calls_connection_charges_nothing() {
    let (redis, mute) = (RedisServer::start().await, Mute::start().await);
    let installation = with_one_worker(Installation::before_url(&format!(
        "http://{}/api",
        mute.address
    )))
    .set("/upstream/protocol", json!("http2"))
    .set("/upstream/connect_timeout", json!("60s"))
    .set(
        "/ledger",
        json!({ "redis": { "url": redis.url(), "deadline": "20s" }, "reservation_ttl": "2s" }),
    );
    let (mut killed, other) =
        (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let (key, (ledger, team)) = (installation.key("design"), ledger(&redis));
    let call = calling(&killed, picture().with(key)).await;
    wait_until("its connection is being opened", || async { !mute.taken.lock().await.is_empty() })
        .await;
    assert_eq!(ledger.open_calls(&team).await.unwrap()[0].phase, Phase::Waiting);
    killed.kill();
    assert!(call.await.unwrap().is_none(), "the caller's connection broke");
    wait_until("nothing of it is held", || async {
        ledger.open_calls(&team).await.unwrap().is_empty()
    })
    .await;
    let row = ledger.rows(&team, 0, 1).await.unwrap().rows.remove(0);
    assert_eq!((row.outcome, row.charged), (Outcome::Released, Credits::ZERO));
    assert_eq!(spent(&other, key, "team:credits_total").await, ("0".to_owned(), "0".to_owned()));
    assert_eq!(limit_status(&other, key, "team:requests_per_day").await["used"], 0);
}
