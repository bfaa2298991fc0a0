//! Callers who hang up: the call goes on, is settled, and is charged.

use serde_json::json;

use super::spending::spent;
use crate::support::caller::Connection;
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

#[tokio::test]
async fn a_call_whose_caller_hangs_up_is_settled() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let mut http1 = Connection::open(gateway.team()).await;
    let mut http2 = Connection::open_http2(gateway.team()).await.beside();
    let (one, four) = (picture().with(&key), pictures(4).with(&key));
    let calls = [
        tokio::spawn(async move { http1.exchange(&one).await.is_ok() }),
        tokio::spawn(async move { http2.exchange(&four).await.is_ok() }),
    ];
    firemoon.until_held(2).await;
    assert_eq!(
        spent(&gateway, &key, "team:credits_total").await,
        ("0".to_owned(), "0.125".to_owned())
    );
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    wait_until("the gateway sees that they have left", || async {
        gateway.lines("request").iter().filter(|line| line["outcome"] == "abandoned").count() == 2
    })
    .await;
    assert_eq!(firemoon.sums().await["held"], 2, "the calls run on");
    assert_eq!(
        spent(&gateway, &key, "team:credits_total").await.1,
        "0.125",
        "and are still reserved"
    );

    firemoon.release().await;
    wait_until("they are settled", || async {
        spent(&gateway, &key, "team:credits_total").await == ("0.125".to_owned(), "0".to_owned())
    })
    .await;
    assert_eq!((firemoon.executed().await, firemoon.charged().await), (2, "0.125".to_owned()));
    let abandoned =
        r#"moongate_team_requests_total{team="design",model="flux/dev",outcome="abandoned"}"#;
    assert_eq!(gateway.metric(abandoned).await, Some(2.0));
}

#[tokio::test]
async fn a_stopping_gateway_waits_for_departed_callers_calls() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let mut gateway = Gateway::serve(&installation).await;
    let key = installation.key("design").to_owned();
    firemoon.hold().await;
    let (call, mut connection) = (picture().with(&key), Connection::open(gateway.team()).await);
    let call = tokio::spawn(async move { connection.exchange(&call).await.is_ok() });
    firemoon.until_held(1).await;
    call.abort();
    wait_until("the gateway sees that it has left", || async {
        gateway.lines("request").iter().any(|line| line["outcome"] == "abandoned")
    })
    .await;
    gateway.signal("-TERM");
    wait_until("it stops", || async {
        gateway.line("stopping: new requests are refused, open calls are finished").is_some()
    })
    .await;
    assert!(gateway.runs());
    firemoon.release().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    let next = Gateway::serve(&installation).await;
    assert_eq!(
        spent(&next, &key, "team:credits_total").await,
        ("0.025".to_owned(), "0".to_owned())
    );
}
