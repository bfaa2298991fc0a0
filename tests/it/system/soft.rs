//! Soft thresholds: a budget that is nearly used up is told of once in its window, whichever replica makes it so.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

const CROSSED: &str = r#"moongate_soft_limit_crossings_total{team="design",limit="team:credits_per_month"}"#;
const LINE: &str = "a budget is nearly used up";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_under_load_one_tells_that_a_budget_is_nearly_used_up() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_per_month": { "limit": 1, "soft": 0.8 } }))
        .set("/teams/design/user_limits", json!({ "credits_total": { "limit": "0.5", "soft": 1 } }));
    let replicas = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    assert_eq!(replicas[0].metric(CROSSED).await, Some(0.0), "a threshold that was never reached is shown as such");
    let users = ["ann", "bob", "cid"].map(|user| installation.token(user));
    let calls = (0..60).map(|number| {
        let (gateway, credential) = (&replicas[number % 2], &users[number % 3]);
        async move { gateway.send(&picture().with(credential)).await.status }
    });
    let statuses = join_all(calls).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 40, "a credit is forty pictures");
    let mut lines = Vec::new();
    let mut crossings = 0.0;
    for gateway in &replicas {
        lines.extend(gateway.lines(LINE));
        crossings += gateway.metric(CROSSED).await.unwrap();
    }
    assert_eq!(crossings, 1.0);
    let of_the_team: Vec<_> = lines.iter().filter(|line| line["limit"] == "team:credits_per_month").collect();
    assert_eq!(of_the_team.len(), 1, "{lines:?}");
    let line = of_the_team[0];
    assert_eq!([&line["team"], &line["soft"], &line["max"]], ["design", "0.8", "1"]);
    for [used, reserved] in [["used", "reserved"].map(|name| line[name].as_str().unwrap().parse::<f64>().unwrap())] {
        assert!((0.799..0.826).contains(&(used + reserved)), "the call that came to it is the one that tells: {line}");
    }
    let of_users = lines.iter().filter(|line| line["limit"] == "user:credits_total");
    assert!(of_users.into_iter().all(|line| ["ann", "bob", "cid"].contains(&line["whose"].as_str().unwrap())));

    let next = Gateway::serve(&installation).await;
    let refused = next.send(&picture().with(&users[0])).await;
    assert_eq!(refused.refusal().1, "budget_exhausted");
    assert_eq!((next.metric(CROSSED).await, next.lines(LINE).len()), (Some(0.0), 0), "nor does one that starts later");
}
