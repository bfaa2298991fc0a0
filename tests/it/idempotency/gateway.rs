//! Calls with an idempotency key, through whole gateways: made once, paid once, answered each time.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, PROMPT, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

/// A picture that is to be made once.
pub(crate) fn once(key: &str, credential: &str) -> Call {
    picture().with(credential).header("idempotency-key", key)
}

/// Credits used and reserved of the team's prepaid budget.
pub(super) async fn spent(gateway: &Gateway, credential: &str) -> (String, String) {
    let me = gateway.send(&Call::get("/gateway/v1/me").with(credential)).await.json();
    let limits = me["limits"].as_array().unwrap().iter();
    let budget = limits.clone().find(|limit| limit["limit"] == "team:credits_total").unwrap();
    (budget["used"].to_string(), budget["reserved"].to_string())
}

pub(super) async fn replays(gateway: &Gateway, kind: &str) -> Option<f64> {
    gateway.metric(&format!(r#"moongate_replays_total{{kind="{kind}"}}"#)).await
}

pub(super) fn prepaid(installation: Installation) -> Installation {
    let limits = json!({ "credits_total": 100, "requests_per_day": 1000 });
    installation.set("/teams/design/limits", limits.clone()).set("/teams/growth/limits", limits)
}

#[tokio::test]
async fn a_repeated_call_gets_the_same_answer_for_free() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    for kind in ["replayed", "joined", "fetched", "mismatch"] {
        assert_eq!(replays(&gateway, kind).await, Some(0.0), "{kind}");
    }
    let design = installation.key("design");
    let first = gateway.send(&once("order-1", design).header("x-request-id", "first")).await;
    assert_eq!(
        (first.status, first.header("idempotency-replayed")),
        (200, None),
        "{}",
        first.text()
    );
    for _ in 0..3 {
        let again = gateway.send(&once("order-1", design).header("x-request-id", "again")).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        for same in [
            "content-type",
            "x-request-id",
            "x-call-id",
            "x-credits-remaining",
            "x-ratelimit-remaining",
        ] {
            assert!(
                again.header(same).is_some() && again.header(same) == first.header(same),
                "{same}"
            );
        }
        assert_eq!(again.header("x-credits-cost"), Some("0"));
        assert_eq!(again.header("x-credits-cost-original"), Some("0.025"));
        assert!(
            again.header("server-timing").unwrap().ends_with("queue;dur=0.000, upstream;dur=0.000")
        );
    }
    assert!(first.header("x-credits-cost-original").is_none());
    assert_eq!(firemoon.requests().await, 1);
    assert_eq!(spent(&gateway, design).await, ("0.025".to_owned(), "0".to_owned()));
    assert_eq!(replays(&gateway, "replayed").await, Some(3.0));

    let other = gateway.send(&once("order-2", design)).await;
    assert_eq!(
        (other.status, other.header("idempotency-replayed")),
        (200, None),
        "another key is another call"
    );
    assert_eq!(firemoon.executed().await, 2);
}

#[tokio::test]
async fn parallel_duplicates_through_two_gateways_are_one_call() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let design = installation.key("design");
    firemoon.hold().await;
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let mut connection = Connection::open(gateways[number % 2].team()).await;
        let call = once("order-1", design);
        calls.spawn(async move { connection.send(&call).await });
    }
    firemoon.until_held(1).await;
    let path = r#"moongate_http_in_flight{route="/api/v1/{model}"}"#;
    wait_until("all of them have come", || async {
        gateways[0].metric(path).await.zip(gateways[1].metric(path).await) == Some((10.0, 10.0))
    })
    .await;
    let counted = spent(&gateways[0], design).await;
    assert_eq!(counted, ("0".to_owned(), "0.025".to_owned()), "those that wait reserve nothing");
    firemoon.release().await;
    let replies = calls.join_all().await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == replies[0].body));
    let names: std::collections::BTreeSet<_> =
        replies.iter().map(|reply| reply.header("x-request-id")).collect();
    assert_eq!(names.len(), 1);
    assert_eq!(
        replies.iter().filter(|reply| reply.header("idempotency-replayed").is_none()).count(),
        1
    );
    assert_eq!((firemoon.requests().await, firemoon.executed().await), (1, 1));
    let mut replayed = 0.0;
    for gateway in &gateways {
        assert_eq!(spent(gateway, design).await, ("0.025".to_owned(), "0".to_owned()));
        replayed +=
            replays(gateway, "joined").await.unwrap() + replays(gateway, "replayed").await.unwrap();
    }
    assert!((replayed - 19.0).abs() < f64::EPSILON, "{replayed}");
}

#[tokio::test]
async fn a_key_reused_for_another_request_is_refused() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    assert_eq!(gateway.send(&once("order-1", design)).await.status, 200);
    let schnell =
        Call::post("/api/v1/flux/schnell").json(&json!({ "prompt": PROMPT })).with(design);
    for other in [pictures(2).with(design), schnell] {
        let reply = gateway.send(&other.header("idempotency-key", "order-1")).await;
        assert_eq!(reply.refusal(), (422, "idempotency_mismatch".to_owned()));
    }
    assert_eq!(firemoon.requests().await, 1);
    assert_eq!(spent(&gateway, design).await, ("0.025".to_owned(), "0".to_owned()));
    assert_eq!(replays(&gateway, "mismatch").await, Some(2.0));
}

#[tokio::test]
async fn an_answer_too_large_to_keep_is_reported_as_gone() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    for installation in [Installation::before(&firemoon), Installation::on(&redis, &firemoon)] {
        let installation = prepaid(installation).set("/replay", json!({ "answer_bytes_max": 10 }));
        let gateway = Gateway::serve(&installation).await;
        let design = installation.key("design");
        let (before, first) =
            (firemoon.requests().await, gateway.send(&once("order-1", design)).await);
        assert_eq!((first.status, first.header("x-credits-cost")), (200, Some("0.025")));
        for _ in 0..2 {
            let again = gateway.send(&once("order-1", design)).await;
            assert_eq!(again.refusal(), (409, "idempotency_answer_gone".to_owned()));
            let id = first.header("x-call-id").unwrap();
            let outcome = format!("call {id} ended with status 200 and cost 0.025 credits");
            assert!(again.text().contains(&outcome), "{}", again.text());
            assert_eq!(
                (again.header("x-call-id"), again.header("idempotency-replayed")),
                (Some(id), None)
            );
            assert_eq!(again.header("x-error-source"), Some("gateway"));
            assert_eq!(again.header("x-credits-cost"), Some("0"));
            assert_eq!(again.header("x-credits-cost-original"), Some("0.025"));
            assert_eq!(again.header("x-credits-remaining"), first.header("x-credits-remaining"));
        }
        assert_eq!(firemoon.requests().await, before + 1);
        assert_eq!(spent(&gateway, design).await, ("0.025".to_owned(), "0".to_owned()));
    }
}

#[tokio::test]
async fn the_same_key_of_another_team_is_another_key() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let gateway = Gateway::serve(&installation).await;
    for team in ["design", "growth"] {
        let key = installation.key(team);
        let reply = gateway.send(&once("order-1", key)).await;
        assert_eq!((reply.status, reply.header("idempotency-replayed")), (200, None));
        assert_eq!(spent(&gateway, key).await.0, "0.025");
    }
    assert_eq!(firemoon.executed().await, 2);
}

#[tokio::test]
async fn a_call_that_spent_nothing_frees_its_key() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon))
        .set("/teams/growth/limits", json!({ "credits_total": 100, "requests_per_minute": 1 }));
    let mut installation = installation;
    let gateway = Gateway::serve(&installation).await;
    let (design, growth) =
        (installation.key("design").to_owned(), installation.key("growth").to_owned());
    // Refused by the gateway for what it is.
    let bad = pictures(9).with(&design).header("idempotency-key", "order-1");
    assert_eq!(gateway.send(&bad).await.refusal(), (400, "invalid_body".to_owned()));
    // Refused by the upstream: it was not executed.
    firemoon.faults(&json!([{ "fault": "access_denied", "times": 1 }])).await;
    assert_eq!(gateway.send(&once("order-1", &design)).await.status, 403);
    // Another body is no mismatch, since the key was never used.
    let made = gateway.send(&pictures(2).with(&design).header("idempotency-key", "order-1")).await;
    assert_eq!(
        (made.status, made.header("x-credits-cost")),
        (200, Some("0.05")),
        "{}",
        made.text()
    );
    // Refused by a limit.
    assert_eq!(gateway.send(&picture().with(&growth)).await.status, 200);
    assert_eq!(
        gateway.send(&once("order-2", &growth)).await.refusal(),
        (429, "rate_limited".to_owned())
    );
    installation.change("/teams/growth/limits/requests_per_minute", json!(1000));
    wait_until("the key can be used", || async {
        let reply = gateway.send(&once("order-2", &growth)).await;
        assert!(reply.header("idempotency-replayed").is_none());
        reply.status == 200
    })
    .await;
    assert_eq!(firemoon.executed().await, 3);
}

#[tokio::test]
async fn a_call_with_an_unknown_outcome_is_not_repeated() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    firemoon.faults(&json!([{ "fault": "reset_before_answer", "times": 1 }])).await;
    let first = gateway.send(&once("order-1", design)).await;
    assert_eq!(first.refusal(), (502, "upstream_broken".to_owned()));
    let again = gateway.send(&once("order-1", design)).await;
    assert_eq!((again.status, &again.body), (502, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("x-error-source"), first.header("x-error-source"));
    assert_eq!(
        (firemoon.requests().await, spent(&gateway, design).await.0),
        (1, "0.025".to_owned())
    );
}

#[tokio::test]
async fn a_duplicate_of_a_slow_call_is_told_so() {
    let firemoon = Firemoon::start();
    let installation =
        prepaid(Installation::before(&firemoon)).set("/replay", json!({ "join_max": "50ms" }));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    firemoon.hold().await;
    let (call, mut connection) = (once("order-1", design), Connection::open(gateway.team()).await);
    let first = tokio::spawn(async move { connection.send(&call).await.status });
    firemoon.until_held(1).await;
    let joined = gateway.send(&once("order-1", design)).await;
    assert_eq!(joined.refusal(), (409, "idempotency_in_progress".to_owned()));
    firemoon.release().await;
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(
        gateway.send(&once("order-1", design)).await.header("idempotency-replayed"),
        Some("true")
    );
    assert_eq!(firemoon.executed().await, 1);
}

#[tokio::test]
async fn without_the_store_only_calls_with_a_key_are_refused() {
    let (mut redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    redis.kill();
    for call in [once("order-1", design), picture().with(design)] {
        assert_eq!(gateway.send(&call).await.refusal(), (503, "ledger_unavailable".to_owned()));
    }
    let lookup = gateway.send(&Call::get("/gateway/v1/requests/r-1").with(design)).await;
    assert_eq!(lookup.refusal(), (503, "ledger_unavailable".to_owned()));
    assert_eq!(firemoon.requests().await, 0);
}
