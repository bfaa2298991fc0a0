//! Redis was away and is back: the first use of any handle succeeds, without a second try.

use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::store::Topology;

use super::users::{Use, Users};
use crate::support::proxy::Proxy;
use crate::support::redis::{RedisCluster, RedisSentinel, RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// How fast Redis is does not matter here.
const PATIENT: Duration = Duration::from_secs(20);
/// Where half of it is waited for: not so short that a busy machine passes it when nothing is
/// wrong.
const BRIEF: Duration = Duration::from_secs(4);

fn settings(topology: Topology, deadline: Duration) -> Settings {
    Settings::new(topology).within(deadline)
}

fn at(port: u16) -> Topology {
    Topology::Single { url: format!("redis://127.0.0.1:{port}") }
}

/// Ends every connection but those of Sentinels, which have names: a primary that they just lost is
/// none that they name.
async fn kill_clients(server: &RedisServer) {
    let clients: String = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]).await.unwrap();
    for client in clients.lines().filter(|client| client.contains(" name= ")) {
        let id = client.split_whitespace().find_map(|word| word.strip_prefix("id=")).unwrap();
        // One of them is the one that asks, and has ended by now.
        let _: i64 = server.ask(&["CLIENT", "KILL", "ID", id]).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_comes_first_after_redis_was_restarted_is_served() {
    let mut server = RedisServer::start().await;
    let users = Users::of(&settings(at(server.port()), PATIENT));
    users.do_everything().await;
    for one in Use::ALL {
        server.run(&["SAVE"]).await;
        server.restart();
        server.has_been_known_for_long().await;
        users.does(one).await;
    }
}

#[tokio::test]
async fn whoever_comes_first_after_the_connections_were_ended_is_served() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let users = Users::of(&settings(at(proxy.port()), PATIENT));
    users.do_everything().await;
    for one in Use::ALL {
        kill_clients(&server).await;
        users.does(one).await;
        proxy.sever();
        users.does(one).await;
    }
}

#[tokio::test]
async fn the_first_operation_after_a_silent_disconnect_succeeds() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let users = Users::of(&settings(at(proxy.port()), BRIEF));
    users.do_everything().await;
    for one in Use::ONE_OF_EACH_KIND {
        proxy.strand();
        users.does(one).await;
    }
}

/// The first operation after the cluster has ended the connections succeeds as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_operation_after_a_clusters_restart_succeeds() {
    let mut cluster = RedisCluster::start().await;
    let users = Users::of(&settings(Topology::Cluster { urls: cluster.urls() }, PATIENT));
    users.do_everything().await;
    for one in Use::ALL {
        for node in cluster.nodes() {
            kill_clients(node).await;
        }
        users.does(one).await;
    }
    for one in Use::ONE_OF_EACH_KIND {
        for node in cluster.nodes() {
            node.run(&["SAVE"]).await;
        }
        cluster.restart().await;
        users.does(one).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_operation_after_silent_cluster_disconnects_succeeds() {
    let cluster = RedisCluster::start().await;
    let mut proxies = Vec::new();
    for node in cluster.nodes() {
        proxies.push(Proxy::start(node.port()).await);
    }
    let ports: Vec<u16> = proxies.iter().map(Proxy::port).collect();
    cluster.announce(&ports).await;
    let urls = ports.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect();
    let users = Users::of(&settings(Topology::Cluster { urls }, BRIEF));
    users.do_everything().await;
    for one in Use::ONE_OF_EACH_KIND {
        proxies.iter().for_each(Proxy::strand);
        users.does(one).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_first_after_sentinels_named_another_primary_is_served() {
    let mut sentinel = RedisSentinel::start().await;
    let topology = sentinel.topology();
    let settings = settings(topology, PATIENT);
    // Each has handles of its own, which nobody has used since before the fail-over.
    let all = Use::ONE_OF_EACH_KIND.map(|one| (one, Users::of(&settings)));
    for (_, users) in &all {
        users.do_everything().await;
    }
    for (one, users) in &all {
        kill_clients(&sentinel.servers[0]).await;
        users.does(*one).await;
    }
    wait_until("the replica has all", || async {
        let [primary, replica] =
            [&sentinel.servers[0], &sentinel.servers[1]].map(|server| server.ask(&["DBSIZE"]));
        let (primary, replica): (i64, i64) = (primary.await.unwrap(), replica.await.unwrap());
        primary == replica
    })
    .await;
    sentinel.servers[0].kill();
    wait_until("the other is the primary", || async {
        let role: String =
            sentinel.servers[1].ask(&["INFO", "replication"]).await.unwrap_or_default();
        let found = Users::of(&settings).tries(Use::Inspect).await.is_ok();
        role.contains("role:master") && found
    })
    .await;
    sentinel.servers[1].has_been_known_for_long().await;
    for (one, users) in &all {
        users.does(*one).await;
    }
}
