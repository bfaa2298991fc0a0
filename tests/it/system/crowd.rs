//! A crowd: two thousand calls at once, through two gateways, for five hundred that can be paid.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::task::JoinSet;

use super::books::spent;
use crate::support::caller::Connection;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

const CALLS: usize = 2_000;
const PAID: usize = 500;
/// Calls at once on one connection; a gateway takes up to 128.
const BESIDE: usize = 100;

#[tokio::test]
async fn of_two_thousand_calls_at_once_through_two_gateways_exactly_the_five_hundred_paid_ones_succeed() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 12.5, "requests_per_day": 100_000, "concurrent": 2_000 }))
        // The machine is as busy as it can be; what is tested is that the money is right, not that Redis is fast.
        .set("/ledger/redis/deadline", json!("20s"));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let key = installation.key("design");
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
    let mut ended: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for answer in calls.join_all().await {
        *ended.entry(answer).or_default() += 1;
    }
    let wanted = [((200, "made".to_owned()), PAID), ((402, "budget_exhausted".to_owned()), CALLS - PAID)];
    assert_eq!(ended, BTreeMap::from(wanted));
    assert_eq!((firemoon.executed().await, firemoon.charged().await), (PAID as u64, "12.5".to_owned()));
    for gateway in &gateways {
        assert_eq!(spent(gateway, key, "team:credits_total").await, ("12.5".to_owned(), "0".to_owned()));
        let calls = super::books::standing(gateway, key, "team:requests_per_day").await;
        assert_eq!((&calls["used"], &calls["reserved"]), (&json!(PAID), &json!(0)), "a refused call consumes nothing");
        let slots = super::books::standing(gateway, key, "team:concurrent").await;
        assert_eq!(slots["reserved"], 0, "no slot is held");
    }
}
