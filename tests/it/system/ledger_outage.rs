//! Redis absent, silent or back again: nothing is spent that is not counted, and nothing needs a
//! restart.

use serde_json::json;

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, free_port, wait_until};

/// The ledger's deadline in tests that wait for its end: not so short that a busy machine passes it
/// when nothing is wrong.
const BRIEF: &str = "2s";

/// Used and reserved of the team's prepaid credits, when the ledger answers: each worker finds out
/// by itself that Redis is back, so that a refusal may still come between two answers.
async fn budget(gateway: &Gateway, credential: &str) -> Option<(String, String)> {
    let reply = gateway.send(&Call::get("/gateway/v1/me").with(credential)).await;
    let me = reply.json();
    let budget =
        me["limits"].as_array()?.iter().find(|status| status["limit"] == "team:credits_total")?;
    Some((budget["used"].to_string(), budget["reserved"].to_string()))
}

fn used_and_reserved(used: &str, reserved: &str) -> Option<(String, String)> {
    Some((used.to_owned(), reserved.to_owned()))
}

/// Until then it refuses.
#[tokio::test]
async fn a_gateway_without_redis_becomes_ready_when_it_arrives() {
    let (port, firemoon) = (free_port(), Firemoon::start());
    let installation = Installation::before(&firemoon)
        .set("/ledger", json!({ "redis": { "url": format!("redis://127.0.0.1:{port}") } }))
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let gateway = Gateway::start(&installation).await;
    let call = picture().with(installation.key("design"));
    for _ in 0..3 {
        let refused = gateway.send(&call).await;
        assert_eq!(refused.refusal(), (503, "ledger_unavailable".to_owned()));
        assert_eq!(
            (refused.header("x-error-source"), refused.number("retry-after")),
            (Some("gateway"), 1)
        );
    }
    let refused =
        gateway.send(&Call::get("/api/credits/balance").with(installation.key("design"))).await;
    assert_eq!(refused.refusal(), (503, "ledger_unavailable".to_owned()));
    let (status, body) = gateway.readiness().await;
    assert_eq!(status, 503);
    assert!(body.to_string().contains("ledger"), "it says what is missing: {body}");
    assert_eq!(gateway.ask("/livez").await.status, 200, "but it is alive");
    assert_eq!(firemoon.requests().await, 0);
    assert_eq!(gateway.metric("moongate_ledger_up").await, Some(0.0));

    let _redis = RedisServer::start_on(port).await;
    wait_until("it is ready", || async { gateway.readiness().await.0 == 200 }).await;
    wait_until("every worker has found it", || async { gateway.send(&call).await.status == 200 })
        .await;
    let key = installation.key("design");
    wait_until("the ledger has what it cost", || async {
        budget(&gateway, key).await == used_and_reserved("0.025", "0")
    })
    .await;
}

/// The caller is answered at once.
#[tokio::test]
async fn a_call_that_ends_during_a_silence_is_settled_later() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/ledger/redis/deadline", json!(BRIEF))
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let (call, team) = (picture().with(&key), gateway.team().to_owned());
    let call = tokio::spawn(async move { call.send(&team).await.status });
    firemoon.until_held(1).await;
    redis.freeze();
    firemoon.release().await;
    assert_eq!(call.await.unwrap(), 200, "it was paid for and made: its caller gets it");
    assert_eq!(
        gateway.send(&picture().with(&key)).await.refusal(),
        (503, "ledger_unavailable".to_owned())
    );
    redis.thaw();
    wait_until("the call is settled", || async {
        budget(&gateway, &key).await == used_and_reserved("0.025", "0")
    })
    .await;
    assert_eq!(firemoon.executed().await, 1);
}

#[tokio::test]
async fn a_refused_call_that_a_slow_redis_executes_costs_nothing() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/ledger/redis/deadline", json!(BRIEF))
        .set("/ledger/reservation_ttl", json!("2s"))
        .set("/teams/design/limits", json!({ "credits_total": 0.05 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
    redis.freeze();
    // What it asks for lies in Redis' own buffer, and is done when Redis goes on: too late, nobody
    // waits for it.
    assert_eq!(
        gateway.send(&picture().with(key)).await.refusal(),
        (503, "ledger_unavailable".to_owned())
    );
    redis.thaw();
    wait_until("nothing more is held or spent", || async {
        budget(&gateway, key).await == used_and_reserved("0.025", "0")
    })
    .await;
    wait_until("the last of the money can be spent", || async {
        gateway.send(&picture().with(key)).await.status == 200
    })
    .await;
    assert_eq!((firemoon.executed().await, firemoon.charged().await), (2, "0.05".to_owned()));
}

#[tokio::test]
async fn redis_may_die_and_return_while_the_gateway_runs() {
    let (port, firemoon) = (free_port(), Firemoon::start());
    let mut redis = RedisServer::start_on(port).await;
    let installation =
        Installation::on(&redis, &firemoon).set("/ledger/redis/deadline", json!(BRIEF));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    redis.kill();
    assert_eq!(gateway.send(&call).await.refusal(), (503, "ledger_unavailable".to_owned()));
    let _redis = RedisServer::start_on(port).await;
    wait_until("calls are taken again", || async { gateway.send(&call).await.status == 200 }).await;
}
