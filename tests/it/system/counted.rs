//! The money metrics agree with the ledger, also where an answer of the store was lost.

use serde_json::json;

use super::spending::spent;
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::by_gateways;

#[tokio::test]
async fn a_settlement_whose_answer_was_lost_is_counted_once() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let proxy = Proxy::start(redis.port()).await;
    let ledger = json!({
        "redis": { "url": format!("redis://127.0.0.1:{}", proxy.port()), "deadline": "20s" },
    });
    let installation = Installation::before(&firemoon)
        .set("/listen/workers", json!(1))
        .set("/ledger", ledger)
        .set("/teams/design/limits", json!({ "credits_total": 100 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
    firemoon.hold().await;
    let (call, mut connection) = (picture().with(key), Connection::open(gateway.team()).await);
    let call = tokio::spawn(async move { connection.send(&call).await });
    firemoon.until_held(1).await;
    // When it is sent, and not before: an answer to something else would cut off its connection
    // first.
    proxy.set_once_sent(by_gateways::SETTLES, Fault::CutBeforeAnswer);
    firemoon.release().await;
    let rows =
        async || redis.ask::<usize>(&["LLEN", &by_gateways::key("design", "rows")]).await.unwrap();
    wait_until("it is settled, and the gateway has not heard of it", || async {
        rows().await == 2
    })
    .await;
    proxy.set(Fault::None);
    let reply = call.await.unwrap();
    assert_eq!((reply.status, reply.header("x-credits-cost")), (200, Some("0.025")));
    assert_eq!(rows().await, 2);
    let me = Call::get("/gateway/v1/me").with(key);
    wait_until("the ledger answers again", || async { gateway.send(&me).await.status == 200 })
        .await;
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0.05".to_owned(), "0".to_owned())
    );
    let credits = r#"moongate_team_credits_total{team="design",model="flux/dev"}"#;
    wait_until("it is counted", || async { gateway.metric(credits).await == Some(0.05) }).await;
    assert_eq!(gateway.metric(r#"moongate_settlements_total{result="charged"}"#).await, Some(2.0));
}
