//! A Cluster restarts beneath a gateway: everything stored there is usable again as soon as the
//! Cluster is.

use serde_json::json;

use crate::idempotency::gateway::once;
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{make_key, soon, with_operators};
use crate::support::redis::{RedisCluster, wait_until};

/// Claims, permits, queries and the key registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_works_once_calls_are_taken_again() {
    let (mut cluster, firemoon) = (RedisCluster::start().await, Firemoon::start());
    let installation = with_operators(Installation::before(&firemoon))
        .set(
            "/ledger",
            json!({ "redis": { "cluster": { "urls": cluster.urls() }, "deadline": "20s" } }),
        )
        .set("/upstream/limits", json!({ "requests_per_day": 1000 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let before = gateway.send(&once("before", key)).await;
    assert_eq!(before.status, 200, "{}", before.text());
    make_key(&gateway, json!({ "team": "design", "name": "before" })).await;

    for node in cluster.nodes() {
        node.run(&["SAVE"]).await;
    }
    cluster.restart().await;
    // The breaker of the ledger may just have opened; it lets a call through after a tenth of a
    // second.
    wait_until("calls are taken again", || async {
        gateway.send(&picture().with(key)).await.status == 200
    })
    .await;

    // No claim was made meanwhile.
    let again = gateway.send(&once("before", key)).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (200, Some("true")),
        "{}",
        again.text()
    );
    let after = gateway.send(&once("after", key)).await;
    assert_eq!(
        (after.status, after.header("idempotency-replayed")),
        (200, None),
        "{}",
        after.text()
    );
    let id = before.header("x-call-id").unwrap();
    for path in [
        &format!("/gateway/v1/requests/{id}"),
        "/gateway/v1/requests",
        "/api/generations",
        "/api/usage",
    ] {
        let view = gateway.send(&Call::get(path).with(key)).await;
        assert_eq!(view.status, 200, "{path}: {}", view.text());
    }
    let (made, _) = make_key(&gateway, json!({ "team": "design", "name": "after" })).await;
    soon(&gateway, &made, "200").await;
    let left = r#"moongate_upstream_limit_remaining{key="",window="day"}"#;
    let counted =
        async || gateway.metric(left).await == Some(1000.0 - firemoon.requests().await as f64);
    wait_until("what was counted of the shared account before is counted after", counted).await;
    assert_eq!(firemoon.requests().await, 3);
}
