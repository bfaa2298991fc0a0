//! The account's balance against the ledger: no drift where there is none, and a warning where
//! there is, whenever the upstream charges.

use serde_json::{Value, json};

use super::spending::spent;
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, moongate, see, with_operators};
use crate::support::redis::wait_until;

const BALANCE: &str = r#"moongate_upstream_balance_credits{key="primary"}"#;
const DRIFT: &str = r#"moongate_upstream_drift_credits{key="primary"}"#;

/// An installation that holds the balance against its ledger all the time, and says every credit
/// that drifts.
fn watching(firemoon: &Firemoon) -> Installation {
    let reconcile = json!({ "every": "100ms", "balance_pointer": "/balance", "drift_max": 0 });
    let limits = json!({ "credits_total": 100 });
    Installation::before(firemoon)
        .set("/upstream/reconcile", reconcile)
        .set("/teams/design/limits", limits)
}

async fn until_balance_is(gateway: &Gateway, credits: f64) {
    wait_until(&format!("the balance is {credits}"), || async {
        gateway.metric(BALANCE).await == Some(credits)
    })
    .await;
}

async fn until_drift_is(gateway: &Gateway, credits: f64) {
    let drift = || async {
        gateway.metric(DRIFT).await.is_some_and(|drift| (drift - credits).abs() < 1e-9)
    };
    wait_until(&format!("the drift is {credits}"), drift).await;
}

fn warnings(gateway: &Gateway) -> Vec<Value> {
    gateway.lines("the account's balance drifts from the ledger")
}

#[tokio::test]
async fn a_drift_is_reported_until_the_balance_rises() {
    let firemoon = Firemoon::start();
    let installation = with_operators(watching(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    until_balance_is(&gateway, 1000.0).await;
    for call in [picture(), pictures(3)] {
        assert_eq!(gateway.send(&call.with(key)).await.status, 200);
    }
    until_balance_is(&gateway, 999.9).await;
    until_drift_is(&gateway, 0.0).await;
    assert_eq!(warnings(&gateway), Vec::<Value>::new());

    firemoon.change_key(&json!({ "balance": 994.9 })).await;
    until_drift_is(&gateway, 5.0).await;
    wait_until("the log says so", || async { !warnings(&gateway).is_empty() }).await;
    let warning = warnings(&gateway).remove(0);
    assert_eq!(
        (&warning["drift"], &warning["unexplained"]),
        (&json!("5"), &json!("5")),
        "{warning}"
    );
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let (code, report, _) = moongate(&gateway, &installation, &["usage", "--period", "today"]);
    let last = report.lines().last().unwrap_or_default();
    assert!(code == 0 && last.starts_with("Shared key primary: balance 994.9 at "), "{report}");
    assert!(last.contains("; drift 5 since "), "{report}");
    let (_, report, _) =
        moongate(&gateway, &installation, &["usage", "--period", "today", "--team", "design"]);
    assert!(!report.contains("balance"), "the account is every team's: {report}");
    let balances = see(&gateway, "/admin/v1/usage").await["balances"].take();
    assert_eq!(
        (&balances[0]["balance"], &balances[0]["drift"]),
        (&json!(994.9), &json!(5)),
        "{balances}"
    );

    firemoon.change_key(&json!({ "balance": 2000 })).await;
    until_balance_is(&gateway, 2000.0).await;
    until_drift_is(&gateway, 0.0).await;
    let rose = "the account's balance rose: counting begins anew";
    wait_until("the log says so", || async { gateway.line(rose).is_some() }).await;
    let rose = gateway.line(rose).unwrap();
    assert_eq!(rose["by"], "1005.1", "{rose}");
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
    until_balance_is(&gateway, 1999.975).await;
    until_drift_is(&gateway, 0.0).await;
}

/// Unknown calls may also cause no drift: that depends on what either side charges for them.
#[tokio::test]
async fn unknown_calls_explain_a_drift_of_the_balance() {
    // What the gateway charges for a failed call, what the upstream does, and what that makes of
    // the drift.
    let cases = [
        ("charge", "on-success", -0.025),
        ("charge", "before-and-keep", 0.0),
        ("release", "before-and-keep", 0.025),
        ("release", "on-success", 0.0),
    ];
    for (on_unknown, charge, drift) in cases {
        let firemoon = Firemoon::start_with(&["--charge", charge]);
        let installation = watching(&firemoon).set("/pricing/on_unknown", json!(on_unknown));
        let gateway = Gateway::serve(&installation).await;
        until_balance_is(&gateway, 1000.0).await;
        firemoon.faults(&json!([{ "fault": "generation_failed", "times": 1 }])).await;
        let key = installation.key("design");
        assert_eq!(gateway.send(&picture().with(key)).await.status, 500);
        assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
        let charged = if on_unknown == "charge" { "0.05" } else { "0.025" };
        assert_eq!(
            spent(&gateway, key, "team:credits_total").await,
            (charged.to_owned(), "0".to_owned())
        );
        until_balance_is(&gateway, if charge == "on-success" { 999.975 } else { 999.95 }).await;
        until_drift_is(&gateway, drift).await;
        assert_eq!(warnings(&gateway), Vec::<Value>::new(), "{on_unknown} {charge}");
    }
}

#[tokio::test]
async fn an_emptied_accounts_key_returns_with_its_balance() {
    let firemoon = Firemoon::start_with(&["--balance", "0", "--balance-shape", "nested"]);
    let installation =
        watching(&firemoon).set("/upstream/reconcile/balance_pointer", json!("/credits/balance"));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.refusal(), (503, "shared_credits_exhausted".to_owned()));
    let state = async || gateway.readiness().await.1["upstream_keys"]["primary"].clone();
    assert_eq!(state().await, json!("no_credits"));
    firemoon.change_key(&json!({ "balance": 10 })).await;
    wait_until("the key is used again", || async { state().await == json!("ok") }).await;
    let returned = "the balance has returned: the shared key is used again";
    wait_until("the log says so", || async { gateway.line(returned).is_some() }).await;
    assert_eq!(gateway.send(&call).await.status, 200);
}

#[tokio::test]
async fn reports_name_no_balance_once_reconciliation_is_taken_away() {
    let firemoon = Firemoon::start();
    let mut installation = with_operators(watching(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    until_balance_is(&gateway, 1000.0).await;
    let balances =
        || async { see(&gateway, "/admin/v1/usage").await["balances"].as_array().unwrap().len() };
    assert_eq!(balances().await, 1);
    installation.change("/upstream/reconcile", json!(null));
    wait_until("the balance is gone", || async { balances().await == 0 }).await;
}
