//! What the ledger stores in Redis, as its keeper wrote it.
#![allow(dead_code, reason = "tests of the whole gateway ask only for what gateways use")]

use jiff::Timestamp;
use moongate::ledger::ReservationId;
use serde_json::Value;

use crate::support::redis::RedisServer;

/// Keys that live as long as the team, without the team's prefix.
pub(crate) const AS_LONG_AS_THE_TEAM: [&str; 3] = ["state", "due", "ends"];
/// Likewise, keys that a call of user `ana` touches whenever it is admitted or settled.
pub(crate) const TOUCHED: [&str; 2] = ["state", "due"];
/// Parts of the names of keys that come to be when everything is done that there is to do.
pub(crate) const OF_EVERY_KIND: [&str; 5] = ["usage:", ":rows", "state", "due", "ends"];
/// Likewise, when a team is new or lost.
pub(crate) const OF_A_LOSS: [&str; 1] = ["made-by:"];
/// What stands in a request that reserves for a call that waits, and for one that can be sent at
/// once.
pub(crate) const RESERVES_WAITING: &str = "\r\nW0[";
pub(crate) const RESERVES_SENT: &str = "\r\nD0[";
/// What stands in a request that marks a call that waited as sent.
pub(crate) const MARKS_SENT: &str = "\r\nW0\r\n$2\r\nD1\r\n";
/// What stands in a request that settles a call that was answered.
pub(crate) const SETTLES: &str = "\"charged\",[";

/// The greatest deadline: it stands for none.
const FOR_EVER: &str = "9007199254740991";

/// A team's key.
pub(crate) fn key(team: &str, what: &str) -> String {
    format!("mg2:{{{team}}}:{what}")
}

/// The key without which nothing is known of the team.
pub(crate) fn state(team: &str) -> String {
    key(team, "state")
}

/// The keys that stay for ever where the team has a prepaid budget.
pub(crate) fn of_a_prepaid_team(team: &str) -> Vec<String> {
    ["due", "ends", "state"].map(|what| key(team, what)).into()
}

/// The keys that stay for ever where these users have prepaid budgets and their team has none.
pub(crate) fn of_prepaid_users(team: &str, _users: &[&str]) -> Vec<String> {
    of_a_prepaid_team(team)
}

/// How many calls of the team are open.
pub(crate) async fn open(server: &RedisServer, team: &str) -> u64 {
    server.ask(&["ZCOUNT", &key(team, "due"), "-inf", &format!("({FOR_EVER}")]).await.unwrap()
}

/// The names of the windows that are kept of the team as a whole, in order: `d:2026-11-22`,
/// `m:2026-11`, `t`.
pub(crate) async fn windows(server: &RedisServer, team: &str) -> Vec<String> {
    let record = record(server, team, "team").await.unwrap();
    let named = |letter: &str, windows: &str| {
        let windows = record[windows].as_object().unwrap();
        windows.keys().map(|name| format!("{letter}:{name}")).collect::<Vec<_>>()
    };
    let mut windows = [named("d", "days"), named("m", "months"), vec!["t".to_owned()]].concat();
    windows.sort();
    windows
}

/// What such a window of a scope (`team`, `user:ana`) counts: calls made and reserved, credits
/// spent and reserved.
pub(crate) async fn window(
    server: &RedisServer,
    team: &str,
    scope: &str,
    window: &str,
) -> Option<[u64; 4]> {
    let mut record = record(server, team, scope).await?;
    serde_json::from_value(place(&mut record, window).take()).unwrap()
}

/// Sets what a window of the team counts, as if the calls had been made.
pub(crate) async fn set_window(server: &RedisServer, team: &str, window: &str, counts: [u64; 4]) {
    let mut record = record(server, team, "team").await.unwrap();
    *place(&mut record, window) = counts.to_vec().into();
    let revision: String = server.ask(&["HGET", &state(team), "r"]).await.unwrap();
    let numbers: Vec<u64> = revision.split(' ').map(|number| number.parse().unwrap()).collect();
    let next = format!("{} {} 0", numbers[0], numbers[1] + 1);
    server.run(&["HSET", &state(team), "r", &next, &field("team"), &record.to_string()]).await;
}

/// The number of seconds for which a scope is kept from now on; -1: for ever, -2: nothing is kept
/// of it.
pub(crate) async fn is_kept_for(
    server: &RedisServer,
    team: &str,
    scope: &str,
    now: Timestamp,
) -> i64 {
    if record(server, team, scope).await.is_none() {
        return -2;
    }
    let until: Option<i64> =
        server.ask(&["ZSCORE", &key(team, "ends"), &field(scope)]).await.unwrap();
    until.map_or(-1, |until| (until - now.as_microsecond()) / 1_000_000)
}

/// How many scopes are known of a team.
pub(crate) async fn scopes(server: &RedisServer, team: &str) -> usize {
    let fields: Vec<String> = server.ask(&["HKEYS", &state(team)]).await.unwrap();
    fields.iter().filter(|field| field.starts_with("s:")).count()
}

/// A call is open that was sent.
pub(crate) async fn hold(server: &RedisServer, team: &str, id: ReservationId) {
    let record =
        r#"D0[0,"2026-11-22",1795357620000000,1795357650000000,[],["","","",null,"",0,0,""]]"#;
    server.run(&["HSET", &state(team), &format!("c:{id}"), record]).await;
}

/// The call has ended, in each of the ways in which that shows.
pub(crate) async fn end(server: &RedisServer, team: &str, id: ReservationId, _way: usize) {
    server.run(&["HDEL", &state(team), &format!("c:{id}")]).await;
}

/// How many ways there are in which it shows that a call has ended.
pub(crate) const WAYS_TO_END: usize = 1;

fn field(scope: &str) -> String {
    format!("s:{scope}{}", if scope.contains(':') { "" } else { ":" })
}

async fn record(server: &RedisServer, team: &str, scope: &str) -> Option<Value> {
    let text: Option<String> = server.ask(&["HGET", &state(team), &field(scope)]).await.unwrap();
    Some(serde_json::from_str(&text?).unwrap())
}

fn place<'a>(record: &'a mut Value, window: &str) -> &'a mut Value {
    match window.split_once(':') {
        Some(("d", day)) => &mut record["days"][day],
        Some(("m", month)) => &mut record["months"][month],
        _ => &mut record["total"],
    }
}
