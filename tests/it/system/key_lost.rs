//! A store that has lost the key registry, whole or its last writes: a revoked key stays revoked,
//! and a valid one stays valid.

use serde_json::json;

use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{change, judged, make_key, soon, with_operators};
use crate::support::redis::{RedisServer, wait_until};

const ENTRIES: &str = "mg1:{:register}:entries";
const VERSION: &str = "mg1:{:register}:version";

/// Suspensions are restored, too; all stay in force meanwhile.
#[tokio::test]
async fn keys_and_revocations_the_store_lost_are_restored() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operators(Installation::on(&redis, &firemoon));
    let mut gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let (kept, _) = make_key(&gateways[0], json!({ "team": "design", "name": "kept" })).await;
    let (gone, gone_id) = make_key(&gateways[0], json!({ "team": "design", "name": "gone" })).await;
    for key in [&kept, &gone] {
        gateways.iter_mut().for_each(|gateway| gateway.forbid(key.rsplit('_').next().unwrap()));
    }
    let before: Vec<u8> = redis.ask(&["HGET", ENTRIES, &format!("key:{gone_id}")]).await.unwrap();
    change(&gateways[0], &format!("/admin/v1/keys/{gone_id}/revoke"), json!({})).await;
    change(&gateways[0], "/admin/v1/teams/growth/suspend", json!({})).await;
    let growth = installation.key("growth");
    let expected =
        [(&kept[..], "200"), (&gone[..], "credential_revoked"), (growth, "team_suspended")];
    for (credential, judgement) in expected {
        soon(&gateways[1], credential, judgement).await;
    }

    redis.run(&["FLUSHALL"]).await;
    let names = || async { redis.ask::<i64>(&["HLEN", ENTRIES]).await.unwrap() };
    wait_until("everything is brought back", || async { names().await == 3 }).await;
    let older = String::from_utf8(before).unwrap();
    redis.run(&["HSET", ENTRIES, &format!("key:{gone_id}"), &older]).await;
    redis.run(&["SET", VERSION, "an older copy's"]).await;
    let entry = || async {
        redis.ask::<String>(&["HGET", ENTRIES, &format!("key:{gone_id}")]).await.unwrap()
    };
    wait_until("it is revoked again", || async { entry().await != older }).await;
    let later = Gateway::serve(&installation).await;
    for gateway in gateways.iter().chain([&later]) {
        for (credential, judgement) in expected {
            // The ledger was flushed as well, and its budgets are closed for a moment.
            wait_until(judgement, || async { judged(gateway, credential).await == judgement })
                .await;
        }
    }
    assert_eq!(firemoon.executed().await, 0);
}
