//! Every choice that Firemoon leaves open can be made either way.

use moongate::simulator::{BalanceShape, Charge, History, KeySettings, Limits, Settings};
use serde_json::json;

use super::client::{CAT, KEY, settings, start};

#[tokio::test]
async fn a_failed_generation_costs_what_the_charging_mode_says() {
    for (charge, failed, killed) in [
        (Charge::OnSuccess, json!(100), json!(100)),
        (Charge::BeforeAndRefund, json!(100), json!(99.975)),
        (Charge::BeforeAndKeep, json!(99.975), json!(99.975)),
    ] {
        let firemoon = start(Settings { charge, ..settings() }).await;
        assert_eq!(firemoon.spoilt("generation_failed").await.unwrap().status, 500);
        assert_eq!(firemoon.balance().await, failed, "{charge:?}");
        firemoon.call(http::Method::POST, "/_simulator/reset", &[], "").await;
        assert_eq!(firemoon.spoilt("platform_timeout").await.unwrap().status, 504);
        assert_eq!(firemoon.balance().await, killed, "{charge:?}");
        firemoon.call(http::Method::POST, "/_simulator/reset", &[], "").await;
        assert_eq!(firemoon.generate("flux/dev", CAT).await.status, 200);
        assert_eq!(firemoon.balance().await, json!(99.975), "{charge:?}");
    }
}

#[tokio::test]
async fn history_may_be_for_the_dashboard_only() {
    let firemoon = start(Settings { history: History::Session, ..settings() }).await;
    for path in ["/api/generations", "/api/usage"] {
        let answer = firemoon.get_with(KEY, path).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("Unauthorized")));
    }
    assert_eq!(firemoon.get_with(KEY, "/api/credits/balance").await.status, 200);
}

#[tokio::test]
async fn a_balance_may_be_nested_text() {
    let firemoon = start(Settings { balance_shape: BalanceShape::Nested, ..settings() }).await;
    let balance = json!({ "credits": { "balance": "100", "currency": "USD" } });
    assert_eq!(firemoon.get_with(KEY, "/api/credits/balance").await.json(), balance);
}

#[tokio::test]
async fn retry_after_and_counted_reads_can_be_switched_on() {
    let mut settings = Settings { retry_after: true, reads_count: true, ..settings() };
    settings.keys =
        vec![KeySettings::new("test", KEY, Limits { per_minute: Some(1), ..Limits::NONE })];
    let firemoon = start(settings).await;
    assert_eq!(firemoon.get_with(KEY, "/api/credits/balance").await.status, 200);
    let refused = firemoon.get_with(KEY, "/api/credits/balance").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("45")));
}

#[tokio::test]
async fn without_the_platform_everything_is_json() {
    let firemoon =
        start(Settings { platform_answers: false, body_bytes_max: 10, ..settings() }).await;
    for path in ["/nowhere", "/api/models/"] {
        let answer = firemoon.get(path).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (404, Some("Not found")));
    }
    assert_eq!(firemoon.generate("flux/dev", CAT).await.json()["error"], "Invalid input");
}

#[tokio::test]
async fn keys_of_one_account_share_only_its_balance() {
    let mut settings = settings();
    let key = |name: &str| KeySettings {
        account: "company".into(),
        ..KeySettings::new(name, name, Limits::PRO)
    };
    settings.keys = vec![key("one"), key("two")];
    settings.balance = "0.05".parse().unwrap();
    let firemoon = start(settings).await;
    for (key, status) in [("one", 200), ("two", 200), ("one", 402), ("two", 402)] {
        assert_eq!(firemoon.generate_with(key, "flux/dev", CAT).await.status, status);
    }
    assert_eq!(
        firemoon.generate_with("one", "flux/dev", CAT).await.header("x-ratelimit-remaining"),
        Some("57")
    );
    assert_eq!(firemoon.books().await["balances"], json!({ "company": 0 }));
}

#[tokio::test]
async fn prices_can_be_replaced() {
    let firemoon =
        start(Settings { prices: vec![("flux/dev".into(), "1.5".parse().unwrap())], ..settings() })
            .await;
    firemoon.generate("flux/dev", r#"{"prompt":"a","num_images":2}"#).await;
    assert_eq!(firemoon.balance().await, json!(97));
    assert_eq!(firemoon.get("/api/models").await.json()[0]["pricing"]["credits"], json!(1.5));
}

#[tokio::test]
async fn a_key_in_use_can_be_revoked_and_refilled() {
    let firemoon = start(settings()).await;
    for (change, status) in [
        (r#"{"revoked":true}"#, 401),
        (r#"{"revoked":false,"balance":"0"}"#, 402),
        (r#"{"balance":"5","suspended":true}"#, 403),
        (r#"{"suspended":false,"requests_per_minute":0}"#, 429),
        (r#"{"requests_per_minute":60}"#, 200),
    ] {
        assert_eq!(firemoon.put("/_simulator/keys/test", change).await.status, 200);
        assert_eq!(firemoon.generate("flux/dev", CAT).await.status, status, "{change}");
    }
    assert_eq!(firemoon.put("/_simulator/keys/nobody", "{}").await.status, 400);
    assert_eq!(firemoon.put("/_simulator/keys/test", r#"{"balence":1}"#).await.status, 400);
}
