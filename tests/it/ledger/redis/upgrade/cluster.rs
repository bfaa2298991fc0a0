//! The upgrade on a cluster: a team's keys lie on one node, and the list of teams on another.

use moongate::store::Topology;

use super::*;
use crate::support::redis::RedisCluster;

/// Runs a command on whichever node has the key.
async fn run(cluster: &RedisCluster, words: &[&str]) {
    let mut done = 0;
    for node in cluster.nodes() {
        match node.ask::<redis::Value>(words).await {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error.code(), Some("MOVED"), "{error}"),
        }
    }
    assert_eq!(done, 1, "one node has the key of {words:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_a_team_is_taken_over_whole() {
    let (cluster, clock) = (RedisCluster::start().await, Clock::moved(moment(NOW)));
    for line in STORE.lines() {
        let words: Vec<String> = serde_json::from_str(line).unwrap();
        run(&cluster, &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let topology = Topology::Cluster { urls: vec![cluster.urls().remove(0)] };
    let settings = || {
        let settings = Settings::new(topology.clone()).within(Duration::from_secs(20));
        Settings { reservation_ttl: TTL, retention: RETENTION, ..settings }.told_by(&clock)
    };
    let process = || -> Arc<dyn Ledger> {
        Arc::new(RedisLedger::new(settings(), Clock::system(), Arc::<Watch>::default()).unwrap())
    };
    let ledgers = [process(), process()];
    for ledger in &ledgers {
        assert_eq!(difference(&answers(ledger).await, ANSWERS), None);
    }
    let (team, end) = (call().team, || settlement(id(DISPATCHED), Outcome::Charged, PRICE));
    assert_eq!(ledgers[0].settle(&team, end()).await.unwrap(), Settled::Now(credits(PRICE)));
    assert_eq!(ledgers[1].settle(&team, end()).await.unwrap(), Settled::Before);
}
