//! Firemoon fails again and again: calls are refused at once, at no cost, until a probe that costs
//! nothing is answered.

use std::time::Duration;

use serde_json::{Value, json};

use super::spending::{spent, wide_limits};
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

const OPEN: &str = "moongate_upstream_breaker_open";
const OPENED: &str = "the upstream fails again and again: calls are refused until it answers";
const CLOSED: &str = "the upstream answers again: calls are sent to it";

/// Opens after three failures; probes come soon.
fn soon() -> Value {
    json!({ "consecutive_failures": 3, "open_for": "50ms", "open_for_max": "200ms" })
}

/// Opens after three failures; no probe comes while a test runs.
fn for_ever() -> Value {
    json!({ "consecutive_failures": 3, "open_for": "1h", "open_for_max": "1h" })
}

fn installation(firemoon: &Firemoon, breaker: Value) -> Installation {
    let limits = Installation::before(firemoon).set("/teams/design/limits", wide_limits());
    limits.set("/teams/growth/limits", wide_limits()).set("/upstream/breaker", breaker)
}

/// A fault that the catalogue has too, so that no probe is answered.
fn everywhere(fault: &str) -> Value {
    json!([{ "fault": fault }, { "fault": fault, "path": "/api/models" }])
}

#[tokio::test]
async fn an_open_breaker_refuses_at_once_without_a_reservation() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon, for_ever());
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let once = picture().with(key).header("idempotency-key", "made-before");
    assert_eq!(gateway.send(&once).await.status, 200);
    assert_eq!(gateway.metric(OPEN).await, Some(0.0));

    firemoon.faults(&json!([{ "fault": "bad_gateway" }])).await;
    for _ in 0..3 {
        assert_eq!(
            gateway.send(&picture().with(key)).await.refusal(),
            (502, "upstream_broken".to_owned())
        );
    }
    let (sent, spent_before) =
        (firemoon.requests().await, spent(&gateway, key, "team:credits_total").await);
    for team in ["design", "growth"] {
        let reply = gateway.send(&picture().with(installation.key(team))).await;
        assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()));
        assert_eq!(reply.header("x-error-source"), Some("upstream"));
        let retry_after = reply.number("retry-after");
        assert!(
            (1700..=3600).contains(&retry_after),
            "from half of the open time to all of it: {retry_after}"
        );
    }
    assert_eq!(firemoon.requests().await, sent, "nothing was sent");
    assert_eq!(spent(&gateway, key, "team:credits_total").await, spent_before);
    assert_eq!(spent(&gateway, installation.key("growth"), "team:requests_per_month").await.0, "0");

    assert_eq!(gateway.metric(OPEN).await, Some(1.0));
    assert_eq!(gateway.line(OPENED).expect("a line")["failures"], 3);
    let (status, report) = gateway.readiness().await;
    assert_eq!((status, &report["upstream"]), (200, &json!("breaker_open")));
    let replayed = gateway.send(&once).await;
    assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (200, Some("true")));
    let quote = Call::post("/gateway/v1/quote/flux/dev").with(key).json(&json!({ "prompt": "x" }));
    assert_eq!(gateway.send(&quote).await.status, 200);
    assert_eq!(gateway.send(&Call::get("/api/models")).await.status, 200);
}

#[tokio::test]
async fn every_kind_of_failure_opens_it_and_probes_are_free() {
    let firemoon = Firemoon::start();
    let installation =
        installation(&firemoon, soon()).set("/upstream/answer_timeout", json!("300ms"));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    for (number, fault) in
        ["bad_gateway", "platform_timeout", "reset_before_answer", "slow_headers"]
            .iter()
            .enumerate()
    {
        firemoon.faults(&everywhere(fault)).await;
        for _ in 0..3 {
            let status = gateway.send(&call).await.status;
            assert!([502, 504].contains(&status), "{fault}: {status}");
        }
        assert_eq!(
            gateway.send(&call).await.refusal(),
            (503, "upstream_unavailable".to_owned()),
            "{fault}"
        );
        let sent = firemoon.sums().await["requests"].as_u64().unwrap();
        wait_until("it is probed, in vain", || async { firemoon.requests().await > sent + 1 })
            .await;
        assert_eq!(
            gateway.send(&call).await.refusal(),
            (503, "upstream_unavailable".to_owned()),
            "{fault}"
        );
        let executed = firemoon.executed().await;
        firemoon.faults(&json!([])).await;
        wait_until("it is closed", || async { gateway.lines(CLOSED).len() == number + 1 }).await;
        assert_eq!(firemoon.executed().await, executed, "{fault}: no call was the experiment");
        assert_eq!(gateway.send(&call).await.status, 200, "{fault}");
        wait_until("the metric says so", || async { gateway.metric(OPEN).await == Some(0.0) })
            .await;
    }
    gateway.lines_written(4, OPENED).await;
}

#[tokio::test]
async fn a_firemoon_that_is_gone_is_spared_and_rediscovered() {
    let mut firemoon = Firemoon::start();
    let installation = installation(&firemoon, soon());
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    let address = firemoon.address().to_owned();
    firemoon.kill();
    for _ in 0..3 {
        assert_eq!(gateway.send(&call).await.refusal(), (502, "upstream_unreachable".to_owned()));
    }
    assert_eq!(gateway.send(&call).await.refusal(), (503, "upstream_unavailable".to_owned()));
    let firemoon = Firemoon::start_at(&address, &[]);
    wait_until("it is closed", || async { gateway.line(CLOSED).is_some() }).await;
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(firemoon.executed().await, 1);
    let spent = spent(&gateway, installation.key("design"), "team:credits_total").await;
    assert_eq!(spent, ("0.025".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn only_another_address_resets_the_breaker_on_reload() {
    let (firemoon, other) = (Firemoon::start(), Firemoon::start());
    let mut installation = installation(&firemoon, for_ever());
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    firemoon.faults(&json!([{ "fault": "bad_gateway" }])).await;
    for _ in 0..3 {
        assert_eq!(gateway.send(&call).await.status, 502);
    }
    installation.change("/upstream/answer_timeout", json!("299s"));
    installation.change("/teams/design/suspended", json!(true));
    wait_until("the reload is in force", || async { gateway.send(&call).await.status == 403 })
        .await;
    installation.change("/teams/design/suspended", json!(false));
    wait_until("and the next", || async { gateway.send(&call).await.status != 403 }).await;
    assert_eq!(gateway.send(&call).await.refusal(), (503, "upstream_unavailable".to_owned()));

    installation.change("/upstream/base_url", json!(other.base_url()));
    wait_until("calls go to the other", || async { gateway.send(&call).await.status == 200 }).await;
    wait_until("the metric says so", || async { gateway.metric(OPEN).await == Some(0.0) }).await;
    assert_eq!(firemoon.executed().await, 0);
}

#[tokio::test]
async fn one_teams_bad_input_does_not_open_it_for_others() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon, for_ever());
    let gateway = Gateway::serve(&installation).await;
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    firemoon.faults(&json!([{ "fault": "generation_failed" }])).await;
    for _ in 0..20 {
        assert_eq!(gateway.send(&picture().with(design)).await.status, 500);
    }
    for fault in
        ["access_denied", "model_not_found", "html_not_found", "payload_too_large", "redirect"]
    {
        firemoon.faults(&json!([{ "fault": fault }])).await;
        for _ in 0..4 {
            let status = gateway.send(&picture().with(design)).await.status;
            assert_ne!(status, 503, "{fault}");
        }
    }
    firemoon.faults(&json!([])).await;
    assert_eq!(gateway.send(&picture().with(growth)).await.status, 200);
    assert_eq!((gateway.metric(OPEN).await, gateway.line(OPENED)), (Some(0.0), None));
}

#[tokio::test]
async fn queued_calls_are_released_when_the_breaker_opens() {
    let mut firemoon = Firemoon::start();
    let installation = installation(&firemoon, for_ever())
        .set("/upstream/limits", json!({ "requests_per_minute": 3 }))
        .set("/queue/max_wait", json!("1h"));
    let gateway = Gateway::serve(&installation).await;
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    firemoon.hold().await;
    let held: Vec<_> = (0..3).map(|_| send(&gateway, design)).collect();
    firemoon.until_held(3).await;
    // More than can go out should the minute end meanwhile: one at least waits.
    let later: Vec<_> = (0..4).map(|_| send(&gateway, growth)).collect();
    let depth = r#"moongate_team_queue_depth{team="growth"}"#;
    wait_until("a call waits", || async { gateway.metric(depth).await >= Some(1.0) }).await;
    firemoon.kill();
    for held in held {
        assert_eq!(held.await.unwrap(), (502, "upstream_broken".to_owned()));
    }
    let mut released = 0;
    for call in later {
        let refusal =
            tokio::time::timeout(Duration::from_secs(60), call).await.expect("at once").unwrap();
        released += u32::from(refusal == (503, "upstream_unavailable".to_owned()));
    }
    assert!(released > 0);
    let (used, reserved) = spent(&gateway, growth, "team:requests_per_month").await;
    assert_eq!(
        (used, reserved.as_str()),
        ((4 - released).to_string(), "0"),
        "their reservations are released"
    );
}

/// Sends a picture from a task of its own: the status and code of the refusal that it ends with.
fn send(gateway: &Gateway, key: &str) -> tokio::task::JoinHandle<(u16, String)> {
    let (address, call) = (gateway.team().to_owned(), picture().with(key));
    tokio::spawn(async move { call.send(&address).await.refusal() })
}
