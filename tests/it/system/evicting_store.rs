//! A Redis that may drop what was spent: refused at the start unless allowed by name, and an error when it becomes one.

use serde_json::{Value, json};

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

const EVICTS: [&str; 4] = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];

async fn flaws(gateway: &Gateway) -> String {
    gateway.readiness().await.1["ledger_store"].to_string()
}

fn said(gateway: &Gateway, level: &str) -> Vec<Value> {
    let lines = ["the ledger's store is not fit to keep what was spent", "the ledger's store may lose what was spent"];
    let mut said = lines.iter().flat_map(|line| gateway.lines(line)).collect::<Vec<_>>();
    said.retain(|line| line["level"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(level)));
    said
}

#[tokio::test]
async fn a_gateway_does_not_begin_on_a_redis_that_evicts_unless_it_is_allowed_to() {
    let (redis, firemoon) = (RedisServer::start_with(&EVICTS).await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon);
    let mut gateway = Gateway::start(&installation).await;
    assert_eq!(gateway.ended().await.code(), Some(1));
    let address = format!("127.0.0.1:{}", redis.port());
    wait_until("it says why", || async {
        let said = gateway.said();
        let last = said.lines().rfind(|line| line.starts_with("moongate: ")).unwrap_or_default();
        last.contains(&address) && last.contains("maxmemory-policy allkeys-lru") && last.contains("allow_eviction")
    })
    .await;
    wait_until("it is an error in the log", || async { said(&gateway, "error").len() == 1 }).await;
    assert!(gateway.line("ready").is_none());

    let installation = installation.set("/ledger/redis/allow_eviction", json!(true));
    let gateway = Gateway::serve(&installation).await;
    assert!(flaws(&gateway).await.contains("allkeys-lru"));
    wait_until("it is warned of", || async { said(&gateway, "warn").len() == 1 }).await;
    assert_eq!(said(&gateway, "error").len(), 0);
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
}

#[tokio::test]
async fn a_redis_that_begins_to_evict_is_an_error_and_ends_nothing() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon);
    let mut gateway = Gateway::serve(&installation).await;
    assert_eq!(flaws(&gateway).await, "null");
    redis.run(&["CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lfu"]).await;
    wait_until("it is in the readiness", || async { flaws(&gateway).await.contains("allkeys-lfu") }).await;
    wait_until("it is in the log", || async { said(&gateway, "error").len() == 1 }).await;
    assert_eq!(gateway.readiness().await.0, 200);
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    redis.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    wait_until("it is mended", || async { gateway.line("the ledger's store is fit again").is_some() }).await;
    assert_eq!(flaws(&gateway).await, "null");
    assert!(gateway.runs());
}

#[tokio::test]
async fn where_memory_has_no_end_nothing_is_evicted_and_the_policy_is_only_a_warning() {
    let (redis, firemoon) = (RedisServer::start_with(&EVICTS[2..]).await, Firemoon::start());
    let gateway = Gateway::serve(&Installation::on(&redis, &firemoon)).await;
    assert!(flaws(&gateway).await.contains("maxmemory is 0"));
    wait_until("it is warned of", || async { said(&gateway, "warn").len() == 1 }).await;
    assert_eq!(said(&gateway, "error").len(), 0);
}
