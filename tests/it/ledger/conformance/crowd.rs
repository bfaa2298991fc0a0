//! Cases: many callers at once, through two handles, never get more than there is.

use std::sync::Arc;

use moongate::ledger::{Outcome, ReservationId, Verdict};
use moongate::team::{Limit, LimitKind};
use tokio::task::JoinSet;

use super::Bench;
use super::harness::{Call, Fixture, PRICE, call, limit, settlement, user};

/// Asks for every admission at once, half of them through each handle; the ids that were admitted.
async fn at_once<B: Bench>(
    fixture: &Fixture<B>,
    call: &Call,
    ids: Vec<ReservationId>,
) -> Vec<ReservationId> {
    let handles = [Arc::clone(&fixture.ledger), fixture.bench.handle().await];
    let mut asking = JoinSet::new();
    for (number, id) in ids.into_iter().enumerate() {
        let (ledger, admission) = (Arc::clone(&handles[number % 2]), call.admission(id));
        asking.spawn(async move { (id, ledger.admit(admission).await.unwrap()) });
    }
    let answers = asking.join_all().await;
    answers
        .into_iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Admitted { .. }))
        .map(|(id, _)| id)
        .collect()
}

fn new_ids(count: usize) -> Vec<ReservationId> {
    (0..count).map(|_| ReservationId::new()).collect()
}

pub(crate) async fn of_200_parallel_calls_exactly_10_pass<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for kind in LimitKind::ALL {
        let max = if kind.name().starts_with("credits") { 10 * PRICE } else { 10 };
        let call = call().team(kind.name()).user("ana", [limit(kind, max)]);
        assert_eq!(at_once(&fixture, &call, new_ids(200)).await.len(), 10, "{kind}");
        assert_eq!(fixture.snapshot(&call).await.open, 10);
        assert_eq!(fixture.counted(&call, LimitKind::RequestsPerMonth).await, (0, 10));
    }
}

pub(crate) async fn parallel_calls_never_overspend_a_budget<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let budget = 20 * PRICE;
    let call = call().limits([
        limit(LimitKind::CreditsPerMonth, budget),
        limit(LimitKind::RequestsPerDay, Limit::REQUESTS_MAX),
    ]);
    let mut spent = 0;
    for round in 0..4_u64 {
        let admitted = at_once(&fixture, &call, new_ids(60)).await;
        assert_eq!(
            u64::try_from(admitted.len()).unwrap(),
            (budget - spent) / PRICE,
            "round {round}"
        );
        let mut settling = JoinSet::new();
        for id in admitted {
            let (ledger, team) = (Arc::clone(&fixture.ledger), call.team.clone());
            spent += PRICE / 2;
            settling.spawn(async move {
                ledger.settle(&team, settlement(id, Outcome::Charged, PRICE / 2)).await.unwrap()
            });
        }
        settling.join_all().await;
        for scope in [moongate::ledger::Scope::Team, user("ana")] {
            assert_eq!(
                fixture.counted_at(&call, scope, LimitKind::CreditsPerMonth).await,
                (spent, 0)
            );
        }
    }
    let rows = fixture.rows(&call).await;
    assert_eq!(rows.iter().map(|row| row.charged.micros()).sum::<u64>(), spent);
}

pub(crate) async fn parallel_duplicates_of_one_call_are_admitted_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits(
        LimitKind::ALL
            .map(|kind| limit(kind, if kind.name().starts_with("credits") { PRICE } else { 1 })),
    );
    let id = ReservationId::new();
    assert_eq!(at_once(&fixture, &call, vec![id; 50]).await.len(), 50);
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (0, 1));
    assert_eq!(fixture.snapshot(&call).await.open, 1);
}
