//! Redis loses writes while two gateways serve many calls: the budget is spent to the last credit
//! and no further, and every settlement is in the ledger once.

use serde_json::json;

use super::load::World;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::proxy::Proxy;
use crate::support::redis::{RedisServer, wait_until};

/// Short, since a lost store stays closed for a part of it.
const TTL: &str = "6s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_under_load_again_and_again() {
    let redis = RedisServer::start().await;
    let world = World::start(&redis.url(), TTL).await;
    let load = world.load();
    for made in [100, 200] {
        world.when_made(made, redis.run(&["FLUSHALL"])).await;
        world.until_loss_is_noticed().await;
        // Once more, while some have brought what they know and others have not.
        redis.run(&["FLUSHALL"]).await;
    }
    world.reckon(load, &redis.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_under_load_with_nothing_saved() {
    let mut redis = RedisServer::start().await;
    let world = World::start(&redis.url(), TTL).await;
    let load = world.load();
    world.when_made(100, async { redis.restart() }).await;
    world.until_loss_is_noticed().await;
    world.reckon(load, &redis.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_under_load_from_an_older_dump() {
    let mut redis = RedisServer::start().await;
    let world = World::start(&redis.url(), TTL).await;
    let load = world.load();
    world.when_made(100, redis.run(&["SAVE"])).await;
    world.when_made(200, async { redis.restart() }).await;
    world.until_loss_is_noticed().await;
    world.reckon(load, &redis.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_load_spends_exactly_the_budget() {
    let mut primary = RedisServer::start().await;
    let replica = RedisServer::replica_of(&primary).await;
    let proxy = Proxy::start(primary.port()).await;
    let world = World::start(&format!("redis://127.0.0.1:{}", proxy.port()), TTL).await;
    let load = world.load();
    world.when_made(100, replica.run(&["REPLICAOF", "NO", "ONE"])).await;
    let fail_over = async {
        proxy.lead_to(replica.port());
        primary.kill();
    };
    world.when_made(200, fail_over).await;
    world.until_loss_is_noticed().await;
    world.reckon(load, &replica.url()).await;
}

#[tokio::test]
async fn a_gateway_started_after_a_flush_gives_no_fresh_budget() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::before(&firemoon)
        .set(
            "/ledger",
            json!({ "redis": { "url": redis.url(), "deadline": "20s" }, "reservation_ttl": "24s" }),
        )
        .set("/teams/design/limits", json!({ "credits_total": 0.05 }));
    let call = picture().with(installation.key("design"));
    let idle = Gateway::serve(&installation).await;
    for status in [200, 200, 402] {
        assert_eq!(idle.send(&call).await.status, status);
    }
    redis.run(&["FLUSHALL"]).await;
    let started = Gateway::start(&installation).await;
    // No call goes through the gateway that knows better: it restores by itself.
    wait_until("the new one knows", || async {
        let reply = started.send(&call).await;
        assert_ne!(reply.status, 200);
        reply.status == 402
    })
    .await;
    wait_until("it is ready", || async { started.readiness().await.0 == 200 }).await;
    assert_eq!(firemoon.executed().await, 2);
}
