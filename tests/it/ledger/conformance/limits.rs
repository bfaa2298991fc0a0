//! Cases: every limit on every level, all or nothing, and what a refusal says.

use std::time::Duration;

use jiff::Timestamp;
use moongate::credits::Credits;
use moongate::ledger::{LimitStatus, Outcome, Scope, Verdict};
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind};

use super::Bench;
use super::harness::{Call, Fixture, PRICE, call, key, limit, moment, shadow, user};

const KEY: &str = "k7Qp2mZr9aBc";

/// A limit of this kind that lets `calls` calls through at once.
fn for_calls(kind: LimitKind, calls: u64) -> Limit {
    match kind.shape() {
        Shape::Window(_, Unit::Credits) => limit(kind, calls * PRICE),
        Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => limit(kind, calls),
    }
}

/// A call with every kind of limit, roomy, on all three levels.
fn with_every_limit() -> Call {
    let roomy = || LimitKind::ALL.map(|kind| for_calls(kind, 100));
    call().limits(roomy()).user("ana", roomy()).level(key(KEY), roomy())
}

pub(crate) async fn every_kind_of_limit_refuses_on_every_level<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for (position, scope) in [Scope::Team, user("ana"), key(KEY)].into_iter().enumerate() {
        for kind in LimitKind::ALL {
            let narrow = call()
                .team(&format!("{kind}-{position}"))
                .level(key(KEY), [])
                .level(scope.clone(), [for_calls(kind, 2)]);
            fixture.admit(&narrow).await;
            fixture.admit(&narrow).await;
            let refused = fixture.refuse(&narrow).await;
            assert_eq!((&refused.binding.scope, refused.binding.kind), (&scope, kind));
            assert_eq!(refused.binding.remaining(), 0, "{kind}");
            assert!(
                refused.retry_at.is_some() != (kind == LimitKind::CreditsTotal),
                "{kind}: {:?}",
                refused.retry_at
            );
        }
    }
}

pub(crate) async fn a_refused_request_consumes_nothing_in_any_limit<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let roomy = with_every_limit();
    fixture.pay(&roomy).await;
    fixture.admit(&roomy).await;
    let before = fixture.snapshot(&roomy).await;
    for scope in [Scope::Team, user("ana"), key(KEY)] {
        for kind in LimitKind::ALL {
            let others =
                LimitKind::ALL.map(|other| for_calls(other, if other == kind { 1 } else { 100 }));
            let refused = fixture.refuse(&roomy.clone().level(scope.clone(), others)).await;
            assert_eq!((&refused.binding.scope, refused.binding.kind), (&scope, kind));
        }
    }
    let after = fixture.snapshot(&roomy).await;
    assert_eq!(after.statuses, before.statuses);
    assert_eq!(after.open, before.open);
    assert_eq!(fixture.rows(&roomy).await.len(), 1);
}

pub(crate) async fn statuses_tell_every_limit_in_the_order_asked<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = with_every_limit();
    fixture.pay(&call).await;
    let Verdict::Admitted { statuses, at } = fixture.ask(&call).await else { panic!("refused") };
    assert_eq!(at, fixture.clock.now());
    assert_eq!(statuses.len(), 27);
    let one_level = expected_after_one_paid_and_one_open(at);
    for (status, (scope, expected)) in statuses.iter().zip(
        [Scope::Team, user("ana"), key(KEY)]
            .iter()
            .flat_map(|scope| one_level.iter().map(move |e| (scope, e))),
    ) {
        let kind = expected.kind;
        assert_eq!(*status, LimitStatus { scope: scope.clone(), ..expected.clone() }, "{kind}");
    }
    assert_eq!(fixture.snapshot(&call).await.statuses, statuses);
    assert_eq!(fixture.snapshot(&call).await.open, 1);
}

fn expected_after_one_paid_and_one_open(at: Timestamp) -> Vec<LimitStatus> {
    let midnight = Some(moment("2026-11-23T00:00:00Z"));
    let first = Some(moment("2026-12-01T00:00:00Z"));
    let in_ms = |ms: u64| Some(at + Duration::from_millis(ms));
    let of = |kind, max, used, reserved, reset_at| LimitStatus {
        scope: Scope::Team,
        kind,
        max,
        topped_up: 0,
        used,
        reserved,
        reset_at,
        shadow: false,
        shadow_refused: false,
    };
    vec![
        of(LimitKind::RequestsPerSecond, 100, 2, 0, in_ms(20)),
        of(LimitKind::RequestsPerMinute, 100, 2, 0, in_ms(1_200)),
        of(LimitKind::RequestsPerHour, 100, 2, 0, in_ms(72_000)),
        of(LimitKind::RequestsPerDay, 100, 1, 1, midnight),
        of(LimitKind::RequestsPerMonth, 100, 1, 1, first),
        of(LimitKind::CreditsPerDay, 100 * PRICE, PRICE, PRICE, midnight),
        of(LimitKind::CreditsPerMonth, 100 * PRICE, PRICE, PRICE, first),
        of(LimitKind::CreditsTotal, 100 * PRICE, PRICE, PRICE, None),
        of(LimitKind::Concurrent, 100, 0, 1, None),
    ]
}

pub(crate) async fn a_shadow_limit_reports_and_refuses_nobody<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call =
        call().limits(LimitKind::ALL.map(|kind| Limit { shadow: true, ..for_calls(kind, 1) }));
    for first in [true, false, false] {
        let Verdict::Admitted { statuses, .. } = fixture.ask(&call).await else {
            panic!("refused")
        };
        assert_eq!(statuses.len(), 9);
        assert!(
            statuses.iter().all(|status| status.shadow && status.shadow_refused != first),
            "{statuses:?}"
        );
    }
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (0, 3));
    assert!(fixture.snapshot(&call).await.statuses.iter().all(|status| !status.shadow_refused));
}

pub(crate) async fn a_shadow_of_every_kind_refuses_nobody_on_any_level<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
        for kind in LimitKind::ALL {
            for max in [0, 1] {
                let limits = [Limit { shadow: true, ..for_calls(kind, max) }];
                let call = call()
                    .team(&format!("{}-{kind}-{max}", scope.level()))
                    .level(scope.clone(), limits);
                for number in 0..3 {
                    let Verdict::Admitted { statuses, .. } = fixture.ask(&call).await else {
                        panic!("{scope:?} {kind}")
                    };
                    let over = number >= max;
                    assert_eq!(
                        (statuses[0].shadow, statuses[0].shadow_refused),
                        (true, over),
                        "{kind} {number}"
                    );
                }
            }
        }
    }
}

pub(crate) async fn a_refusal_reports_the_shadow_limits_it_would_have_passed<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limits = [
        shadow(LimitKind::RequestsPerMonth, 1),
        limit(LimitKind::Concurrent, 1),
        shadow(LimitKind::RequestsPerDay, 9),
    ];
    let call = call().limits(limits);
    fixture.admit(&call).await;
    let refused = fixture.refuse(&call).await;
    assert_eq!(refused.binding.kind, LimitKind::Concurrent);
    let reported: Vec<_> = refused.statuses.iter().map(|status| status.shadow_refused).collect();
    assert_eq!(reported, [false, true, false]);
}

pub(crate) async fn a_limit_of_zero_never_lets_anything_through<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for kind in LimitKind::ALL {
        for price in [PRICE, 0] {
            let refused = fixture.refuse(&call().limits([limit(kind, 0)]).price(price)).await;
            assert_eq!((refused.binding.kind, refused.binding.max), (kind, 0));
            assert_eq!((refused.binding.used, refused.binding.reserved), (0, 0));
            assert_eq!(refused.retry_at, None, "{kind}");
        }
    }
}

pub(crate) async fn a_price_above_the_whole_budget_never_passes<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for kind in [LimitKind::CreditsPerDay, LimitKind::CreditsPerMonth, LimitKind::CreditsTotal] {
        let call = call().limits([limit(kind, PRICE - 1)]);
        let refused = fixture.refuse(&call).await;
        assert_eq!((refused.binding.kind, refused.retry_at), (kind, None));
        fixture.admit(&call.price(PRICE - 1).team(&format!("fits-{kind}"))).await;
    }
}

pub(crate) async fn the_limit_that_makes_the_caller_wait_longest_binds<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let ascending = [
        (LimitKind::RequestsPerSecond, Some("2026-11-22T10:00:00.5Z")),
        (LimitKind::Concurrent, Some("2026-11-22T10:00:01Z")),
        (LimitKind::RequestsPerMinute, Some("2026-11-22T10:00:30Z")),
        (LimitKind::RequestsPerHour, Some("2026-11-22T10:30:00Z")),
        (LimitKind::RequestsPerDay, Some("2026-11-23T00:00:00Z")),
        (LimitKind::CreditsPerMonth, Some("2026-12-01T00:00:00Z")),
        (LimitKind::CreditsTotal, None),
    ];
    let mut limits = Vec::new();
    for (number, (kind, retry_at)) in ascending.into_iter().enumerate() {
        limits.push(for_calls(kind, 2));
        let call = call().team(&format!("t{number}")).user("ana", limits.clone());
        fixture.admit(&call).await;
        fixture.admit(&call).await;
        let refused = fixture.refuse(&call).await;
        assert_eq!(refused.binding.kind, kind);
        assert_eq!(refused.binding.scope, user("ana"));
        assert_eq!(refused.retry_at, retry_at.map(moment), "{kind}");
    }
}

pub(crate) async fn of_two_equal_waits_the_first_limit_binds<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call()
        .limits([shadow(LimitKind::RequestsPerDay, 1), limit(LimitKind::CreditsPerDay, PRICE)])
        .user("ana", [limit(LimitKind::RequestsPerDay, 1), limit(LimitKind::CreditsPerDay, PRICE)]);
    fixture.admit(&call).await;
    let refused = fixture.refuse(&call).await;
    assert_eq!(
        (refused.binding.scope, refused.binding.kind),
        (Scope::Team, LimitKind::CreditsPerDay)
    );
}

pub(crate) async fn a_budget_holds_to_the_last_millionth<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let exact = call().limits([limit(LimitKind::CreditsPerMonth, 3 * PRICE)]);
    let short = call().team("short").limits([limit(LimitKind::CreditsPerMonth, 3 * PRICE - 1)]);
    for _ in 0..2 {
        fixture.pay(&exact).await;
        fixture.pay(&short).await;
    }
    fixture.refuse(&short).await;
    fixture.admit(&short.price(PRICE - 1)).await;
    fixture.admit(&exact).await;
    let refused = fixture.refuse(&exact.price(1)).await;
    assert_eq!((refused.binding.used, refused.binding.reserved), (2 * PRICE, PRICE));
}

pub(crate) async fn the_largest_amounts_are_counted_exactly<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let most = Credits::MAX.micros();
    let call = call()
        .limits([limit(LimitKind::CreditsTotal, most), limit(LimitKind::CreditsPerDay, most)]);
    fixture.pay(&call.clone().price(most - 1)).await;
    fixture.refuse(&call.clone().price(2)).await;
    fixture.pay(&call.clone().price(1)).await;
    let refused = fixture.refuse(&call.clone().price(1)).await;
    assert_eq!((refused.binding.kind, refused.binding.used), (LimitKind::CreditsTotal, most));
    fixture.refuse(&call.clone().price(most)).await;
    let charged: Vec<_> =
        fixture.rows(&call).await.iter().map(|row| row.charged.micros()).collect();
    assert_eq!(charged, [1, most - 1]);
}

pub(crate) async fn a_free_call_passes_a_budget_that_is_used_up<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::CreditsTotal, PRICE)]);
    fixture.pay(&call).await;
    fixture.refuse(&call.clone().price(1)).await;
    fixture.pay(&call.clone().price(0)).await;
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (2, 0));
}

pub(crate) async fn a_call_without_limits_is_admitted_and_counted<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let Verdict::Admitted { statuses, .. } = fixture.ask(&call()).await else { panic!("refused") };
    assert_eq!(statuses, []);
    for scope in [Scope::Team, user("ana")] {
        assert_eq!(
            fixture.counted_at(&call(), scope.clone(), LimitKind::RequestsPerMonth).await,
            (0, 1)
        );
        assert_eq!(
            fixture.counted_at(&call(), scope.clone(), LimitKind::CreditsTotal).await,
            (0, PRICE)
        );
        assert_eq!(fixture.counted_at(&call(), scope, LimitKind::Concurrent).await, (0, 1));
    }
}

pub(crate) async fn a_slot_is_free_again_when_its_call_has_ended<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::Concurrent, 2)]);
    for outcome in Outcome::ALL {
        let (first, second) = (fixture.admit(&call).await, fixture.admit(&call).await);
        let refused = fixture.refuse(&call).await;
        assert_eq!((refused.binding.used, refused.binding.reserved), (0, 2));
        assert_eq!(refused.retry_at, Some(fixture.clock.now() + Duration::from_secs(1)));
        fixture.settle(&call, first, outcome, 0).await;
        let third = fixture.admit(&call).await;
        fixture.refuse(&call).await;
        fixture.settle(&call, second, outcome, 0).await;
        fixture.settle(&call, third, outcome, 0).await;
    }
    assert_eq!(fixture.snapshot(&call).await.open, 0);
}

pub(crate) async fn two_teams_do_not_touch_each_other<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limits = LimitKind::ALL.map(|kind| for_calls(kind, 1));
    let (one, other) = (call().user("ana", limits), call().team("growth").user("ana", limits));
    fixture.admit(&one).await;
    fixture.refuse(&one).await;
    let id = fixture.admit(&other).await;
    assert_eq!(fixture.snapshot(&one).await.open, 1);
    fixture.settle(&other, id, Outcome::Charged, PRICE).await;
    assert_eq!(fixture.counted_at(&one, user("ana"), LimitKind::CreditsTotal).await, (0, PRICE));
    assert_eq!(fixture.counted_at(&other, user("ana"), LimitKind::CreditsTotal).await, (PRICE, 0));
    assert_eq!(fixture.rows(&one).await, []);
}

pub(crate) async fn asking_for_the_books_changes_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits(LimitKind::ALL.map(|kind| for_calls(kind, 1)));
    let fresh = fixture.snapshot(&call).await;
    assert_eq!((fresh.open, fresh.at), (0, fixture.clock.now()));
    assert!(fresh.statuses.iter().all(|status| (status.used, status.reserved) == (0, 0)));
    assert_eq!(fixture.snapshot(&call).await.statuses, fresh.statuses);
    fixture.admit(&call).await;
    fixture.refuse(&call).await;
}

pub(crate) async fn the_store_answers_a_probe<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    fixture.ledger.probe().await.unwrap();
}
