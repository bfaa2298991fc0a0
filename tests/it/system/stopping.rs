//! How a gateway stops: after a signal it finishes its calls; after a kill another replica ends
//! them.

use serde_json::json;
use tokio::task::JoinSet;

use super::spending::spent;
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

const CALLS: u64 = 40;

/// The gateway takes no further calls.
#[tokio::test]
async fn a_stopping_gateway_finishes_forty_calls_in_flight() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let mut gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let mut calls = JoinSet::new();
    let beside = Connection::open_http2(gateway.team()).await;
    for number in 0..CALLS {
        // Half of them on connections of their own, half on one.
        let mut connection =
            if number % 2 == 0 { Connection::open(gateway.team()).await } else { beside.beside() };
        let call = picture().with(&key);
        calls.spawn(async move { connection.send(&call).await.status });
    }
    firemoon.until_held(CALLS).await;
    let (mut idle, mut silent) =
        (Connection::open(gateway.team()).await, Connection::open(gateway.team()).await);
    assert_eq!(idle.send(&Call::get("/api/models")).await.status, 200);

    gateway.signal("-TERM");
    wait_until("it is not ready any more", || async { gateway.readiness().await.0 == 503 }).await;
    wait_until("it refuses", || async {
        gateway.line("stopping: new requests are refused, open calls are finished").is_some()
    })
    .await;
    let refused = gateway.send(&picture().with(&key)).await;
    assert_eq!(refused.refusal(), (503, "draining".to_owned()));
    assert_eq!((refused.header("connection"), refused.number("retry-after")), (Some("close"), 1));
    for idle in [&mut idle, &mut silent] {
        assert!(
            idle.exchange(&picture().with(&key)).await.is_err(),
            "idle connections were closed"
        );
    }
    assert!(gateway.runs());
    assert_eq!(firemoon.sums().await["held"], CALLS, "and the calls still run");

    firemoon.release().await;
    assert_eq!(calls.join_all().await, vec![200; CALLS as usize]);
    assert_eq!(gateway.ended().await.code(), Some(0));

    let next = Gateway::serve(&installation).await;
    assert_eq!(
        spent(&next, &key, "team:credits_total").await,
        ("1".to_owned(), "0".to_owned()),
        "all is settled"
    );
    assert_eq!(firemoon.executed().await, CALLS);
}

/// The gateway asks callers to leave.
#[tokio::test]
async fn a_stopping_gateway_serves_until_load_balancers_notice() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/shutdown/delay", json!("60s"));
    let mut gateway = Gateway::serve(&installation).await;
    gateway.signal("-TERM");
    wait_until("it is not ready any more", || async { gateway.readiness().await.0 == 503 }).await;
    let health = gateway.send(&Call::get("/gateway/health")).await;
    assert_eq!(health.refusal(), (503, "draining".to_owned()), "balancers see it on this port too");
    let reply = gateway.send(&picture().with(installation.key("design"))).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    // Told a second time, it does not wait any longer.
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn http2_callers_leave_a_stopping_gateway_without_losses() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/shutdown/delay", json!("60s"))
        .set("/teams/design/limits", super::spending::wide_limits());
    let mut gateway = Gateway::serve(&installation).await;
    let address = gateway.team().to_owned();
    let call = picture().with(installation.key("design"));
    firemoon.hold().await;
    let mut first = Connection::open_http2(&address).await;
    let mut beside = first.beside();
    let open = tokio::spawn({
        let call = call.clone();
        async move { beside.send(&call).await.status }
    });
    firemoon.until_held(1).await;
    gateway.signal("-TERM");
    // What was never sent may be sent again on another connection; everything else must have been
    // answered.
    wait_until("the open connection takes no more calls", || async {
        let mut connection = first.beside();
        match connection.exchange(&Call::get("/api/models")).await {
            Ok(reply) => {
                assert_eq!(reply.status, 200);
                false
            }
            Err(error) => {
                assert!(error.is_canceled() || error.is_closed(), "{error:?}");
                true
            }
        }
    })
    .await;
    firemoon.release().await;
    assert_eq!(open.await.unwrap(), 200, "open calls are answered");
    let (mut connections, mut calls) = (0, 0);
    while calls < 20 {
        if first.exchange(&call).await.map(|reply| assert_eq!(reply.status, 200)).is_err_and(
            |error| {
                assert!(error.is_canceled() || error.is_closed(), "{error:?}");
                true
            },
        ) {
            first = Connection::open_http2(&address).await;
            connections += 1;
        } else {
            calls += 1;
        }
    }
    assert!(
        connections > 1,
        "connections made meanwhile are served, and closed after their first call"
    );
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// The exit code says so.
#[tokio::test]
async fn calls_beyond_the_grace_are_cut_off_and_charged() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/shutdown/grace", json!("100ms"))
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let mut gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let (mut stays, mut leaves) =
        (Connection::open(gateway.team()).await, Connection::open(gateway.team()).await);
    let (one, other) = (picture().with(&key), picture().with(&key));
    let stays = tokio::spawn(async move { stays.exchange(&one).await.is_err() });
    let leaves = tokio::spawn(async move { leaves.exchange(&other).await.is_err() });
    firemoon.until_held(2).await;
    leaves.abort();
    wait_until("the gateway sees that it has left", || async {
        gateway.lines("request").iter().any(|line| line["outcome"] == "abandoned")
    })
    .await;
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().await.code(), Some(1));
    assert!(stays.await.unwrap(), "nobody got an answer");
    firemoon.release().await;
    let next = Gateway::serve(&installation).await;
    assert_eq!(
        spent(&next, &key, "team:credits_total").await,
        ("0.05".to_owned(), "0".to_owned()),
        "nothing waits"
    );
}

#[tokio::test]
async fn a_gateway_that_stops_while_idle_ends_at_once() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    gateway.send(&Call::get("/api/models")).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

/// The calls are charged.
#[tokio::test]
async fn a_killed_gateways_calls_are_ended_by_another() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 100, "concurrent": 3 }))
        .set("/ledger/reservation_ttl", json!("1s"));
    let mut killed = Gateway::serve(&installation).await;
    let other = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let (call, mut connection) = (picture().with(&key), Connection::open(killed.team()).await);
        calls.spawn(async move { connection.exchange(&call).await.is_err() });
    }
    firemoon.until_held(3).await;
    assert_eq!(
        other.send(&picture().with(&key)).await.refusal(),
        (429, "too_many_concurrent".to_owned())
    );

    killed.kill();
    assert_eq!(calls.join_all().await, [true; 3], "nobody got an answer");
    // The calls were sent and their outcome is unknown, so they are charged, and their slots are
    // free again.
    wait_until("the other gateway ends them", || async {
        spent(&other, &key, "team:credits_total").await == ("0.075".to_owned(), "0".to_owned())
    })
    .await;
    firemoon.release().await;
    assert_eq!(other.send(&picture().with(&key)).await.status, 200);
    let swept = other.metric(r#"moongate_reservations_swept_total{team="design"}"#).await;
    assert_eq!(swept, Some(3.0));
}
