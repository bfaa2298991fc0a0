//! The rights of the Redis user, as the page on Redis lists them, are enough on every topology, and
//! allow nothing else.

use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::store::Topology;
use redis::{RedisResult, Value};

use super::users::{Use, Users};
use crate::support::redis::{RedisCluster, RedisSentinel, RedisServer, wait_until};
use crate::support::stored::Reached as _;

const PASSWORD: &str = "a-password-of-no-use";

/// The line of the page that begins so, as a command.
fn documented(begin: &str) -> Vec<String> {
    let page = std::fs::read_to_string("deploy/redis.md").unwrap();
    let line = page
        .lines()
        .find(|line| line.starts_with(begin))
        .unwrap_or_else(|| panic!("no line {begin}"));
    line.split(' ').map(|word| word.replace("PASSWORD", PASSWORD)).collect()
}

async fn give(servers: impl IntoIterator<Item = &RedisServer>, begin: &str) {
    for server in servers {
        let command = documented(begin);
        server.run(&command.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

fn as_the_user(topology: Topology, wait_replicas: u32) -> Settings {
    Settings { reservation_ttl: Duration::from_secs(3), ..Settings::new(topology) }
        .by_user("moongate", PASSWORD)
        .within(Duration::from_secs(20))
        .acknowledged_by(wait_replicas)
}

/// Checks that nothing was refused to anyone, not even what would not have been missed. Older
/// servers do not know `CLIENT SETINFO`, newer ones log that it is refused.
async fn nothing_was_refused(servers: impl IntoIterator<Item = &RedisServer>) {
    for server in servers {
        let log: Value = server.ask(&["ACL", "LOG"]).await.unwrap();
        let refused = format!("{log:?}");
        assert!(
            !refused.contains("\"command\"") || refused.contains("client|setinfo"),
            "{refused}"
        );
    }
}

/// Does everything that the gateway does in Redis: with known data, as a new process, and after the
/// data is lost.
async fn everything_can_be_done(settings: &Settings, servers: &[&RedisServer]) {
    let users = Users::of(settings);
    users.do_everything().await;
    Users::of(settings).do_everything().await;
    for server in servers {
        server.run(&["SCRIPT", "FLUSH"]).await;
        let _: RedisResult<Value> = server.ask(&["FLUSHALL"]).await;
    }
    assert!(users.tries(Use::Snapshot).await.is_err(), "the loss is noticed");
    wait_until("the budgets are open again, and the servers are believed", || async {
        users.tries(Use::Admit).await.is_ok() && users.tries(Use::Probe).await.is_ok()
    })
    .await;
    users.do_everything().await;
}

#[tokio::test]
async fn the_documented_rights_suffice_and_reach_no_further() {
    let server = RedisServer::start().await;
    let replica = RedisServer::replica_of(&server).await;
    give([&server], "ACL SETUSER moongate").await;
    let settings = as_the_user(Topology::Single { url: format!("{}/0", server.url()) }, 1);
    everything_can_be_done(&settings, &[&server]).await;
    nothing_was_refused([&server, &replica]).await;

    for forbidden in [
        &["FLUSHALL"][..],
        &["FLUSHDB"],
        &["KEYS", "*"],
        &["SCAN", "0"],
        &["CONFIG", "GET", "*"],
        &["CLIENT", "LIST"],
        &["SCRIPT", "FLUSH"],
        &["SHUTDOWN", "NOSAVE"],
        &["MONITOR"],
        &["GET", "of-someone-else"],
        &["MIGRATE", "127.0.0.1", "1", "mg1:teams", "0", "1"],
        &["ACL", "WHOAMI"],
        &["PUBLISH", "mg1:teams", "x"],
    ] {
        let dry: Value =
            server.ask(&[&["ACL", "DRYRUN", "moongate"][..], forbidden].concat()).await.unwrap();
        assert_ne!(dry, Value::Okay, "{forbidden:?}");
    }
}

/// The Sentinels' own rights suffice to fail over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_suffice_behind_sentinels() {
    let mut sentinel = RedisSentinel::start().await;
    give(&sentinel.servers, "ACL SETUSER moongate").await;
    give(&sentinel.servers, "ACL SETUSER sentinel").await;
    for one in sentinel.sentinels() {
        one.run(&["SENTINEL", "SET", RedisSentinel::MASTER, "auth-user", "sentinel"]).await;
        one.run(&["SENTINEL", "SET", RedisSentinel::MASTER, "auth-pass", PASSWORD]).await;
    }
    let topology = sentinel.topology();
    let settings = as_the_user(topology, 1);
    everything_can_be_done(&settings, &[&sentinel.servers[0]]).await;
    nothing_was_refused(&sentinel.servers).await;
    for server in &sentinel.servers {
        wait_until("the Sentinels are there as their user", || async {
            let clients: String = server.ask(&["CLIENT", "LIST"]).await.unwrap();
            clients.contains("user=sentinel")
        })
        .await;
    }
    sentinel.servers[0].kill();
    let after = as_the_user(sentinel.topology(), 0);
    wait_until("the other serves", || async { Users::of(&after).tries(Use::Admit).await.is_ok() })
        .await;
    nothing_was_refused([&sentinel.servers[1]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_on_a_cluster() {
    let cluster = RedisCluster::start().await;
    give(cluster.nodes(), "ACL SETUSER moongate").await;
    let settings = as_the_user(Topology::Cluster { urls: cluster.urls() }, 0);
    let nodes: Vec<&RedisServer> = cluster.nodes().iter().collect();
    everything_can_be_done(&settings, &nodes).await;
    nothing_was_refused(cluster.nodes()).await;
}
