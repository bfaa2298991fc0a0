//! What the ledger keeps that a script of Redis judges.

use jiff::Timestamp;
use moongate::ledger::ReservationId;

use crate::support::redis::RedisServer;

/// Behind a team's prefix, the keys that live as long as the team.
pub(crate) const AS_LONG_AS_THE_TEAM: [&str; 4] = ["s:team", "open", "held", "there"];
/// Likewise, keys that a call of user `ana` touches whenever it is admitted or settled.
pub(crate) const TOUCHED: [&str; 4] = ["open", "held", "s:team", "s:user:ana"];
/// Parts of the names of keys that come to be when everything is done that there is to do.
pub(crate) const OF_EVERY_KIND: [&str; 8] =
    ["account:", "usage:", "topup:", ":rows", "open", "held", "there", "s:key:"];
/// Likewise, when a team is new or lost.
pub(crate) const OF_A_LOSS: [&str; 2] = ["floors", "vouched:"];
/// What stands in a request that settles a call that was answered.
pub(crate) const SETTLES: &str = "\"status\":200";

/// A team's key.
pub(crate) fn key(team: &str, what: &str) -> String {
    format!("mg1:{{{team}}}:{what}")
}

/// The key without which nothing is known of the team.
pub(crate) fn state(team: &str) -> String {
    key(team, "s:team")
}

/// The keys that stay for ever where the team has a prepaid budget.
pub(crate) fn of_a_prepaid_team(team: &str) -> Vec<String> {
    ["held", "open", "s:team", "there"].map(|what| key(team, what)).into()
}

/// The keys that stay for ever where these users have prepaid budgets and their team has none.
pub(crate) fn of_prepaid_users(team: &str, users: &[&str]) -> Vec<String> {
    users.iter().map(|user| key(team, &format!("s:user:{user}"))).collect()
}

/// How many calls of the team are open.
pub(crate) async fn open(server: &RedisServer, team: &str) -> u64 {
    server.ask(&["ZCOUNT", &key(team, "open"), "(0", "+inf"]).await.unwrap()
}

/// The names of the windows that are kept of the team as a whole, in order: `d:2026-11-22`, `m:2026-11`, `t`.
pub(crate) async fn windows(server: &RedisServer, team: &str) -> Vec<String> {
    let mut fields: Vec<String> = server.ask(&["HKEYS", &state(team)]).await.unwrap();
    fields.retain(|field| field.starts_with("d:") || field.starts_with("m:") || field == "t");
    fields.sort();
    fields
}

/// What such a window of a scope (`team`, `user:ana`) counts: calls made and reserved, credits spent and reserved.
pub(crate) async fn window(server: &RedisServer, team: &str, scope: &str, window: &str) -> Option<[u64; 4]> {
    let text: Option<String> = server.ask(&["HGET", &key(team, &format!("s:{scope}")), window]).await.unwrap();
    let numbers: Vec<u64> = text?.split(' ').map(|number| number.parse().unwrap()).collect();
    Some(numbers.try_into().unwrap())
}

/// Has a window of the team count something else, as if the calls had been made.
pub(crate) async fn set_window(server: &RedisServer, team: &str, window: &str, counts: [u64; 4]) {
    server.run(&["HSET", &state(team), window, &counts.map(|count| count.to_string()).join(" ")]).await;
}

/// For how many seconds from now on a scope is kept; -1: for ever, -2: nothing is kept of it.
pub(crate) async fn is_kept_for(server: &RedisServer, team: &str, scope: &str, _now: Timestamp) -> i64 {
    server.ask(&["TTL", &key(team, &format!("s:{scope}"))]).await.unwrap()
}

/// How many scopes are known of a team.
pub(crate) async fn scopes(server: &RedisServer, team: &str) -> usize {
    server.ask(&["ZCARD", &key(team, "there")]).await.unwrap()
}

/// A call is open that was sent.
pub(crate) async fn hold(server: &RedisServer, team: &str, id: ReservationId) {
    hold_as(server, team, id, "D 0001795357620000 2026-11-22").await;
}

/// The call has ended, in each of the ways in which that shows.
pub(crate) async fn end(server: &RedisServer, team: &str, id: ReservationId, way: usize) {
    if way == 0 {
        hold_as(server, team, id, "X").await;
    } else {
        server.run(&["HDEL", &key(team, "held"), &id.to_string()]).await;
    }
}

/// How many ways there are in which it shows that a call has ended.
pub(crate) const WAYS_TO_END: usize = 2;

async fn hold_as(server: &RedisServer, team: &str, id: ReservationId, record: &str) {
    server.run(&["HSET", &key(team, "held"), &id.to_string(), record]).await;
}
