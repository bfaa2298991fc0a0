//! A Redis that may evict what was spent: refused at the start unless the configuration allows it,
//! and an error when it becomes one later.

use serde_json::{Value, json};

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

const EVICTS: [&str; 4] = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];

async fn flaws(gateway: &Gateway) -> String {
    gateway.readiness().await.1["ledger_store"].to_string()
}

fn lines_of(gateway: &Gateway, level: &str) -> Vec<Value> {
    let lines = [
        "the ledger's store is not fit to keep what was spent",
        "the ledger's store may lose what was spent",
    ];
    let mut lines = lines.iter().flat_map(|line| gateway.lines(line)).collect::<Vec<_>>();
    lines.retain(|line| line["level"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(level)));
    lines
}

/// The gateway starts if the configuration allows an evicting store.
#[tokio::test]
async fn a_gateway_refuses_to_start_on_an_evicting_redis() {
    let (redis, firemoon) = (RedisServer::start_with(&EVICTS).await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon);
    let mut gateway = Gateway::start(&installation).await;
    assert_eq!(gateway.ended().await.code(), Some(1));
    let address = format!("127.0.0.1:{}", redis.port());
    wait_until("it says why", || async {
        let output = gateway.output();
        let last = output.lines().rfind(|line| line.starts_with("moongate: ")).unwrap_or_default();
        last.contains(&address)
            && last.contains("maxmemory-policy allkeys-lru")
            && last.contains("allow_eviction")
    })
    .await;
    wait_until("it is an error in the log", || async { lines_of(&gateway, "error").len() == 1 })
        .await;
    assert!(gateway.line("ready").is_none());

    let installation = installation.set("/ledger/redis/allow_eviction", json!(true));
    let gateway = Gateway::serve(&installation).await;
    assert!(flaws(&gateway).await.contains("allkeys-lru"));
    wait_until("it is warned of", || async { lines_of(&gateway, "warn").len() == 1 }).await;
    assert_eq!(lines_of(&gateway, "error").len(), 0);
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
}

#[tokio::test]
async fn a_redis_that_begins_to_evict_is_an_error() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon);
    let mut gateway = Gateway::serve(&installation).await;
    assert_eq!(flaws(&gateway).await, "null");
    redis.run(&["CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lfu"]).await;
    wait_until("it is in the readiness", || async {
        flaws(&gateway).await.contains("allkeys-lfu")
    })
    .await;
    wait_until("it is in the log", || async { lines_of(&gateway, "error").len() == 1 }).await;
    assert_eq!(gateway.readiness().await.0, 200);
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    redis.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    wait_until("it is mended", || async {
        gateway.line("the ledger's store is fit again").is_some()
    })
    .await;
    assert_eq!(flaws(&gateway).await, "null");
    assert!(gateway.runs());
}

#[tokio::test]
async fn an_evicting_policy_without_a_memory_bound_only_warns() {
    let (redis, firemoon) = (RedisServer::start_with(&EVICTS[2..]).await, Firemoon::start());
    let gateway = Gateway::serve(&Installation::on(&redis, &firemoon)).await;
    assert!(flaws(&gateway).await.contains("maxmemory is 0"));
    wait_until("it is warned of", || async { lines_of(&gateway, "warn").len() == 1 }).await;
    assert_eq!(lines_of(&gateway, "error").len(), 0);
}
