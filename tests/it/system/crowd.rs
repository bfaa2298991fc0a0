//! Two thousand calls of one team at once, through two gateways.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::task::JoinSet;

use super::spending::spent;
use crate::support::caller::Connection;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

const CALLS: usize = 2_000;
/// The number of calls that can be paid.
const PAID: usize = 500;
/// Calls at once on one connection; a gateway takes up to 128.
const BESIDE: usize = 100;

/// Makes all calls at once, every other through each gateway; how many ended in each way.
async fn make_all(gateways: &[Gateway; 2], key: &str) -> BTreeMap<(u16, String), usize> {
    let mut connections = Vec::new();
    for number in 0..CALLS / BESIDE {
        connections.push(Connection::open_http2(gateways[number % 2].team()).await);
    }
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let mut connection = connections[number % connections.len()].beside();
        let call = picture().with(key);
        calls.spawn(async move {
            let reply = connection.send(&call).await;
            let code = if reply.status == 200 { "made".to_owned() } else { reply.refusal().1 };
            (reply.status, code)
        });
    }
    let mut ended = BTreeMap::new();
    for answer in calls.join_all().await {
        *ended.entry(answer).or_default() += 1;
    }
    ended
}

/// Each gateway has one thread and Redis a quarter of a second, as by default: the gateways come
/// late to its answers, which is no reason to refuse.
#[tokio::test]
async fn gateways_late_to_answers_of_redis_refuse_no_call() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/ledger", json!({ "redis": { "url": redis.url() } }))
        .set("/listen/workers", json!(1));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let ended = make_all(&gateways, installation.key("design")).await;
    assert_eq!(ended, BTreeMap::from([((200, "made".to_owned()), CALLS)]));
    assert_eq!(firemoon.executed().await, CALLS as u64);
}

#[tokio::test]
async fn of_two_thousand_calls_exactly_the_paid_ones_succeed() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon).set(
        "/teams/design/limits",
        json!({ "credits_total": 12.5, "requests_per_day": 100_000, "concurrent": 2_000 }),
    );
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let key = installation.key("design");
    let ended = make_all(&gateways, key).await;
    let wanted =
        [((200, "made".to_owned()), PAID), ((402, "budget_exhausted".to_owned()), CALLS - PAID)];
    assert_eq!(ended, BTreeMap::from(wanted));
    assert_eq!(
        (firemoon.executed().await, firemoon.charged().await),
        (PAID as u64, "12.5".to_owned())
    );
    for gateway in &gateways {
        assert_eq!(
            spent(gateway, key, "team:credits_total").await,
            ("12.5".to_owned(), "0".to_owned())
        );
        let calls = super::spending::limit_status(gateway, key, "team:requests_per_day").await;
        assert_eq!(
            (&calls["used"], &calls["reserved"]),
            (&json!(PAID), &json!(0)),
            "a refused call consumes nothing"
        );
        let slots = super::spending::limit_status(gateway, key, "team:concurrent").await;
        assert_eq!(slots["reserved"], 0, "no slot is held");
    }
}
