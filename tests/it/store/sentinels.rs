//! Sentinels that ask for a password of their own, which need not be the servers'.

use serde_json::json;

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisSentinel, RedisServer, wait_until};

const PASSWORD: &str = "password-of-the-sentinels-4c1d";

/// A gateway's installation on one Sentinel, with this password for it.
fn installation(sentinel: &RedisServer, firemoon: &Firemoon, password: &str) -> Installation {
    let installation = Installation::before(firemoon);
    std::fs::write(installation.folder().join("sentinel-password"), password).unwrap();
    let sentinel = json!({
        "urls": [sentinel.url()],
        "master": RedisSentinel::MASTER,
        "password": { "file": "sentinel-password" },
    });
    installation.set("/ledger", json!({ "redis": { "sentinel": sentinel, "deadline": "20s" } }))
}

#[tokio::test]
async fn a_store_is_found_through_a_sentinel_with_a_password() {
    let (primary, firemoon) = (RedisServer::start().await, Firemoon::start());
    let sentinel = primary.watched_with_password(PASSWORD);
    let installation = installation(&sentinel, &firemoon, PASSWORD);
    let mut gateway = Gateway::serve(&installation).await;
    gateway.forbid(PASSWORD);
    let reply = gateway.send(&picture().with(installation.key("design"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn a_password_that_sentinels_refuse_is_named_in_the_log() {
    let (primary, firemoon) = (RedisServer::start().await, Firemoon::start());
    let sentinel = primary.watched_with_password(PASSWORD);
    let installation = installation(&sentinel, &firemoon, "another-password-9a2e");
    let mut gateway = Gateway::start(&installation).await;
    gateway.forbid("another-password-9a2e");
    wait_until("the log says why", || async {
        let lines = gateway.lines("the ledger fails");
        lines.iter().any(|line| {
            line["outage"].as_str().is_some_and(|why| why.contains("ledger.redis.sentinel"))
        })
    })
    .await;
    assert_eq!(gateway.readiness().await.0, 503);
}
