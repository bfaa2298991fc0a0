//! Cases: every limit on every level, all or nothing, and what a refusal says.

use std::time::Duration;

use jiff::Timestamp;
use moongate::credits::Credits;
use moongate::ledger::{LimitStatus, Outcome, Scope, Verdict};
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind};

use super::Bench;
use super::harness::{Call, Desk, PRICE, call, key, limit, moment, shadow, user};

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
    let desk = Desk::<B>::open().await;
    for (position, scope) in [Scope::Team, user("ana"), key(KEY)].into_iter().enumerate() {
        for kind in LimitKind::ALL {
            let narrow = call()
                .team(&format!("{kind}-{position}"))
                .level(key(KEY), [])
                .level(scope.clone(), [for_calls(kind, 2)]);
            desk.admit(&narrow).await;
            desk.admit(&narrow).await;
            let refused = desk.refuse(&narrow).await;
            assert_eq!((&refused.binding.scope, refused.binding.kind), (&scope, kind));
            assert_eq!(refused.binding.remaining(), 0, "{kind}");
            assert!(refused.retry_at.is_some() != (kind == LimitKind::CreditsTotal), "{kind}: {:?}", refused.retry_at);
        }
    }
}

pub(crate) async fn a_refused_request_consumes_nothing_in_any_limit<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let roomy = with_every_limit();
    desk.pay(&roomy).await;
    desk.admit(&roomy).await;
    let before = desk.books(&roomy).await;
    for scope in [Scope::Team, user("ana"), key(KEY)] {
        for kind in LimitKind::ALL {
            let others = LimitKind::ALL.map(|other| for_calls(other, if other == kind { 1 } else { 100 }));
            let refused = desk.refuse(&roomy.clone().level(scope.clone(), others)).await;
            assert_eq!((&refused.binding.scope, refused.binding.kind), (&scope, kind));
        }
    }
    let after = desk.books(&roomy).await;
    assert_eq!(after.standings, before.standings);
    assert_eq!(after.open, before.open);
    assert_eq!(desk.rows(&roomy).await.len(), 1);
}

pub(crate) async fn standings_tell_every_limit_in_the_order_asked<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = with_every_limit();
    desk.pay(&call).await;
    let Verdict::Admitted { standings, at } = desk.ask(&call).await else { panic!("refused") };
    assert_eq!(at, desk.clock.now());
    assert_eq!(standings.len(), 27);
    let one_level = expected_after_one_paid_and_one_open(at);
    for (standing, (scope, expected)) in standings
        .iter()
        .zip([Scope::Team, user("ana"), key(KEY)].iter().flat_map(|scope| one_level.iter().map(move |e| (scope, e))))
    {
        let kind = expected.kind;
        assert_eq!(*standing, LimitStatus { scope: scope.clone(), ..expected.clone() }, "{kind}");
    }
    assert_eq!(desk.books(&call).await.standings, standings);
    assert_eq!(desk.books(&call).await.open, 1);
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
    let desk = Desk::<B>::open().await;
    let call = call().limits(LimitKind::ALL.map(|kind| Limit { shadow: true, ..for_calls(kind, 1) }));
    for first in [true, false, false] {
        let Verdict::Admitted { standings, .. } = desk.ask(&call).await else { panic!("refused") };
        assert_eq!(standings.len(), 9);
        assert!(standings.iter().all(|standing| standing.shadow && standing.shadow_refused != first), "{standings:?}");
    }
    assert_eq!(desk.counted(&call, LimitKind::RequestsPerDay).await, (0, 3));
    assert!(desk.books(&call).await.standings.iter().all(|standing| !standing.shadow_refused));
}

pub(crate) async fn a_shadow_of_every_kind_refuses_nobody_on_any_level<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
        for kind in LimitKind::ALL {
            for max in [0, 1] {
                let limits = [Limit { shadow: true, ..for_calls(kind, max) }];
                let call = call().team(&format!("{}-{kind}-{max}", scope.level())).level(scope.clone(), limits);
                for number in 0..3 {
                    let Verdict::Admitted { standings, .. } = desk.ask(&call).await else { panic!("{scope:?} {kind}") };
                    let over = number >= max;
                    assert_eq!((standings[0].shadow, standings[0].shadow_refused), (true, over), "{kind} {number}");
                }
            }
        }
    }
}

pub(crate) async fn a_refusal_reports_the_shadow_limits_it_would_have_passed<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let limits =
        [shadow(LimitKind::RequestsPerMonth, 1), limit(LimitKind::Concurrent, 1), shadow(LimitKind::RequestsPerDay, 9)];
    let call = call().limits(limits);
    desk.admit(&call).await;
    let refused = desk.refuse(&call).await;
    assert_eq!(refused.binding.kind, LimitKind::Concurrent);
    let reported: Vec<_> = refused.standings.iter().map(|standing| standing.shadow_refused).collect();
    assert_eq!(reported, [false, true, false]);
}

pub(crate) async fn a_limit_of_zero_lets_nothing_through_and_no_time_helps<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for kind in LimitKind::ALL {
        for price in [PRICE, 0] {
            let refused = desk.refuse(&call().limits([limit(kind, 0)]).price(price)).await;
            assert_eq!((refused.binding.kind, refused.binding.max), (kind, 0));
            assert_eq!((refused.binding.used, refused.binding.reserved), (0, 0));
            assert_eq!(refused.retry_at, None, "{kind}");
        }
    }
}

pub(crate) async fn a_price_above_the_whole_budget_never_passes<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for kind in [LimitKind::CreditsPerDay, LimitKind::CreditsPerMonth, LimitKind::CreditsTotal] {
        let call = call().limits([limit(kind, PRICE - 1)]);
        let refused = desk.refuse(&call).await;
        assert_eq!((refused.binding.kind, refused.retry_at), (kind, None));
        desk.admit(&call.price(PRICE - 1).team(&format!("fits-{kind}"))).await;
    }
}

pub(crate) async fn the_limit_that_makes_the_caller_wait_longest_binds<B: Bench>() {
    let desk = Desk::<B>::open().await;
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
        desk.admit(&call).await;
        desk.admit(&call).await;
        let refused = desk.refuse(&call).await;
        assert_eq!(refused.binding.kind, kind);
        assert_eq!(refused.binding.scope, user("ana"));
        assert_eq!(refused.retry_at, retry_at.map(moment), "{kind}");
    }
}

pub(crate) async fn of_two_equal_waits_the_first_limit_binds<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = call()
        .limits([shadow(LimitKind::RequestsPerDay, 1), limit(LimitKind::CreditsPerDay, PRICE)])
        .user("ana", [limit(LimitKind::RequestsPerDay, 1), limit(LimitKind::CreditsPerDay, PRICE)]);
    desk.admit(&call).await;
    let refused = desk.refuse(&call).await;
    assert_eq!((refused.binding.scope, refused.binding.kind), (Scope::Team, LimitKind::CreditsPerDay));
}

pub(crate) async fn a_budget_holds_to_the_last_millionth<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let exact = call().limits([limit(LimitKind::CreditsPerMonth, 3 * PRICE)]);
    let short = call().team("short").limits([limit(LimitKind::CreditsPerMonth, 3 * PRICE - 1)]);
    for _ in 0..2 {
        desk.pay(&exact).await;
        desk.pay(&short).await;
    }
    desk.refuse(&short).await;
    desk.admit(&short.price(PRICE - 1)).await;
    desk.admit(&exact).await;
    let refused = desk.refuse(&exact.price(1)).await;
    assert_eq!((refused.binding.used, refused.binding.reserved), (2 * PRICE, PRICE));
}

pub(crate) async fn the_largest_amounts_are_counted_exactly<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let most = Credits::MAX.micros();
    let call = call().limits([limit(LimitKind::CreditsTotal, most), limit(LimitKind::CreditsPerDay, most)]);
    desk.pay(&call.clone().price(most - 1)).await;
    desk.refuse(&call.clone().price(2)).await;
    desk.pay(&call.clone().price(1)).await;
    let refused = desk.refuse(&call.clone().price(1)).await;
    assert_eq!((refused.binding.kind, refused.binding.used), (LimitKind::CreditsTotal, most));
    desk.refuse(&call.clone().price(most)).await;
    let charged: Vec<_> = desk.rows(&call).await.iter().map(|row| row.charged.micros()).collect();
    assert_eq!(charged, [1, most - 1]);
}

pub(crate) async fn a_free_call_passes_a_budget_that_is_used_up<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = call().limits([limit(LimitKind::CreditsTotal, PRICE)]);
    desk.pay(&call).await;
    desk.refuse(&call.clone().price(1)).await;
    desk.pay(&call.clone().price(0)).await;
    assert_eq!(desk.counted(&call, LimitKind::RequestsPerDay).await, (2, 0));
}

pub(crate) async fn a_call_without_limits_is_admitted_and_counted<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let Verdict::Admitted { standings, .. } = desk.ask(&call()).await else { panic!("refused") };
    assert_eq!(standings, []);
    for scope in [Scope::Team, user("ana")] {
        assert_eq!(desk.counted_at(&call(), scope.clone(), LimitKind::RequestsPerMonth).await, (0, 1));
        assert_eq!(desk.counted_at(&call(), scope.clone(), LimitKind::CreditsTotal).await, (0, PRICE));
        assert_eq!(desk.counted_at(&call(), scope, LimitKind::Concurrent).await, (0, 1));
    }
}

pub(crate) async fn a_slot_is_free_again_when_its_call_has_ended<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = call().limits([limit(LimitKind::Concurrent, 2)]);
    for outcome in Outcome::ALL {
        let (first, second) = (desk.admit(&call).await, desk.admit(&call).await);
        let refused = desk.refuse(&call).await;
        assert_eq!((refused.binding.used, refused.binding.reserved), (0, 2));
        assert_eq!(refused.retry_at, Some(desk.clock.now() + Duration::from_secs(1)));
        desk.settle(&call, first, outcome, 0).await;
        let third = desk.admit(&call).await;
        desk.refuse(&call).await;
        desk.settle(&call, second, outcome, 0).await;
        desk.settle(&call, third, outcome, 0).await;
    }
    assert_eq!(desk.books(&call).await.open, 0);
}

pub(crate) async fn two_teams_do_not_touch_each_other<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let limits = LimitKind::ALL.map(|kind| for_calls(kind, 1));
    let (one, other) = (call().user("ana", limits), call().team("growth").user("ana", limits));
    desk.admit(&one).await;
    desk.refuse(&one).await;
    let id = desk.admit(&other).await;
    assert_eq!(desk.books(&one).await.open, 1);
    desk.settle(&other, id, Outcome::Charged, PRICE).await;
    assert_eq!(desk.counted_at(&one, user("ana"), LimitKind::CreditsTotal).await, (0, PRICE));
    assert_eq!(desk.counted_at(&other, user("ana"), LimitKind::CreditsTotal).await, (PRICE, 0));
    assert_eq!(desk.rows(&one).await, []);
}

pub(crate) async fn asking_for_the_books_changes_nothing<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = call().limits(LimitKind::ALL.map(|kind| for_calls(kind, 1)));
    let fresh = desk.books(&call).await;
    assert_eq!((fresh.open, fresh.at), (0, desk.clock.now()));
    assert!(fresh.standings.iter().all(|standing| (standing.used, standing.reserved) == (0, 0)));
    assert_eq!(desk.books(&call).await.standings, fresh.standings);
    desk.admit(&call).await;
    desk.refuse(&call).await;
}

pub(crate) async fn the_store_answers_a_probe<B: Bench>() {
    let desk = Desk::<B>::open().await;
    desk.ledger.probe().await.unwrap();
}
