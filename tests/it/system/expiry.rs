//! After traffic of every kind through the whole gateway, what stays in Redis for ever is a closed
//! list.

use serde_json::json;

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{change, make_key, soon, with_operators};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::by_gateways;

#[tokio::test]
async fn every_redis_key_expires_except_a_closed_list() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operators(Installation::on(&redis, &firemoon))
        .set("/upstream/limits", json!({ "requests_per_minute": 1000 }))
        .set(
            "/teams/design/limits",
            json!({ "requests_per_minute": 1000, "concurrent": 9, "credits_per_month": 9 }),
        )
        .set(
            "/teams/design/user_limits",
            json!({ "requests_per_hour": 1000, "credits_per_day": 9 }),
        )
        .set("/teams/growth/limits", json!({ "credits_total": 9 }));
    let mut gateway = Gateway::serve(&installation).await;
    let (key, _) = make_key(&gateway, json!({ "team": "design", "name": "ci" })).await;
    gateway.forbid(key.rsplit('_').next().unwrap());
    soon(&gateway, &key, "200").await;
    let (ann, growth) = (installation.token("ann"), installation.key("growth"));
    for credential in [&key, &ann, growth] {
        let once = picture().with(credential).header("idempotency-key", "order-1");
        assert_eq!(gateway.send(&once).await.status, 200);
        assert_eq!(gateway.send(&once).await.status, 200);
        assert_eq!(gateway.send(&Call::get("/api/usage").with(credential)).await.status, 200);
    }
    change(&gateway, "/admin/v1/teams/growth/topup", json!({ "id": "a", "credits": "1" })).await;
    change(&gateway, "/admin/v1/teams/growth/suspend", json!({})).await;
    let used = "mg1:{:register}:used";
    wait_until("the use of the key is noted", || async {
        redis.ask::<i64>(&["EXISTS", used]).await == Ok(1)
    })
    .await;

    let mut keys: Vec<String> = redis.ask(&["KEYS", "*"]).await.unwrap();
    keys.sort();
    let others = ["{!shared}:windows", "replay:key:", "replay:bodies"];
    for part in others.into_iter().chain(by_gateways::OF_EVERY_KIND) {
        assert!(keys.iter().any(|key| key.contains(part)), "{part} of {keys:?}");
    }
    let mut lasting = Vec::new();
    for key in keys {
        if redis.ask::<i64>(&["PTTL", &key]).await.unwrap() < 0 {
            lasting.push(key);
        }
    }
    let exceptions = [
        // The registry: keys and suspensions last until an operator ends them.
        "mg1:{:register}:entries",
        "mg1:{:register}:used",
        "mg1:{:register}:version",
        // Keys of the store itself: since when it is known, and which teams it has had.
        "mg1:teams",
        "mg1:{mg1:teams}:reigns",
    ];
    let mut expected = by_gateways::of_a_prepaid_team("growth");
    expected.extend(exceptions.map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(lasting, expected);
}
