//! The shared account's own limits: exact over all replicas, with a queue in which a call that is
//! gone keeps no position.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::spending::{limit_status, spent};
use crate::support::caller::{Call, Connection, Reply};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

/// An installation whose account allows this, and whose calls wait so long.
fn limited(installation: Installation, limits: Value, max_wait: &str) -> Installation {
    let unlimited = json!({ "credits_total": 100 });
    installation
        .set("/upstream/limits", limits)
        .set("/queue", json!({ "max_wait": max_wait }))
        .set("/teams/design/limits", unlimited)
}

/// Makes the upstream refuse the next call, and report the shared key's window full for half an
/// hour.
async fn fill(firemoon: &Firemoon) {
    firemoon.faults(&json!([{ "fault": "rate_limited", "amount": 1800, "times": 1 }])).await;
}

/// A call on a connection of its own, which can be hung up.
async fn calling(gateway: &Gateway, call: &Call) -> tokio::task::JoinHandle<Option<Reply>> {
    let (call, mut connection) = (call.clone(), Connection::open(gateway.team()).await);
    tokio::spawn(async move { connection.exchange(&call).await.ok() })
}

/// How many calls wait in the line of all replicas.
async fn line(redis: &RedisServer) -> usize {
    redis.ask(&["ZCARD", "mg1:{!shared}:line"]).await.unwrap()
}

async fn until_line_has(redis: &RedisServer, calls: usize) {
    wait_until(&format!("{calls} calls wait"), || async { line(redis).await == calls }).await;
}

/// Sends so many calls through the gateways in turn, all at once; how many were answered with which
/// status and code.
async fn crowd(gateways: &[&Gateway], call: &Call, count: usize) -> HashMap<(u16, String), usize> {
    let mut calls = JoinSet::new();
    for number in 0..count {
        let (call, team) = (call.clone(), gateways[number % gateways.len()].team().to_owned());
        calls.spawn(async move {
            let reply = call.send(&team).await;
            if reply.status == 200 { (200, String::new()) } else { reply.refusal() }
        });
    }
    let mut answers = HashMap::new();
    for answer in calls.join_all().await {
        *answers.entry(answer).or_default() += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_together_send_exactly_what_the_account_allows() {
    let (redis, firemoon) =
        (RedisServer::start().await, Firemoon::start_with(&["--requests-per-month", "30"]));
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_month": 30 }), "20s");
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    let answers = crowd(&[&one, &other], &picture().with(key), 50).await;
    let refused = (429, "shared_rate_limited".to_owned());
    assert_eq!(answers, HashMap::from([((200, String::new()), 30), (refused, 20)]));
    assert_eq!(
        (firemoon.executed().await, firemoon.requests().await),
        (30, 30),
        "the upstream never had to refuse"
    );
    assert_eq!(spent(&one, key, "team:credits_total").await, ("0.75".to_owned(), "0".to_owned()));
    let left = r#"moongate_upstream_limit_remaining{key="",window="month"}"#;
    wait_until("the metric shows that nothing is left", || async {
        one.metric(left).await == Some(0.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_never_exceed_the_accounts_minute() {
    let (redis, firemoon) =
        (RedisServer::start().await, Firemoon::start_with(&["--requests-per-minute", "60"]));
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_minute": 60 }), "1ms");
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let answers = crowd(&[&one, &other], &picture().with(installation.key("design")), 90).await;
    let refused = (429, "shared_rate_limited".to_owned());
    assert!(answers.keys().all(|answer| answer.0 == 200 || *answer == refused), "{answers:?}");
    let books = firemoon.books().await;
    let mut minutes: HashMap<i64, usize> = HashMap::new();
    for call in books["calls"].as_array().unwrap().iter().filter(|call| call["executed"] == true) {
        *minutes.entry(call["received_ms"].as_i64().unwrap() / 60_000).or_default() += 1;
    }
    assert_eq!(minutes.values().sum::<usize>(), answers[&(200, String::new())]);
    match minutes.values().collect::<Vec<_>>()[..] {
        // The upstream never had to refuse.
        [all] => assert_eq!((*all, books["requests"].as_u64()), (60, Some(60))),
        _ => assert!(minutes.values().all(|calls| *calls <= 60), "{minutes:?}"),
    }
}

/// The refusal says when to retry.
#[tokio::test]
async fn a_call_the_queue_cannot_serve_is_refused_at_once() {
    let firemoon = Firemoon::start();
    let installation =
        limited(Installation::before(&firemoon), json!({ "requests_per_month": 1 }), "20s");
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    let refused = gateway.send(&call).await;
    assert_eq!(refused.refusal(), (429, "shared_rate_limited".to_owned()));
    assert_eq!(refused.header("x-error-source"), Some("upstream"));
    let reset: Timestamp = refused.json()["resetAt"].as_str().unwrap().parse().unwrap();
    assert!(reset.to_string().ends_with("-01T00:00:00Z"), "the next month begins at {reset}");
    let wait = Timestamp::now().duration_until(reset).as_secs() - refused.number("retry-after");
    assert!(wait.abs() <= 60, "{wait} seconds apart");
    assert_eq!(firemoon.requests().await, 1, "it was not sent");
    let key = installation.key("design");
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0.025".to_owned(), "0".to_owned())
    );
}

/// The call is made after the reset.
#[tokio::test]
async fn a_call_turned_back_waits_for_the_reset() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_month": 100 }), "60s");
    let gateway = Gateway::serve(&installation).await;
    firemoon.faults(&json!([{ "fault": "rate_limited", "amount": 2, "times": 1 }])).await;
    let key = installation.key("design");
    let reply = gateway.send(&picture().with(key)).await;
    assert_eq!(
        (reply.status, reply.header("x-credits-cost")),
        (200, Some("0.025")),
        "{}",
        reply.text()
    );
    assert_eq!((firemoon.requests().await, firemoon.executed().await), (2, 1));
    let timing = reply.header("server-timing").unwrap();
    let queued = timing
        .split("queue;dur=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .parse::<f64>()
        .unwrap();
    assert!(queued > 100.0, "{timing}");
    wait_until("the call's line is written", || async { gateway.line("request").is_some() }).await;
    let line = gateway.line("request").unwrap();
    assert!((line["queue_ms"].as_f64().unwrap() - queued).abs() < 1.0, "{line}");
    assert!(
        line["own_ms"].as_f64().unwrap() < queued,
        "the wait is not the gateway's own time: {line}"
    );
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0.025".to_owned(), "0".to_owned())
    );
    assert_eq!(
        gateway.metric(r#"moongate_queue_wait_seconds_count{team="design"}"#).await,
        Some(1.0)
    );
    assert_eq!(gateway.metric(r#"moongate_team_queue_depth{team="design"}"#).await, Some(0.0));
}

#[tokio::test]
async fn the_upstreams_account_of_its_window_wins() {
    let firemoon = Firemoon::start_with(&["--requests-per-month", "2"]);
    let installation =
        limited(Installation::before(&firemoon), json!({ "requests_per_month": 1000 }), "20s");
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(gateway.send(&call).await.refusal(), (429, "shared_rate_limited".to_owned()));
    assert_eq!(firemoon.requests().await, 2, "it was known that there is no room");
    let reported = r#"moongate_upstream_limit_remaining{key="primary",window="told"}"#;
    assert_eq!(gateway.metric(reported).await, Some(0.0));
}

#[tokio::test]
async fn a_caller_who_leaves_the_queue_is_released_at_once() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_month": 100 }), "1h");
    let gateway = Gateway::serve(&installation).await;
    let (key, depth) = (installation.key("design"), r#"moongate_team_queue_depth{team="design"}"#);
    fill(&firemoon).await;
    let first = calling(&gateway, &picture().with(key)).await;
    until_line_has(&redis, 1).await;
    let second = calling(&gateway, &picture().with(key).header("idempotency-key", "once")).await;
    until_line_has(&redis, 2).await;
    wait_until("both are shown", || async { gateway.metric(depth).await == Some(2.0) }).await;
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0".to_owned(), "0.05".to_owned())
    );
    second.abort();
    until_line_has(&redis, 1).await;
    wait_until("its money is free", || async {
        spent(&gateway, key, "team:credits_total").await == ("0".to_owned(), "0.025".to_owned())
    })
    .await;
    assert_eq!(gateway.metric(depth).await, Some(1.0));
    // What it had claimed is free as well: the same call may come again, and waits.
    let again = calling(&gateway, &picture().with(key).header("idempotency-key", "once")).await;
    until_line_has(&redis, 2).await;
    first.abort();
    again.abort();
    until_line_has(&redis, 0).await;
    wait_until("nothing is reserved", || async {
        spent(&gateway, key, "team:credits_total").await == ("0".to_owned(), "0".to_owned())
    })
    .await;
    assert_eq!(firemoon.requests().await, 1, "only the one that was turned back was ever sent");
}

#[tokio::test]
async fn a_full_queue_takes_nobody_and_says_so() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let queue = json!({ "max_wait": "1h", "length_max": 3, "team_length_max": 2 });
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_month": 100 }), "1h");
    let installation = installation.set("/queue", queue);
    let gateway = Gateway::serve(&installation).await;
    let (design, growth) =
        (picture().with(installation.key("design")), picture().with(installation.key("growth")));
    fill(&firemoon).await;
    let mut waiting = Vec::new();
    for (call, length) in [(&design, 1), (&design, 2), (&growth, 3)] {
        if length == 3 {
            assert_eq!(
                gateway.send(&design).await.refusal(),
                (503, "queue_full".to_owned()),
                "the team's share"
            );
        }
        waiting.push(calling(&gateway, call).await);
        until_line_has(&redis, length).await;
    }
    let refused = gateway.send(&growth).await;
    assert_eq!(refused.refusal(), (503, "queue_full".to_owned()));
    assert!(refused.number("retry-after") >= 1);
    assert_eq!(spent(&gateway, installation.key("design"), "team:credits_total").await.1, "0.05");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    until_line_has(&redis, 0).await;
}

#[tokio::test]
async fn a_killed_replicas_places_are_freed_at_no_cost() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_month": 100 }), "1h")
            .set("/ledger/reservation_ttl", json!("2s"))
            .set("/teams/design/limits", json!({ "credits_total": 100, "requests_per_day": 100 }));
    let (mut killed, other) =
        (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    fill(&firemoon).await;
    let mut lost = Vec::new();
    for length in 1..=3 {
        lost.push(calling(&killed, &picture().with(key)).await);
        until_line_has(&redis, length).await;
    }
    let kept = calling(&other, &picture().with(key)).await;
    until_line_has(&redis, 4).await;
    killed.kill();
    until_line_has(&redis, 1).await;
    wait_until("only the living call holds money", || async {
        spent(&other, key, "team:credits_total").await == ("0".to_owned(), "0.025".to_owned())
    })
    .await;
    let requests = limit_status(&other, key, "team:requests_per_day").await;
    let counts = (&requests["used"], &requests["reserved"]);
    assert_eq!(counts, (&json!(1), &json!(1)), "the one that was turned back had been sent");
    kept.abort();
    until_line_has(&redis, 0).await;
    for call in lost {
        assert!(call.await.unwrap().is_none(), "the connection broke");
    }
}

#[tokio::test]
async fn a_gateway_told_to_stop_lets_those_finish_who_wait() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        limited(Installation::on(&redis, &firemoon), json!({ "requests_per_month": 100 }), "60s");
    let mut gateway = Gateway::serve(&installation).await;
    firemoon.faults(&json!([{ "fault": "rate_limited", "amount": 3, "times": 1 }])).await;
    let call = calling(&gateway, &picture().with(installation.key("design"))).await;
    until_line_has(&redis, 1).await;
    gateway.signal("-TERM");
    assert_eq!(call.await.unwrap().expect("an answer").status, 200);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_unsent_calls_permit_is_used_by_another() {
    let mut firemoon = Firemoon::start();
    let installation =
        limited(Installation::before(&firemoon), json!({ "requests_per_month": 1 }), "20s");
    let gateway = Gateway::serve(&installation).await;
    let (call, address) =
        (picture().with(installation.key("design")), firemoon.address().to_owned());
    firemoon.kill();
    assert_eq!(gateway.send(&call).await.refusal(), (502, "upstream_unreachable".to_owned()));
    let _again = Firemoon::start_at(&address, &[]);
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(gateway.send(&call).await.refusal(), (429, "shared_rate_limited".to_owned()));
}

#[tokio::test]
async fn a_call_refused_with_one_key_waits_for_another() {
    let firemoon = Firemoon::start_with(&["--key", "second=fm_live_second_0c51"]);
    let mut installation = limited(Installation::before(&firemoon), json!({}), "20s");
    std::fs::write(installation.folder().join("second-key"), "fm_live_second_0c51").unwrap();
    let keys = json!([
        { "name": "primary", "secret": { "file": "shared-key" } },
        {
            "name": "second",
            "secret": { "file": "second-key" },
            "limits": { "requests_per_month": 2 },
        },
    ]);
    installation.change("/upstream/keys", keys);
    let gateway = Gateway::serve(&installation).await;
    firemoon.faults(&json!([{ "fault": "invalid_key", "key": "shared" }])).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(gateway.send(&call).await.refusal(), (429, "shared_rate_limited".to_owned()));
    let keys = &firemoon.sums().await["keys"];
    assert_eq!(
        (&keys["shared"]["executed"], &keys["second"]["executed"]),
        (&json!(0), &json!(2)),
        "{keys}"
    );
}

#[tokio::test]
async fn limits_come_and_go_with_a_reload() {
    let firemoon = Firemoon::start();
    let mut installation =
        limited(Installation::before(&firemoon), json!({ "requests_per_month": 1 }), "20s");
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(gateway.send(&call).await.status, 429);
    installation.change("/upstream/limits", json!({}));
    wait_until("nothing is limited", || async { gateway.send(&call).await.status == 200 }).await;
    installation.change("/upstream/limits", json!({ "requests_per_month": 2 }));
    wait_until("the second is let through", || async { gateway.send(&call).await.status == 429 })
        .await;
}
