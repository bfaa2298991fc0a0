//! Limits in shadow: counted, reported and shown like any other, at every level, but never
//! refusing.

use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, make_key, moongate, see, with_operators};
use crate::support::redis::RedisServer;

/// Every kind of limit, each for one picture at most, in shadow.
fn shadows() -> Value {
    let shadow = |limit: Value| json!({ "limit": limit, "shadow": true });
    json!({
        "requests_per_second": shadow(json!(0)),
        "requests_per_minute": shadow(json!(1)),
        "requests_per_hour": shadow(json!(1)),
        "requests_per_day": shadow(json!(1)),
        "requests_per_month": shadow(json!(1)),
        "credits_per_day": shadow(json!("0.025")),
        "credits_per_month": shadow(json!("0.025")),
        "credits_total": shadow(json!("0.025")),
        "concurrent": shadow(json!(0)),
    })
}

/// The limits are counted and shown on every level.
#[tokio::test]
async fn shadow_limits_are_counted_shown_and_refuse_nobody() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    for installation in [Installation::before(&firemoon), Installation::on(&redis, &firemoon)] {
        let installation = with_operators(installation)
            .set("/teams/design/limits", shadows())
            .set("/teams/design/user_limits", shadows());
        let mut gateway = Gateway::serve(&installation).await;
        let wanted = json!({ "team": "design", "name": "ci", "user": "ann", "limits": shadows() });
        let (key, _) = make_key(&gateway, wanted).await;
        gateway.forbid(key.rsplit('_').next().unwrap());
        for _ in 0..3 {
            let reply = gateway.send(&picture().with(&key)).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            for header in ["x-ratelimit-remaining", "ratelimit", "x-credits-remaining"] {
                assert_eq!(reply.header(header), None, "a limit in shadow is in no header");
            }
        }
        let me = gateway.send(&Call::get("/gateway/v1/me").with(&key)).await.json();
        let limits = me["limits"].as_array().unwrap();
        assert_eq!(limits.len(), 27);
        for limit in limits {
            assert_eq!(limit["shadow"], true, "{limit}");
            let name = limit["limit"].as_str().unwrap();
            // Buckets refill, and calls in flight are over.
            if name.contains("credits") {
                assert_eq!(
                    [&limit["used"], &limit["max"], &limit["remaining"]],
                    [0.075, 0.025, 0.0],
                    "{limit}"
                );
            } else if name.ends_with("_day") || name.ends_with("_month") {
                assert_eq!(
                    [&limit["used"], &limit["max"], &limit["remaining"]],
                    [3, 1, 0],
                    "{limit}"
                );
            }
            let counted =
                format!(r#"moongate_shadow_refusals_total{{team="design",limit="{name}"}}"#);
            let counted = gateway.metric(&counted).await.unwrap();
            let at_least =
                if name.ends_with("_second") || name.ends_with("concurrent") { 3.0 } else { 1.0 };
            assert!((at_least..=3.0).contains(&counted), "{name}: {counted}");
        }
        let balance = gateway.send(&Call::get("/api/credits/balance").with(&key)).await.json();
        assert_eq!(balance["balance"], Value::Null, "no budget keeps the team from spending");
        let team = see(&gateway, "/admin/v1/teams/design").await;
        assert!(team["limits"].as_array().unwrap().iter().all(|limit| limit["shadow"] == true));
        std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
        let (_, shown, _) = moongate(&gateway, &installation, &["teams", "show", "design"]);
        assert_eq!(shown.matches("(shadow: refuses nobody)").count(), 9, "{shown}");
        let (_, listed, _) = moongate(&gateway, &installation, &["teams", "list"]);
        let design = listed.lines().find(|line| line.starts_with("design ")).unwrap();
        assert!(!design.contains("left"), "a shadow limit is never the tightest: {listed}");
        let refusals =
            r#"moongate_refusals_total{team="design",reason="budget_exhausted",source="policy"}"#;
        assert!(gateway.metric(refusals).await.is_none_or(|refused| refused == 0.0));
    }
}
