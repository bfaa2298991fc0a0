//! Limits as a caller meets them: the seventh request of six a minute, the last credits, the last
//! slot.

use jiff::Timestamp;
use serde_json::json;

use super::spending::{limit_status, spent};
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, make_key, soon, with_operators};
use crate::support::redis::{RedisServer, wait_until};

#[tokio::test]
async fn a_day_and_a_month_may_have_a_billion_requests() {
    let firemoon = Firemoon::start();
    let most = json!({
        "requests_per_day": 1_000_000_000,
        "requests_per_month": { "limit": 1_000_000_000 },
    });
    let account = json!({ "requests_per_day": 1_000_000_000, "requests_per_month": 1_000_000_000 });
    let installation = with_operators(Installation::before(&firemoon))
        .set("/teams/design/limits", most.clone())
        .set("/teams/design/user_limits", most.clone())
        .set("/upstream/limits", account);
    let gateway = Gateway::serve(&installation).await;
    let (key, _) =
        make_key(&gateway, json!({ "team": "design", "name": "most", "limits": most })).await;
    soon(&gateway, &key, "200").await;
    let more = json!({
        "requests_per_day": 1_000_000_001,
        "requests_per_month": { "limit": 1_000_000_001 },
    });
    let more = Call::post("/admin/v1/keys")
        .with(OPS)
        .json(&json!({ "team": "design", "name": "x", "limits": more }));
    let refused = more.send_uninspected(gateway.operator()).await;
    assert_eq!(
        (refused.status, refused.json()["errors"].as_array().unwrap().len()),
        (400, 2),
        "{}",
        refused.text()
    );
    let reply = gateway.send(&picture().with(&key)).await;
    assert_eq!(
        (reply.status, reply.number("x-ratelimit-remaining")),
        (200, 999_999_999),
        "{}",
        reply.text()
    );
    for level in ["team", "user", "key"] {
        let status = limit_status(&gateway, &key, &format!("{level}:requests_per_month")).await;
        assert_eq!(
            (&status["max"], &status["remaining"]),
            (&json!(1_000_000_000), &json!(999_999_999)),
            "{level}"
        );
    }
}

#[tokio::test]
async fn the_seventh_request_of_six_learns_when_to_retry() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "requests_per_minute": 6 }));
    let gateway = Gateway::serve(&installation).await;
    let token = installation.token("ann");
    let first = Timestamp::now();
    for remaining in (0..6).rev() {
        let reply = gateway.send(&picture().with(&token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            (reply.number("x-ratelimit-limit"), reply.number("x-ratelimit-remaining")),
            (6, remaining)
        );
        assert_eq!(
            reply.header("ratelimit-policy"),
            Some(r#""team:requests_per_minute";q=6;w=60"#)
        );
    }
    let reply = gateway.send(&picture().with(&token)).await;
    let now = Timestamp::now();
    assert_eq!(reply.refusal(), (429, "rate_limited".to_owned()));
    assert_eq!(reply.header("x-error-source"), Some("policy"));
    // One call every ten seconds comes back; the bucket was touched first at `first`.
    let wait = reply.number("retry-after");
    let reset: Timestamp = reply.json()["resetAt"].as_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    let from_first = first.duration_until(reset).as_secs_f64();
    assert!(
        (9.9..=10.0 + first.duration_until(now).as_secs_f64()).contains(&from_first),
        "{from_first}"
    );
    assert!((now.duration_until(reset).as_secs_f64() - wait as f64).abs() <= 1.5, "{reset} {wait}");
    let reset_second = reply.number("x-ratelimit-reset");
    assert!((reset_second - reset.as_second()).abs() <= 1, "{reset_second} {reset}");
    assert_eq!((reply.number("x-ratelimit-limit"), reply.number("x-ratelimit-remaining")), (6, 0));
    assert_eq!(
        reply.header("ratelimit"),
        Some(format!(r#""team:requests_per_minute";r=0;t={wait}"#).as_str())
    );
    let body = reply.json();
    assert_eq!(body["error"], "Rate limit exceeded");
    assert_eq!(body["message"], format!("Rate limit exceeded. Try again in {wait} seconds."));
    assert_eq!(body["errors"], json!(["team:requests_per_minute allows 6: 6 used, 0 reserved"]));
    assert_eq!(firemoon.executed().await, 6);
    let refusals =
        r#"moongate_refusals_total{team="design",reason="rate_limited",source="policy"}"#;
    assert_eq!(gateway.metric(refusals).await, Some(1.0));
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_let_through() {
    let firemoon = Firemoon::start();
    let limits = json!({ "requests_per_second": { "limit": 1, "burst": 1 } });
    let installation = Installation::before(&firemoon).set("/teams/design/limits", limits);
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    let refused = gateway.send(&call).await;
    assert_eq!(
        (refused.refusal(), refused.number("retry-after")),
        ((429, "rate_limited".to_owned()), 1)
    );
    let reset: Timestamp = refused.json()["resetAt"].as_str().unwrap().parse().unwrap();
    wait_until("the reset time has passed", || async { Timestamp::now() >= reset }).await;
    assert_eq!(gateway.send(&call).await.status, 200);
}

/// The budget makes one picture after that.
#[tokio::test]
async fn a_budget_for_two_pictures_refuses_four() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 0.15 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let reply = gateway.send(&pictures(4).with(key)).await;
    assert_eq!((reply.status, reply.header("x-credits-cost")), (200, Some("0.1")));
    assert_eq!(reply.header("x-credits-remaining"), Some("0.05"));

    let refused = gateway.send(&pictures(4).with(key)).await;
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned()));
    let message = "Insufficient credits to generate content: team:credits_total allows 0.15: 0.1 \
                   used, 0 reserved, this call costs up to 0.1; it does not reset: the operators \
                   of this gateway can top it up";
    assert_eq!(refused.json()["message"], message);
    assert_eq!(refused.json()["error"], "Insufficient credits");
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0.1".to_owned(), "0".to_owned())
    );

    let reply = gateway.send(&picture().with(key)).await;
    assert_eq!((reply.status, reply.header("x-credits-remaining")), (200, Some("0.025")));
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200, "the last of it may be spent");
    assert_eq!(gateway.send(&picture().with(key)).await.status, 402);
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0.15".to_owned(), "0".to_owned())
    );
    assert_eq!(firemoon.charged().await, "0.15");
}

#[tokio::test]
async fn a_third_concurrent_call_is_refused_until_one_ends() {
    let firemoon = Firemoon::start();
    let installation =
        Installation::before(&firemoon).set("/teams/design/limits", json!({ "concurrent": 2 }));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    firemoon.hold().await;
    let running: Vec<_> = (0..2)
        .map(|_| {
            let (call, team) = (call.clone(), gateway.team().to_owned());
            tokio::spawn(async move { call.send(&team).await.status })
        })
        .collect();
    firemoon.until_held(2).await;
    let refused = gateway.send(&call).await;
    assert_eq!(refused.refusal(), (429, "too_many_concurrent".to_owned()));
    assert_eq!(
        refused.json()["errors"],
        json!(["team:concurrent allows 2 calls at a time: 2 are open"])
    );
    firemoon.release().await;
    for call in running {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(firemoon.executed().await, 3);
}

#[tokio::test]
async fn users_and_keys_have_limits_beside_the_teams() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 5 }))
        .set("/teams/design/user_limits", json!({ "requests_per_day": 2 }));
    let narrow = json!({
        "team": "design",
        "name": "narrow",
        "user": "robot",
        "limits": { "credits_per_day": 0.025 },
    });
    installation.add_key("narrow", narrow);
    let gateway = Gateway::serve(&installation).await;
    let (ann, bob) = (installation.token("ann"), installation.token("bob"));
    let refused_by = async |credential: &str| {
        let reply = gateway.send(&picture().with(credential)).await;
        (reply.status, reply.json()["errors"][0].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused_by(&ann).await.0, 200);
    assert_eq!(refused_by(&ann).await.0, 200);
    assert_eq!(
        refused_by(&ann).await,
        (429, "user:requests_per_day allows 2: 2 used, 0 reserved".to_owned())
    );
    assert_eq!(refused_by(installation.key("narrow")).await.0, 200);
    let reply = gateway.send(&picture().with(installation.key("narrow"))).await;
    assert_eq!(reply.refusal(), (402, "budget_exhausted".to_owned()));
    assert!(
        reply.json()["message"]
            .as_str()
            .unwrap()
            .contains("key:credits_per_day allows 0.025: 0.025 used")
    );
    assert_eq!(refused_by(&bob).await.0, 200);
    assert_eq!(refused_by(&bob).await.0, 200);
    let carl = installation.token("carl");
    assert_eq!(
        refused_by(&carl).await,
        (429, "team:requests_per_day allows 5: 5 used, 0 reserved".to_owned())
    );
    let reply = gateway.send(&picture().with(&carl)).await;
    assert_eq!(reply.refusal(), (429, "quota_exhausted".to_owned()));
    assert_eq!(firemoon.executed().await, 5);
}
