//! Servers on which a ledger is not safe are found on every topology, with their addresses.

use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::ledger::{Flaw, Weight};
use moongate::store::Topology;

use crate::support::redis::{RedisCluster, RedisSentinel, RedisServer};
use crate::support::stored::Reached as _;
use crate::support::stored::ledger;

async fn flaws(topology: Topology) -> Vec<Flaw> {
    let settings = Settings::new(topology).within(Duration::from_secs(20));
    ledger(settings).inspect().await.unwrap()
}

async fn evict(server: &RedisServer) {
    server.run(&["CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-lru"]).await;
}

fn says_of(flaws: &[Flaw], port: u16) -> bool {
    let [flaw] = flaws else { return false };
    flaw.weight == Weight::Refusal
        && flaw.text.starts_with(&format!("127.0.0.1:{port} evicts"))
        && flaw.text.contains("volatile-lru")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_of_a_cluster_that_evicts_is_found() {
    let cluster = RedisCluster::start().await;
    let topology = || Topology::Cluster { urls: vec![cluster.urls().remove(0)] };
    assert_eq!(flaws(topology()).await, []);
    let last = &cluster.nodes()[2];
    evict(last).await;
    let found = flaws(topology()).await;
    assert!(says_of(&found, last.port()), "{found:?}");

    let found = flaws(Topology::Single { url: cluster.urls().remove(0) }).await;
    assert!(
        matches!(&found[..], [flaw] if flaw.text.contains("ledger.redis.cluster")),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_evicts_is_found_behind_sentinels() {
    let sentinel = RedisSentinel::start().await;
    let topology = || sentinel.topology();
    assert_eq!(flaws(topology()).await, []);
    evict(&sentinel.servers[0]).await;
    let found = flaws(topology()).await;
    assert!(says_of(&found, sentinel.servers[0].port()), "{found:?}");
}
