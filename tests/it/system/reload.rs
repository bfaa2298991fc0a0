//! The configuration changes while the gateway runs: picked up whole, or not at all.

use serde_json::json;

use super::spending::spent;
use crate::support::caller::generate;
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// Limits, prices, keys and suspensions.
#[tokio::test]
async fn a_reload_changes_settings_and_forgets_no_spending() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 0.025 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    let call = picture().with(&key);
    let status = async || gateway.send(&call).await.status;
    assert_eq!((status().await, status().await), (200, 402));

    installation.change("/teams/design/limits", json!({ "credits_total": 1_000 }));
    wait_until("the wider budget is known", || async { status().await == 200 }).await;
    assert_eq!(
        spent(&gateway, &key, "team:credits_total").await.0,
        "0.05",
        "what was spent stays spent"
    );

    let changed = "the configuration was changed";
    gateway.line_written(changed, |line| line["subject"] == "team design").await;
    let lines = gateway.lines(changed);
    let wider: Vec<_> = lines.iter().filter(|line| line["subject"] == "team design").collect();
    assert_eq!(wider.len(), 1, "{lines:?}");
    assert_eq!(
        (&wider[0]["event"], &wider[0]["before"], &wider[0]["after"]),
        (
            &json!("config_change"),
            &json!({ "limits": { "credits_total": "0.025" } }),
            &json!({ "limits": { "credits_total": "1000" } })
        )
    );

    installation.change("/pricing/models/flux~1dev/per_image", json!(0.2));
    let dearer = async || gateway.send(&call).await.header("x-credits-cost").map(str::to_owned);
    wait_until("the new price is known", || async { dearer().await.as_deref() == Some("0.2") })
        .await;

    installation.change("/teams/design/suspended", json!(true));
    wait_until("the team is suspended", || async { status().await == 403 }).await;
    installation.change("/teams/design/suspended", json!(false));
    installation.change("/teams/design/models", json!(["flux/schnell"]));
    wait_until("the model is forbidden", || async {
        gateway.send(&call).await.refusal() == (403, "model_not_allowed".to_owned())
    })
    .await;
    let schnell = generate("flux/schnell", &json!({ "prompt": PROMPT })).with(&key);
    assert_eq!(gateway.send(&schnell).await.status, 200);

    installation.add_key("laptop", json!({ "team": "design", "name": "laptop" }));
    let schnell =
        generate("flux/schnell", &json!({ "prompt": PROMPT })).with(installation.key("laptop"));
    wait_until("the new key is known", || async { gateway.send(&schnell).await.status == 200 })
        .await;
    installation.change("/identity/keys", json!([]));
    wait_until("the keys are gone", || async { gateway.send(&schnell).await.status == 401 }).await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_told() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    let success = "moongate_config_last_reload_success";
    assert_eq!(gateway.metric(success).await, Some(1.0));
    for bad in
        ["listen: [", "", "taems: {}", "teams: { design: { models: [\"*\"], suspended: maybe } }"]
    {
        installation.replace(bad);
        wait_until("the bad file is counted", || async {
            gateway.metric(success).await == Some(0.0)
        })
        .await;
        assert_eq!(gateway.send(&call).await.status, 200, "{bad:?}: the old settings stay");
        installation.change("/time_zone", json!("UTC"));
        wait_until("the good file is taken", || async {
            gateway.metric(success).await == Some(1.0)
        })
        .await;
    }
    // Each once.
    let stays = "the configuration was not reloaded: the old one stays";
    let lines = gateway.lines_written(4, stays).await;
    assert!(lines[2]["problems"].as_str().unwrap().contains("taems"), "{}", lines[2]);
    assert!(
        lines[2]["problems"].as_str().unwrap().contains("teams"),
        "it names the nearest known key: {}",
        lines[2]
    );
}

#[tokio::test]
async fn a_signal_reads_the_file_at_once() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon).set("/reload/poll", json!("1h"));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    installation.change("/teams/design/suspended", json!(true));
    gateway.signal("-HUP");
    wait_until("the file was read", || async { gateway.send(&call).await.status == 403 }).await;
}

#[tokio::test]
async fn a_shared_key_rotated_in_its_file_is_used() {
    const NEXT: &str = "fm_live_next_77aa";
    let firemoon = Firemoon::start_with(&["--key", &format!("next={NEXT}")]);
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    std::fs::write(installation.folder().join("shared-key"), NEXT).unwrap();
    wait_until("the new key is used", || async {
        assert_eq!(gateway.send(&call).await.status, 200);
        firemoon.sums().await["keys"]["next"]["executed"]
            .as_u64()
            .is_some_and(|executed| executed > 0)
    })
    .await;
    assert!(
        !gateway.output().contains(NEXT) && !gateway.ask("/metrics").await.text().contains(NEXT)
    );
}

#[tokio::test]
async fn a_call_in_flight_keeps_the_settings_it_began_with() {
    let firemoon = Firemoon::start();
    let mut installation =
        Installation::before(&firemoon).set("/teams/design/limits", json!({ "credits_total": 1 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let (call, team) = (picture().with(&key), gateway.team().to_owned());
    let running = tokio::spawn(async move {
        let reply = call.send(&team).await;
        (reply.status, reply.header("x-credits-cost").map(str::to_owned))
    });
    firemoon.until_held(1).await;
    installation.change("/pricing/models/flux~1dev/per_image", json!(0.9));
    wait_until("the new settings are in place", || async {
        gateway.line("the configuration was reloaded").is_some()
    })
    .await;
    firemoon.release().await;
    assert_eq!(running.await.unwrap(), (200, Some("0.025".to_owned())));
    assert_eq!(
        spent(&gateway, &key, "team:credits_total").await,
        ("0.025".to_owned(), "0".to_owned())
    );
}
