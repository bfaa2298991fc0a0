//! Soft thresholds: a budget that reaches its threshold is reported once in its window, by
//! whichever replica it happens on.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::receiver::{Answer, Receiver};
use crate::support::redis::{RedisServer, wait_until};

const CROSSED: &str =
    r#"moongate_soft_limit_crossings_total{team="design",limit="team:credits_per_month"}"#;
const LINE: &str = "a budget is nearly used up";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_gives_the_budget_notice() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_per_month": { "limit": 1, "soft": 0.8 } }))
        .set(
            "/teams/design/user_limits",
            json!({ "credits_total": { "limit": "0.5", "soft": 1 } }),
        );
    let replicas = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    assert_eq!(
        replicas[0].metric(CROSSED).await,
        Some(0.0),
        "a threshold that was never reached is shown as such"
    );
    let users = ["ann", "bob", "cid"].map(|user| installation.token(user));
    let calls = (0..60).map(|number| {
        let (gateway, credential) = (&replicas[number % 2], &users[number % 3]);
        async move { gateway.send(&picture().with(credential)).await.status }
    });
    let statuses = join_all(calls).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        40,
        "a credit is forty pictures"
    );
    let crossings =
        [replicas[0].metric(CROSSED).await.unwrap(), replicas[1].metric(CROSSED).await.unwrap()];
    assert_eq!(crossings.iter().sum::<f64>(), 1.0, "{crossings:?}");
    let lines = || replicas.iter().flat_map(|gateway| gateway.lines(LINE)).collect::<Vec<_>>();
    let of_the_team = || {
        lines()
            .into_iter()
            .filter(|line| line["limit"] == "team:credits_per_month")
            .collect::<Vec<_>>()
    };
    wait_until("the line is written", || async { !of_the_team().is_empty() }).await;
    assert_eq!(of_the_team().len(), 1);
    let line = of_the_team().remove(0);
    assert_eq!([&line["team"], &line["soft"], &line["max"]], ["design", "0.8", "1"]);
    let amount = |name: &str| line[name].as_str().unwrap().parse::<f64>().unwrap();
    let held = amount("used") + amount("reserved");
    assert!(
        (0.799..0.801).contains(&held),
        "the call that reached it is the one that reports it: {line}"
    );
    let of_users = lines().into_iter().filter(|line| line["limit"] == "user:credits_total");
    assert!(
        of_users
            .into_iter()
            .all(|line| ["ann", "bob", "cid"].contains(&line["whose"].as_str().unwrap()))
    );

    let next = Gateway::serve(&installation).await;
    let refused = next.send(&picture().with(&users[0])).await;
    assert_eq!(refused.refusal().1, "budget_exhausted");
    assert_eq!(
        (next.metric(CROSSED).await, next.lines(LINE).len()),
        (Some(0.0), 0),
        "a replica that starts later does not report it again"
    );
}

#[tokio::test]
async fn the_webhook_is_called_once_and_its_secret_kept() {
    let (receiver, firemoon) = (Receiver::start(&[Answer::Status(503)]).await, Firemoon::start());
    let webhook = json!({
        "url": format!("{}?token=hook-query-4f0e", receiver.url()),
        "authorization": { "file": "hook" },
    });
    let installation = Installation::before(&firemoon)
        .set(
            "/teams/design/limits",
            json!({ "credits_per_month": { "limit": "0.1", "soft": 0.5 } }),
        )
        .set("/webhook", webhook);
    std::fs::write(installation.folder().join("hook"), "Bearer hook-secret-77ab\n").unwrap();
    let mut gateway = Gateway::serve(&installation).await;
    gateway.forbid("hook-secret-77ab");
    gateway.forbid("hook-query-4f0e");
    let token = installation.token("ann");
    for _ in 0..4 {
        assert_eq!(gateway.send(&picture().with(&token)).await.status, 200);
    }
    let delivered = r#"moongate_webhook_notices_total{result="delivered"}"#;
    wait_until("the notice is delivered, at the second try", || async {
        gateway.metric(delivered).await == Some(1.0)
    })
    .await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    for (headers, body) in &received {
        assert_eq!(headers["authorization"], "Bearer hook-secret-77ab");
        assert_eq!(
            [&body["team"], &body["limit"], &body["user"]],
            [&json!("design"), &json!("team:credits_per_month"), &json!(null)]
        );
        assert_eq!(
            [&body["soft"], &body["max"], &body["used"], &body["reserved"]],
            [0.5, 0.1, 0.025, 0.025]
        );
        assert!(body["reset"].is_string() && body["id"] == received[0].1["id"], "{body}");
    }
}
