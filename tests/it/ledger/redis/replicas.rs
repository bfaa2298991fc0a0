//! Several replicas of the gateway on one Redis, each with its own connection, and clocks that
//! disagree.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use moongate::clock::Clock;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Outcome, ReservationId, Settled, Verdict};
use moongate::store::Topology;
use moongate::team::LimitKind;
use tokio::task::JoinSet;

use super::{handle, handle_with_clock, patient};
use crate::ledger::conformance::harness::{PRICE, call, credits, limit, settlement};
use crate::support::redis::RedisServer;

/// The admissions are made on two replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_2000_parallel_admissions_exactly_500_fit_the_budget() {
    let server = RedisServer::start().await;
    let handles = [handle(patient(&server)), handle(patient(&server))];
    let call = call().limits([limit(LimitKind::CreditsPerMonth, 500 * PRICE)]).user("ana", []);
    let mut admissions = JoinSet::new();
    for number in 0..2_000 {
        let (ledger, call) = (Arc::clone(&handles[number % 2]), call.clone());
        admissions.spawn(async move {
            let id = ReservationId::new();
            let verdict = ledger.admit(call.admission(id)).await.unwrap();
            matches!(verdict, Verdict::Admitted { .. }).then_some(id)
        });
    }
    let admitted: Vec<_> = admissions.join_all().await.into_iter().flatten().collect();
    assert_eq!(admitted.len(), 500);
    let mut settlements = JoinSet::new();
    for (number, id) in admitted.into_iter().enumerate() {
        let (ledger, team) = (Arc::clone(&handles[number % 2]), call.team.clone());
        settlements.spawn(async move {
            ledger.settle(&team, settlement(id, Outcome::Charged, PRICE)).await.unwrap()
        });
    }
    assert!(
        settlements.join_all().await.iter().all(|settled| *settled == Settled::Now(credits(PRICE)))
    );
    let rows = handles[0].rows(&call.team, 0, 1_000).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.charged.micros()).sum::<u64>(), 500 * PRICE);
    assert_eq!(rows.len(), 500);
}

#[tokio::test]
async fn replicas_with_wrong_clocks_count_in_the_same_month() {
    let server = RedisServer::start().await;
    let call = call().limits([limit(LimitKind::RequestsPerMonth, 3)]);
    let now = Clock::system().now();
    let weeks = Duration::from_secs(6 * 7 * 24 * 3600);
    for (number, time) in [now, now - weeks, now + weeks, now].into_iter().enumerate() {
        let ledger = handle_with_clock(patient(&server), Clock::moved(time));
        let verdict = ledger.admit(call.admission(ReservationId::new())).await.unwrap();
        let (at, admitted) = match verdict {
            Verdict::Admitted { at, .. } => (at, true),
            Verdict::Refused { at, .. } => (at, false),
        };
        assert_eq!(admitted, number < 3, "replica {number}");
        assert!(
            at.duration_since(now).as_secs().abs() < 60,
            "the answer has the store's time: {at}"
        );
    }
}

#[tokio::test]
async fn a_handle_made_before_its_server_serves_once_there() {
    let nobody = Settings::new(Topology::Single { url: "redis://127.0.0.1:1".to_owned() });
    let ledger = handle(nobody);
    let outage = ledger.probe().await.unwrap_err();
    assert_eq!(outage.name(), "unreachable");
    assert_eq!(
        ledger.admit(call().admission(ReservationId::new())).await.unwrap_err().name(),
        "unreachable"
    );
}

#[tokio::test]
async fn teams_are_sent_side_by_side_each_in_batches() {
    let server = RedisServer::start().await;
    let seen = Arc::new(super::Seen::default());
    let ledger = super::observed(patient(&server), Arc::clone(&seen) as _);
    let calls = (0..200).map(|number| {
        let (ledger, call) = (Arc::clone(&ledger), call().team(["design", "growth"][number % 2]));
        async move { ledger.admit(call.admission(ReservationId::new())).await.unwrap() }
    });
    join_all(calls).await;
    let batches = seen.batches();
    assert_eq!(batches.iter().sum::<usize>(), 200);
    assert!(batches.len() <= 6, "{batches:?}");
    assert_eq!(
        seen.operations().iter().filter(|operation| **operation == ("admit", "ok")).count(),
        200
    );
    assert_eq!(seen.ups(), [true]);
}
