//! Redis stands still while two gateways serve a crowd, and goes on later: every call is answered meanwhile, and
//! nothing that was made, or was not, is counted wrongly.

use std::time::Duration;

use super::load::World;
use crate::support::redis::RedisServer;

async fn freeze(reservation_ttl: &str, pause: Duration) {
    let redis = RedisServer::start().await;
    let world = World::start(&redis.url(), reservation_ttl).await;
    let load = world.load();
    world.when_made(100, async { redis.freeze() }).await;
    // It is the store that takes its time, and no condition can be waited for: the gateways must bear it for so long.
    tokio::time::sleep(pause).await;
    redis.thaw();
    assert!(world.reckon(load, &redis.url()).await > 0, "somebody was refused meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_five_seconds_which_is_longer_than_reservations_live() {
    freeze("2s", Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_a_minute() {
    freeze("30s", Duration::from_secs(60)).await;
}
