//! Servers of a cluster that are replaced behind a connection: by a copy, while the old one goes
//! on, or by themselves, restarted.

use std::sync::Arc;

use moongate::ledger::Ledger;
use moongate::store::Topology;

use super::losses::all_end;
use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, rows};
use super::{handle, stored};
use crate::ledger::conformance::harness::PRICE;
use crate::support::redis::{RedisCluster, RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// A node's name in its cluster.
async fn name(node: &RedisServer) -> String {
    node.ask(&["CLUSTER", "MYID"]).await.unwrap()
}

/// How far a node has come in what its primary writes.
async fn offset(node: &RedisServer) -> u64 {
    let info: String = node.ask(&["INFO", "replication"]).await.unwrap();
    let offset = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    offset.unwrap().parse().unwrap()
}

/// A cluster, and a replica of the primary that keeps the team.
struct Fork {
    world: World,
    cluster: RedisCluster,
    place: usize,
    copy: RedisServer,
}

impl Fork {
    async fn start() -> Self {
        let cluster = RedisCluster::start().await;
        let key = stored::key("design", "state");
        let mut place = 0;
        // Any other node says where the key is instead.
        while cluster.nodes()[place].ask::<i64>(&["EXISTS", &key]).await.is_err() {
            place += 1;
        }
        let copy = cluster.replica_of(place).await;
        Self { world: World::with(RedisServer::brand_new()), cluster, place, copy }
    }

    fn primary(&self) -> &RedisServer {
        &self.cluster.nodes()[self.place]
    }

    fn others(&self) -> impl Iterator<Item = &RedisServer> {
        let nodes = self.cluster.nodes().iter().enumerate();
        nodes.filter(|(place, _)| *place != self.place).map(|(_, node)| node)
    }

    /// A process that asks these nodes where the teams are.
    fn process(&self, nodes: &[&RedisServer]) -> Arc<dyn Ledger> {
        let urls = nodes.iter().map(|node| node.url()).collect();
        handle(self.world.settings().at(Topology::Cluster { urls }))
    }

    /// The primary and the other nodes lose sight of each other, and its replica takes its place.
    async fn part(&self) {
        let primary = self.primary();
        primary.run(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]).await;
        for node in self.others().chain([&self.copy]) {
            primary.run(&["CLUSTER", "FORGET", &name(node).await]).await;
        }
        self.copy.run(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
        let (was, is) = (name(primary).await, name(&self.copy).await);
        for node in self.others() {
            wait_until("the others know who has taken over", || async {
                let nodes: String = node.ask(&["CLUSTER", "NODES"]).await.unwrap();
                // The line of a primary ends with its slots.
                let of_copy = nodes.lines().find(|line| line.starts_with(&is));
                of_copy
                    .is_some_and(|line| line.contains("master") && line.ends_with(char::is_numeric))
            })
            .await;
            node.run(&["CLUSTER", "FORGET", &was]).await;
        }
        self.copy.run(&["CLUSTER", "FORGET", &was]).await;
    }
}

#[tokio::test]
async fn in_a_cluster_both_histories_of_a_fork_count() {
    let (mut fork, call) = (Fork::start().await, budgeted());
    let all: Vec<_> = fork.others().chain([fork.primary()]).collect();
    let one = fork.process(&all);
    let mut paid = vec![pay(&one, &call).await, pay(&one, &call).await];
    let come_to = offset(fork.primary()).await;
    wait_until("the copy has all of it", || async { offset(&fork.copy).await >= come_to }).await;
    fork.part().await;
    let others: Vec<_> = fork.others().collect();
    let other = fork.process(&others);
    assert!(is_closed(&other, &call).await, "what it has never seen is not believed at once");
    for _ in 0..3 {
        paid.push(pay(&one, &call).await);
    }
    let of_the_old = admit(&one, &call).await.unwrap().unwrap();
    fork.world.pass(GATHERED);
    paid.push(pay(&other, &call).await);
    let of_the_copy = admit(&other, &call).await.unwrap().unwrap();
    fork.cluster.kill(fork.place);
    wait_until("the one that comes back has noticed", || is_closed(&one, &call)).await;
    fork.world.pass(GATHERED);
    let spent = paid.len() as u64;
    assert_eq!(counted(&other, &call).await, [(spent, 2), (spent * PRICE, 2 * PRICE)]);
    all_end([&one, &other], &call, [of_the_old, of_the_copy], paid).await;
}

/// They have what they had saved. What came after that is known to one process alone, and another
/// one, that knows less, writes first.
#[tokio::test]
async fn in_a_cluster_a_restarted_server_is_another_one() {
    let (mut cluster, call) = (RedisCluster::start().await, budgeted());
    let world = World::with(RedisServer::brand_new());
    let [one, other] =
        [(), ()].map(|()| handle(world.settings().at(Topology::Cluster { urls: cluster.urls() })));
    let mut paid = vec![pay(&other, &call).await, pay(&one, &call).await];
    for node in cluster.nodes() {
        node.run(&["SAVE"]).await;
    }
    for _ in 0..2 {
        paid.push(pay(&other, &call).await);
    }
    cluster.restart().await;
    paid.push(pay(&one, &call).await);
    wait_until("the other has noticed", || is_closed(&other, &call)).await;
    world.pass(GATHERED);
    let spent = paid.len() as u64;
    assert_eq!(counted(&one, &call).await, [(spent, 0), (spent * PRICE, 0)]);
    paid.sort_unstable();
    assert_eq!(rows(&other, &call).await, paid);
}
