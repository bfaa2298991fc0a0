//! Cases: a reservation is ended once, by what it cost.

use std::sync::Arc;

use moongate::ledger::{Outcome, ReservationId, Scope, Settled, Verdict};
use moongate::team::{Limit, LimitKind};

use super::Bench;
use super::harness::{Fixture, PRICE, call, credits, key, limit, settlement, user};

const CREDIT_LIMITS: [LimitKind; 3] =
    [LimitKind::CreditsPerDay, LimitKind::CreditsPerMonth, LimitKind::CreditsTotal];
const REQUEST_WINDOWS: [LimitKind; 2] = [LimitKind::RequestsPerDay, LimitKind::RequestsPerMonth];

pub(crate) async fn a_settlement_charges_the_cost_and_returns_the_rest<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().price(4 * PRICE);
    let id = fixture.admit(&call).await;
    assert_eq!(
        fixture.settle(&call, id, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    for scope in [Scope::Team, user("ana")] {
        for kind in CREDIT_LIMITS {
            assert_eq!(fixture.counted_at(&call, scope.clone(), kind).await, (PRICE, 0));
        }
        for kind in REQUEST_WINDOWS {
            assert_eq!(fixture.counted_at(&call, scope.clone(), kind).await, (1, 0));
        }
        assert_eq!(fixture.counted_at(&call, scope, LimitKind::Concurrent).await, (0, 0));
    }
}

pub(crate) async fn a_settlement_never_charges_more_than_was_reserved<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for outcome in [Outcome::Charged, Outcome::Unknown] {
        let call = call().team(outcome.name());
        let id = fixture.admit(&call).await;
        assert_eq!(
            fixture.settle(&call, id, outcome, PRICE * 1_000).await,
            Settled::Now(credits(PRICE))
        );
        assert_eq!(fixture.counted(&call, LimitKind::CreditsTotal).await, (PRICE, 0));
        assert_eq!(fixture.rows(&call).await[0].charged, credits(PRICE));
    }
}

pub(crate) async fn a_release_gives_back_windows_and_slots_but_no_tokens<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let bucket = limit(LimitKind::RequestsPerMinute, 10);
    let call = call().limits([bucket]).user("ana", [bucket]);
    let id = fixture.admit(&call).await;
    assert_eq!(fixture.settle(&call, id, Outcome::Released, PRICE).await, Settled::Now(credits(0)));
    for scope in [Scope::Team, user("ana")] {
        for kind in CREDIT_LIMITS.into_iter().chain(REQUEST_WINDOWS).chain([LimitKind::Concurrent])
        {
            assert_eq!(fixture.counted_at(&call, scope.clone(), kind).await, (0, 0), "{kind}");
        }
        assert_eq!(fixture.counted_at(&call, scope, LimitKind::RequestsPerMinute).await.0, 1);
    }
    let row = fixture.rows(&call).await.remove(0);
    assert_eq!(
        (row.outcome, row.reserved, row.charged),
        (Outcome::Released, credits(PRICE), credits(0))
    );
}

pub(crate) async fn a_call_the_upstream_refused_costs_nothing_and_counts<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let bucket = limit(LimitKind::RequestsPerMinute, 10);
    let call = call().limits([bucket]).user("ana", [bucket]).level(key("k7Qp2mZr9aBc"), [bucket]);
    let id = fixture.admit(&call).await;
    assert_eq!(fixture.settle(&call, id, Outcome::Refused, PRICE).await, Settled::Now(credits(0)));
    for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
        for kind in CREDIT_LIMITS.into_iter().chain([LimitKind::Concurrent]) {
            assert_eq!(fixture.counted_at(&call, scope.clone(), kind).await, (0, 0), "{kind}");
        }
        for kind in REQUEST_WINDOWS {
            assert_eq!(fixture.counted_at(&call, scope.clone(), kind).await, (1, 0), "{kind}");
        }
        assert_eq!(fixture.counted_at(&call, scope, LimitKind::RequestsPerMinute).await.0, 1);
    }
    let row = fixture.rows(&call).await.remove(0);
    assert_eq!(
        (row.outcome, row.reserved, row.charged),
        (Outcome::Refused, credits(PRICE), credits(0))
    );
    let sums = fixture.usage(&call, "2026-11-22", "2026-11-22").await[0].sums;
    assert_eq!((sums.refused, sums.calls(), sums.credits), (1, 1, credits(0)));
}

pub(crate) async fn an_unknown_end_counts_the_call_and_its_charge<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for charged in [PRICE, 0] {
        let call = call().team(&format!("charged-{charged}"));
        let id = fixture.admit(&call).await;
        assert_eq!(
            fixture.settle(&call, id, Outcome::Unknown, charged).await,
            Settled::Now(credits(charged))
        );
        assert_eq!(fixture.counted(&call, LimitKind::CreditsPerMonth).await, (charged, 0));
        assert_eq!(fixture.counted(&call, LimitKind::RequestsPerMonth).await, (1, 0));
        assert_eq!(fixture.rows(&call).await[0].outcome, Outcome::Unknown);
    }
}

pub(crate) async fn a_call_that_cost_nothing_still_counts_as_a_call<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call();
    let id = fixture.admit(&call).await;
    assert_eq!(fixture.settle(&call, id, Outcome::Charged, 0).await, Settled::Now(credits(0)));
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (1, 0));
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (0, 0));
}

pub(crate) async fn settling_again_changes_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let call = call().limits(LimitKind::ALL.map(|kind| limit(kind, Limit::REQUESTS_MAX)));
    let ends = Outcome::ALL;
    for first in ends {
        let id = fixture.admit(&call).await;
        let _open = fixture.admit(&call).await;
        assert!(matches!(fixture.settle(&call, id, first, PRICE / 2).await, Settled::Now(_)));
        let before = (fixture.snapshot(&call).await.statuses, fixture.rows(&call).await);
        for again in ends {
            assert_eq!(fixture.settle(&call, id, again, PRICE).await, Settled::Before);
            assert_eq!(
                other.settle(&call.team, settlement(id, again, 0)).await.unwrap(),
                Settled::Before
            );
        }
        assert_eq!((fixture.snapshot(&call).await.statuses, fixture.rows(&call).await), before);
    }
}

pub(crate) async fn settling_what_never_was_changes_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let id = fixture.admit(&call()).await;
    for end in Outcome::ALL {
        assert_eq!(
            fixture.settle(&call(), ReservationId::new(), end, PRICE).await,
            Settled::Before
        );
        assert_eq!(
            fixture.settle(&call().team("growth"), id, end, PRICE).await,
            Settled::Before,
            "another team's id"
        );
    }
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsTotal).await, (0, PRICE));
    assert_eq!(fixture.rows(&call()).await, []);
}

pub(crate) async fn of_many_settlements_at_once_exactly_one_counts<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call();
    let id = fixture.admit(&call).await;
    let handles = [Arc::clone(&fixture.ledger), fixture.bench.handle().await];
    let mut settling = tokio::task::JoinSet::new();
    for number in 0..32_u64 {
        let (ledger, team) =
            (Arc::clone(&handles[usize::from(number % 2 == 0)]), call.team.clone());
        let end = [Outcome::Charged, Outcome::Unknown][usize::from(number % 3 == 0)];
        settling.spawn(async move {
            ledger.settle(&team, settlement(id, end, PRICE - number)).await.unwrap()
        });
    }
    let settled = settling.join_all().await;
    let charged: Vec<_> = settled
        .iter()
        .filter_map(|settled| match settled {
            Settled::Now(charged) => Some(charged.micros()),
            Settled::Before => None,
        })
        .collect();
    assert_eq!(charged.len(), 1);
    assert_eq!(fixture.counted(&call, LimitKind::CreditsTotal).await, (charged[0], 0));
    assert_eq!(fixture.rows(&call).await.len(), 1);
}

pub(crate) async fn the_same_id_admitted_twice_is_counted_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let call = call().limits(LimitKind::ALL.map(|kind| limit(kind, Limit::REQUESTS_MAX)));
    let id = ReservationId::new();
    let first = fixture.ledger.admit(call.admission(id)).await.unwrap();
    for ledger in [&fixture.ledger, &other] {
        let again = ledger.admit(call.admission(id)).await.unwrap();
        match (&first, again) {
            (
                Verdict::Admitted { statuses: once, .. },
                Verdict::Admitted { statuses: twice, .. },
            ) => {
                assert_eq!(*once, twice);
            }
            answers => panic!("{answers:?}"),
        }
    }
    assert_eq!(fixture.snapshot(&call).await.open, 1);
    assert_eq!(
        fixture.settle(&call, id, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    assert_eq!(fixture.settle(&call, id, Outcome::Charged, PRICE).await, Settled::Before);
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (PRICE, 0));
}

pub(crate) async fn a_repeated_admission_is_admitted_even_at_a_full_limit<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([
        limit(LimitKind::RequestsPerSecond, 1),
        limit(LimitKind::CreditsTotal, PRICE),
        limit(LimitKind::Concurrent, 1),
    ]);
    let id = fixture.admit(&call).await;
    fixture.refuse(&call).await;
    assert!(matches!(
        fixture.ledger.admit(call.admission(id)).await.unwrap(),
        Verdict::Admitted { .. }
    ));
    fixture.refuse(&call).await;
    assert_eq!(fixture.snapshot(&call).await.open, 1);
}
