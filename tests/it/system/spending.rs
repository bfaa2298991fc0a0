//! A team's spending as the team reads it, and that it agrees with the metrics and with what
//! Firemoon charged.

use serde_json::{Value, json};

use crate::support::caller::{Call, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

/// Limits of every kind, wide enough for any test, so that whatever is counted shows.
pub(super) fn wide_limits() -> Value {
    json!({
        "requests_per_second": 1000,
        "requests_per_minute": 10_000,
        "requests_per_hour": 100_000,
        "requests_per_day": 100_000,
        "requests_per_month": 100_000,
        "credits_per_day": 100,
        "credits_per_month": 100,
        "credits_total": 100,
        "concurrent": 100,
    })
}

/// One limit, as `/gateway/v1/me` shows it.
pub(super) async fn limit_status(gateway: &Gateway, credential: &str, limit: &str) -> Value {
    let me = gateway.send(&Call::get("/gateway/v1/me").with(credential)).await;
    assert_eq!(me.status, 200, "{}", me.text());
    let me = me.json();
    let found = me["limits"].as_array().unwrap().iter().find(|status| status["limit"] == limit);
    found.unwrap_or_else(|| panic!("no {limit}: {me}")).clone()
}

/// Credits used and reserved of a budget, as decimals.
pub(super) async fn spent(gateway: &Gateway, credential: &str, limit: &str) -> (String, String) {
    let status = limit_status(gateway, credential, limit).await;
    (status["used"].to_string(), status["reserved"].to_string())
}

/// Fails when anything at all was used or reserved by the team of this credential.
pub(super) async fn assert_untouched(gateway: &Gateway, credential: &str) {
    let me = gateway.send(&Call::get("/gateway/v1/me").with(credential)).await.json();
    for status in me["limits"].as_array().unwrap() {
        assert_eq!((&status["used"], &status["reserved"]), (&json!(0), &json!(0)), "{status}");
        assert_eq!(status["remaining"], status["max"], "{status}");
    }
}

/// Fails when the team of this credential has paid or still holds anything. Rates may have been
/// used: a call was made.
pub(super) async fn assert_given_back(gateway: &Gateway, credential: &str) {
    let me = gateway.send(&Call::get("/gateway/v1/me").with(credential)).await.json();
    let rates = ["team:requests_per_second", "team:requests_per_minute", "team:requests_per_hour"]
        .map(Value::from);
    for status in
        me["limits"].as_array().unwrap().iter().filter(|status| !rates.contains(&status["limit"]))
    {
        assert_eq!((&status["used"], &status["reserved"]), (&json!(0), &json!(0)), "{status}");
    }
}

/// The team's own, the metrics and Firemoon's.
#[tokio::test]
async fn a_teams_spending_agrees_in_every_book() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        Installation::on(&redis, &firemoon).set("/teams/design/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
    assert_eq!(gateway.send(&pictures(4).with(key)).await.status, 200);
    let video = generate("kling/kling-2-1-master", &json!({ "prompt": PROMPT, "duration": "10" }));
    let reply = gateway.send(&video.with(key)).await;
    assert_eq!((reply.status, reply.header("x-credits-cost")), (200, Some("2.8")));

    for limit in ["team:credits_per_day", "team:credits_per_month", "team:credits_total"] {
        assert_eq!(
            spent(&gateway, key, limit).await,
            ("2.925".to_owned(), "0".to_owned()),
            "{limit}"
        );
    }
    let balance = gateway.send(&Call::get("/api/credits/balance").with(key)).await.json();
    assert_eq!(balance["balance"].to_string(), "97.075");
    for limit in ["team:requests_per_day", "team:requests_per_month"] {
        let status = limit_status(&gateway, key, limit).await;
        assert_eq!((&status["used"], &status["reserved"]), (&json!(3), &json!(0)), "{status}");
    }
    assert_eq!(firemoon.charged().await, "2.925");

    let flux = r#"{team="design",model="flux/dev"}"#;
    let kling = r#"{team="design",model="kling/kling-2-1-master"}"#;
    assert_eq!(gateway.metric(&format!("moongate_team_credits_total{flux}")).await, Some(0.125));
    assert_eq!(gateway.metric(&format!("moongate_team_images_total{flux}")).await, Some(5.0));
    assert_eq!(gateway.metric(&format!("moongate_team_credits_total{kling}")).await, Some(2.8));
    assert_eq!(
        gateway.metric(&format!("moongate_team_video_seconds_total{kling}")).await,
        Some(10.0)
    );
    let ok = r#"moongate_team_requests_total{team="design",model="flux/dev",outcome="ok"}"#;
    assert_eq!(gateway.metric(ok).await, Some(2.0));
    let used = r#"moongate_limit_used{team="design",limit="team:credits_per_day"}"#;
    crate::support::redis::wait_until("the limit's metric follows", || async {
        gateway.metric(used).await == Some(2.925)
    })
    .await;
}

#[tokio::test]
async fn a_team_sees_its_own_spending_and_no_other_teams() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/teams/growth/limits", wide_limits());
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    assert_untouched(&gateway, installation.key("growth")).await;
    let me = gateway.send(&Call::get("/gateway/v1/me").with(installation.key("growth"))).await;
    assert!(!me.text().contains("design"), "{}", me.text());
}
