//! The owner of a call dies, or is thought dead, while others wait for its answer: the call is
//! never made twice, and the others get a refusal in bounded time.

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::gateway::{once, prepaid, spent};
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};

const LOST: (u16, &str) = (409, "idempotency_lost");

/// Two gateways on one Redis; between it and the one that makes the call stands a proxy.
struct World {
    redis: RedisServer,
    firemoon: Firemoon,
    proxy: Proxy,
    owner: Gateway,
    other: Gateway,
    installations: [Installation; 2],
}

impl World {
    async fn start() -> Self {
        let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
        let proxy = Proxy::start(redis.port()).await;
        let of = |url: String| {
            prepaid(Installation::on(&redis, &firemoon))
                .set("/listen/workers", json!(1))
                .set("/ledger/redis/url", json!(url))
                .set("/ledger/reservation_ttl", json!("2s"))
        };
        let installations = [of(format!("redis://127.0.0.1:{}", proxy.port())), of(redis.url())];
        let (owner, other) =
            (Gateway::serve(&installations[0]).await, Gateway::serve(&installations[1]).await);
        Self { redis, firemoon, proxy, owner, other, installations }
    }

    /// The order, as the team sends it to this gateway.
    fn order_at(&self, gateway: &Gateway) -> Call {
        let owner = gateway.team() == self.owner.team();
        once("order-1", self.installations[usize::from(!owner)].key("design"))
    }

    /// The team's key at the gateways that live on.
    fn design(&self) -> &str {
        self.installations[1].key("design")
    }

    /// Sends the order; says what became of it.
    async fn send(&self, gateway: &Gateway) -> JoinHandle<Option<(u16, String)>> {
        let (call, mut connection) =
            (self.order_at(gateway), Connection::open(gateway.team()).await);
        tokio::spawn(async move {
            let reply = connection.exchange(&call).await.ok()?;
            reply.inspect(false);
            let code = if reply.status == 200 { String::new() } else { reply.refusal().1 };
            Some((reply.status, code))
        })
    }

    async fn in_flight(&self, gateway: &Gateway, calls: f64) {
        let path = r#"moongate_http_in_flight{route="/api/v1/{model}"}"#;
        wait_until("they have come", || async { gateway.metric(path).await == Some(calls) }).await;
    }

    /// What the team's own history says of its calls.
    async fn statuses(&self) -> Vec<Value> {
        let call = Call::get("/api/generations").with(self.design());
        let history = self.other.send(&call).await.json();
        history["generations"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect()
    }
}

/// Duplicates are those that waited for the call, and all that come later.
#[tokio::test]
async fn duplicates_of_a_killed_gateways_call_learn_it_is_lost() {
    let mut world = World::start().await;
    world.firemoon.hold().await;
    let first = world.send(&world.owner).await;
    world.firemoon.until_held(1).await;
    let joined = [world.send(&world.other).await, world.send(&world.other).await];
    world.in_flight(&world.other, 2.0).await;
    world.owner.kill();
    assert_eq!(first.await.unwrap(), None, "its own caller gets no answer");
    for call in joined {
        assert_eq!(call.await.unwrap(), Some((LOST.0, LOST.1.to_owned())));
    }
    world.firemoon.release().await;
    let next = Gateway::serve(&world.installations[1]).await;
    for gateway in [&world.other, &next] {
        let reply = gateway.send(&world.order_at(gateway)).await;
        assert_eq!(reply.refusal(), (LOST.0, LOST.1.to_owned()));
        assert_eq!(reply.header("x-error-source"), Some("gateway"));
    }
    assert_eq!(world.firemoon.requests().await, 1, "it was made once");
    let design = world.design();
    assert_eq!(spent(&next, design).await, ("0.025".to_owned(), "0".to_owned()));
    assert_eq!(world.statuses().await, ["unknown"]);
    assert_eq!(
        next.send(&once("order-2", design)).await.status,
        200,
        "another key is another call"
    );
}

/// If it had not been sent, one of the duplicates that wait makes it.
#[tokio::test]
async fn a_call_of_a_killed_gateway_is_made_by_another() {
    let mut world = World::start().await;
    let before = once("order-0", world.installations[0].key("design"));
    assert_eq!(world.owner.send(&before).await.status, 200, "it has its connections to Redis");
    let order_0: Vec<String> =
        world.redis.ask(&["KEYS", "mg1:{design}:replay:key:*"]).await.unwrap();
    world.proxy.set(Fault::HoldAnswers);
    let first = world.send(&world.owner).await;
    let key = async || {
        let keys: Vec<String> =
            world.redis.ask(&["KEYS", "mg1:{design}:replay:key:*"]).await.unwrap();
        keys.into_iter().find(|key| !order_0.contains(key))
    };
    wait_until("it has its key", || async { key().await.is_some() }).await;
    let key = key().await.unwrap();
    let joined = world.send(&world.other).await;
    world.in_flight(&world.other, 1.0).await;
    world.owner.kill();
    assert_eq!(first.await.unwrap(), None);
    let left: u64 = world.redis.ask(&["PTTL", &key]).await.unwrap();
    assert!(left <= 50_000, "an unsent call holds its key no longer than it may wait: {left} ms");
    world.redis.run(&["PEXPIRE", &key, "1"]).await;
    assert_eq!(joined.await.unwrap(), Some((200, String::new())));
    let left: u64 = world.redis.ask(&["PTTL", &key]).await.unwrap();
    assert!(
        left > 23 * 3_600_000,
        "a sent call holds its key as long as answers are kept: {left} ms"
    );
    assert_eq!(
        world.other.send(&world.order_at(&world.other)).await.header("idempotency-replayed"),
        Some("true")
    );
    assert_eq!(world.firemoon.requests().await, 2, "once, after the one before it");
}

#[tokio::test]
async fn a_frozen_gateway_still_reports_its_calls_outcome() {
    let world = World::start().await;
    world.firemoon.hold().await;
    let first = world.send(&world.owner).await;
    world.firemoon.until_held(1).await;
    world.owner.signal("-STOP");
    assert_eq!(world.send(&world.other).await.await.unwrap(), Some((LOST.0, LOST.1.to_owned())));
    world.owner.signal("-CONT");
    world.firemoon.release().await;
    assert_eq!(first.await.unwrap(), Some((200, String::new())));
    let again = world.other.send(&world.order_at(&world.other)).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(world.firemoon.requests().await, 1);
    assert_eq!(spent(&world.other, world.design()).await, ("0.025".to_owned(), "0".to_owned()));
    assert_eq!(world.statuses().await, ["unknown"], "it was settled once");
}
