//! Revocation and suspension while a replica cannot reach Redis: what is known stays in force, what was changed meanwhile is known
//! two seconds after it can.

use serde_json::json;

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{change, judged, make_key, soon, with_operators};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};

async fn cut_off_and_back(fault: Fault) {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let proxy = Proxy::start(redis.port()).await;
    let installation = with_operators(Installation::on(&redis, &firemoon));
    let behind = format!("redis://127.0.0.1:{}", proxy.port());
    let through = with_operators(Installation::on(&redis, &firemoon))
        .set("/ledger", json!({ "redis": { "url": behind, "deadline": "250ms" } }));
    let (mut near, mut far) = (Gateway::serve(&installation).await, Gateway::serve(&through).await);
    let (revoked, id) = make_key(&near, json!({ "team": "design", "name": "gone" })).await;
    let (kept, _) = make_key(&near, json!({ "team": "growth", "name": "stays" })).await;
    for key in [&revoked, &kept] {
        near.forbid(key.rsplit('_').next().unwrap());
        far.forbid(key.rsplit('_').next().unwrap());
        soon(&far, key, "200").await;
    }

    proxy.set(fault);
    wait_until("the far replica has lost its store", || async {
        far.send(&picture().with(&kept)).await.refusal().1 == "ledger_unavailable"
    })
    .await;
    change(&near, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    change(&near, "/admin/v1/teams/growth/suspend", json!({})).await;
    assert_eq!(judged(&near, &revoked).await, "credential_revoked");
    // It cannot know, and it can spend nothing either.
    assert_eq!(far.send(&picture().with(&revoked)).await.refusal(), (503, "ledger_unavailable".to_owned()));
    assert_eq!(judged(&far, "mgk_").await, "credential_invalid");
    let refused = crate::support::caller::Call::post(&format!("/admin/v1/keys/{id}/rotate"))
        .with(crate::support::operator::OPS)
        .send_uninspected(far.operator())
        .await;
    assert_eq!(refused.refusal(), (503, "ledger_unavailable".to_owned()));

    proxy.set(Fault::None);
    soon(&far, &revoked, "credential_revoked").await;
    soon(&far, &kept, "team_suspended").await;
    assert_eq!(firemoon.executed().await, 0);
}

#[tokio::test]
async fn what_was_taken_while_redis_was_silent_is_known_two_seconds_after_its_return() {
    cut_off_and_back(Fault::SwallowAnswers).await;
}

#[tokio::test]
async fn what_was_taken_while_redis_was_cut_off_is_known_two_seconds_after_its_return() {
    cut_off_and_back(Fault::CutBeforeAnswer).await;
}

#[tokio::test]
async fn a_replica_that_never_saw_the_register_judges_no_key_of_it_and_is_not_ready() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operators(Installation::on(&redis, &firemoon));
    let near = Gateway::serve(&installation).await;
    let (key, _) = make_key(&near, json!({ "team": "design", "name": "ci" })).await;
    let proxy = Proxy::start(redis.port()).await;
    proxy.set(Fault::SwallowAnswers);
    let behind = format!("redis://127.0.0.1:{}", proxy.port());
    let through = with_operators(Installation::on(&redis, &firemoon))
        .set("/ledger", json!({ "redis": { "url": behind, "deadline": "250ms" } }));
    let far = Gateway::start(&through).await;
    assert_eq!(judged(&far, &key).await, "identity_unavailable", "it may be good: nobody is told that it is not");
    assert_eq!(far.readiness().await.0, 503);
    proxy.set(Fault::None);
    wait_until("the gateway is ready", || async { far.readiness().await.0 == 200 }).await;
    assert_eq!(judged(&far, &key).await, "200");
}
