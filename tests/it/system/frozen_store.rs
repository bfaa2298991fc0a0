//! Redis stands still while two gateways serve many calls, and goes on later: every call is
//! answered meanwhile, and nothing is counted wrongly, whether it was made or not.

use std::time::Duration;

use super::load::World;
use crate::support::redis::RedisServer;

async fn freeze(deadline: &str, reservation_ttl: &str, pause: Duration) {
    let redis = RedisServer::start().await;
    let world = World::start_within(deadline, &redis.url(), reservation_ttl).await;
    let load = world.load();
    world.when_made(100, async { redis.freeze() }).await;
    // The store takes its time here, so there is no condition to wait for: the gateways must bear
    // it for so long.
    tokio::time::sleep(pause).await;
    redis.thaw();
    assert!(world.reckon(load, &redis.url()).await > 0, "a call was refused meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_five_seconds_which_is_longer_than_reservations_live() {
    freeze("2s", "2s", Duration::from_secs(5)).await;
}

/// The store is frozen for as many deadlines and lifetimes as a minute has by default, and longer
/// than every time that is fixed for a connection: the longest is the idle time before it is
/// probed, of ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_thirty_deadlines_and_two_lifetimes() {
    freeze("400ms", "6s", Duration::from_secs(12)).await;
}
