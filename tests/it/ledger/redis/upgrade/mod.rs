//! What the release before this one has kept of a team is taken over on first sight: nothing is
//! lost, and nothing is spent twice.
//!
//! `mg1.jsonl` is what the ledger of that release left in a store, as the commands that put it
//! there; `answers.txt` is what it answered about it. Both were made by that ledger.

mod closed;
mod cluster;
mod onwards;
mod refusals;
mod shut;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings};
use moongate::ledger::{
    Ledger, Outage, Outcome, ReservationId, Scope, Settled, SnapshotQuery, TopUp, TopUpId,
    ToppedUp, Verdict,
};
use moongate::team::{Limit, LimitKind, TeamId};

use super::patient;
use crate::ledger::conformance::harness::{
    Call, PRICE, call, credits, key, limit, moment, settlement,
};
use crate::ledger::conformance::{RETENTION, TTL, Watch};
use crate::support::redis::RedisServer;
use crate::support::stored::Reached as _;

/// The store as the release before left it.
const STORE: &str = include_str!("mg1.jsonl");
/// What that release answered about it.
const ANSWERS: &str = include_str!("answers.txt");
/// When it answered.
const NOW: &str = "2026-11-22T12:00:01.6Z";
/// Where the team's days begin: at eleven in the morning of UTC.
const ZONE: &str = "Pacific/Auckland";
const KEY: &str = "k7Qp2mZr9aBc";
/// A user whose name is not plain.
const ANA: &str = "ana {1}/é";
/// The store's key of the team's state, and of what the release before judged by.
const STATE: &str = "mg2:{design}:state";
const OLD: &str = "mg1:{design}:s:team";

const DISPATCHED: u128 = 12;
const TURNED_BACK: u128 = 13;

/// The same id in every run.
fn id(number: u128) -> ReservationId {
    format!("{:032x}", (0x0193_5700_0000_7000_8000_u128 << 48) + number).parse().unwrap()
}

fn soft(share: &str, limit: Limit) -> Limit {
    Limit { soft: Some(share.parse().unwrap()), ..limit }
}

/// The team's limits: it may spend 12 calls' price, and what was topped up.
fn of_the_team() -> [Limit; 8] {
    [
        limit(LimitKind::RequestsPerMinute, 6),
        limit(LimitKind::RequestsPerDay, 100),
        limit(LimitKind::RequestsPerMonth, 1_000),
        soft("0.1", limit(LimitKind::CreditsPerDay, 30 * PRICE)),
        soft("0.1", limit(LimitKind::CreditsPerMonth, 40 * PRICE)),
        soft("0.5", limit(LimitKind::CreditsTotal, 12 * PRICE)),
        limit(LimitKind::Concurrent, 9),
        limit(LimitKind::RequestsPerHour, 40),
    ]
}

/// A call of `ana` with a gateway key.
fn of_ana() -> Call {
    let of_the_key =
        [limit(LimitKind::CreditsTotal, 50 * PRICE), limit(LimitKind::RequestsPerSecond, 3)];
    let hers = [limit(LimitKind::RequestsPerHour, 20), limit(LimitKind::CreditsPerDay, 9 * PRICE)];
    call().zone(ZONE).limits(of_the_team()).user(ANA, hers).level(key(KEY), of_the_key)
}

/// A call of `bob` without one.
fn of_bob() -> Call {
    let his = [limit(LimitKind::CreditsPerMonth, 20 * PRICE), limit(LimitKind::Concurrent, 3)];
    call().zone(ZONE).limits(of_the_team()).user("bob", his).model("veo/3")
}

fn top_up(id: &str, micros: u64) -> TopUp {
    TopUp { id: TopUpId::parse(id).unwrap(), scope: Scope::Team, credits: credits(micros) }
}

/// A server with what the release before left.
async fn filled() -> RedisServer {
    let server = RedisServer::start().await;
    for line in STORE.lines() {
        let words: Vec<String> = serde_json::from_str(line).unwrap();
        server.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    server
}

fn settings(server: &RedisServer, clock: &Clock) -> Settings {
    Settings { reservation_ttl: TTL, retention: RETENTION, ..patient(server) }.told_by(clock)
}

/// A process of this release.
fn process(server: &RedisServer, clock: &Clock) -> Arc<dyn Ledger> {
    watched(server, clock, Arc::default())
}

fn watched(server: &RedisServer, clock: &Clock, watch: Arc<Watch>) -> Arc<dyn Ledger> {
    Arc::new(RedisLedger::new(settings(server, clock), Clock::system(), watch).unwrap())
}

/// All that a ledger answers about the team.
async fn answers(ledger: &Arc<dyn Ledger>) -> String {
    let (team, mut text) = (TeamId::parse("design").unwrap(), String::new());
    for call in [of_ana(), of_bob()] {
        let (levels, time_zone) = (call.levels.clone(), call.zone.clone());
        let snapshot = ledger
            .snapshot(SnapshotQuery { team: team.clone(), levels, time_zone, reader: None })
            .await
            .unwrap();
        writeln!(text, "open {}", snapshot.open).unwrap();
        snapshot.statuses.iter().for_each(|status| writeln!(text, "{status:?}").unwrap());
    }
    for open in ledger.open_calls(&team).await.unwrap() {
        writeln!(text, "{open:?}").unwrap();
    }
    let rows = ledger.rows(&team, 0, 100).await.unwrap();
    writeln!(text, "rows {} lost {:?}", rows.total, rows.lost).unwrap();
    for (skip, row) in rows.rows.iter().enumerate() {
        assert_eq!(
            ledger.rows(&team, skip, 1).await.unwrap().rows,
            std::slice::from_ref(row),
            "page by page as in one"
        );
        writeln!(text, "{row:?}").unwrap();
    }
    for usage in ledger
        .usage(&team, "2026-11-01".parse().unwrap()..="2026-11-30".parse().unwrap())
        .await
        .unwrap()
    {
        writeln!(text, "{usage:?}").unwrap();
    }
    for top_up in [top_up("invoice-7", 2 * PRICE), top_up("invoice-7", 3 * PRICE)] {
        writeln!(text, "{:?}", ledger.top_up(&team, top_up).await.unwrap()).unwrap();
    }
    text
}

/// The first line in which two texts differ.
fn difference(is: &str, was: &str) -> Option<(String, String)> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (is, was) = (lines(is), lines(was));
    let most = is.len().max(was.len());
    let line = |lines: &[String], n: usize| lines.get(n).cloned().unwrap_or_default();
    (0..most).map(|n| (line(&is, n), line(&was, n))).find(|(is, was)| is != was)
}

#[tokio::test]
async fn every_count_row_and_open_call_is_as_before() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let ledger = process(&server, &clock);
    assert_eq!(difference(&answers(&ledger).await, ANSWERS), None);
    let other = process(&server, &clock);
    assert_eq!(
        difference(&answers(&other).await, ANSWERS),
        None,
        "and again by another process, which finds it moved"
    );
}

#[tokio::test]
async fn what_is_read_first_after_an_upgrade_is_all_there() {
    // The first operation, whichever it is, upgrades the team: rows, usage and open calls are
    // complete even before a call is admitted.
    let team = call().team;
    let clock = Clock::moved(moment(NOW));
    let server = filled().await;
    assert_eq!(process(&server, &clock).rows(&team, 0, 10).await.unwrap().total, 6);
    let server = filled().await;
    assert_eq!(process(&server, &clock).open_calls(&team).await.unwrap().len(), 3);
    let server = filled().await;
    assert_eq!(process(&server, &clock).open(&team).await.unwrap(), 3);
    let server = filled().await;
    let days = "2026-11-01".parse().unwrap()..="2026-11-30".parse().unwrap();
    assert!(!process(&server, &clock).usage(&team, days).await.unwrap().is_empty());
}
