//! The spending metrics agree with the ledger's charges, whatever happens to the replicas.

use std::collections::BTreeMap;

use serde_json::json;

use super::reports::{usage_json, with_operator};
use crate::support::caller::generate;
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

/// Team and model → credits and calls that a replica's gauges show for a period.
async fn shown(gateway: &Gateway, period: &str) -> BTreeMap<(String, String), (f64, f64)> {
    let mut shown = BTreeMap::<(String, String), (f64, f64)>::new();
    let page = gateway.ask("/metrics").await;
    for line in page.text().lines() {
        let Some((labels, value)) = line.rsplit_once(' ') else { continue };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let (Some(team), Some(model)) = (label("team"), label("model")) else { continue };
        if label("period").as_deref() != Some(period) {
            continue;
        }
        let (credits, calls) = shown.entry((team, model)).or_default();
        if labels.starts_with("moongate_team_spent_credits{") {
            *credits += value.parse::<f64>().unwrap();
        } else if labels.starts_with("moongate_team_calls{") {
            *calls += value.parse::<f64>().unwrap();
        }
    }
    shown
}

/// The same as `moongate usage` reports it.
fn reported(gateway: &Gateway, period: &str) -> BTreeMap<(String, String), (f64, f64)> {
    let report = usage_json(gateway, &["--period", period, "--by", "team,model"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let line = |row: &serde_json::Value| {
        let (credits, calls) = (row["cost"].as_f64().unwrap(), row["requests"].as_f64().unwrap());
        ((text(&row["team"]), text(&row["model"])), (credits, calls))
    };
    report["rows"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn spend_gauges_equal_the_ledger_after_replicas_die() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operator(Installation::before(&firemoon))
        .set("/ledger", json!({ "redis": { "url": redis.url() }, "reservation_ttl": "2s" }));
    let mut first = Gateway::serve(&installation).await;
    let video = generate("kling/kling-2-1-master", &json!({ "prompt": PROMPT, "duration": "5" }));
    for call in [picture(), picture(), video] {
        assert_eq!(first.send(&call.with(installation.key("design"))).await.status, 200);
    }
    // Between two scrapes, so that no counter was ever seen of it.
    first.kill();
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    for (gateway, team) in [(&one, "growth"), (&other, "design"), (&other, "growth")] {
        assert_eq!(gateway.send(&picture().with(installation.key(team))).await.status, 200);
    }
    for (shown_as, reported_as) in [("today", "today"), ("month", "month"), ("total", "all")] {
        let expected = reported(&one, reported_as);
        assert_eq!(expected.len(), 3, "{expected:?}");
        for gateway in [&one, &other] {
            wait_until("the gauges say what the report says", || async {
                shown(gateway, shown_as).await == expected
            })
            .await;
        }
    }
}
