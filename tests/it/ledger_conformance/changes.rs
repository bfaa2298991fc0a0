//! Cases: changing a limit never resets what was used.

use std::time::Duration;

use moongate::ledger::{Outcome, Scope, Verdict};
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind};

use super::Bench;
use super::harness::{Desk, PRICE, call, limit, moment, shadow, user};

const WINDOWS: [LimitKind; 5] = [
    LimitKind::RequestsPerDay,
    LimitKind::RequestsPerMonth,
    LimitKind::CreditsPerDay,
    LimitKind::CreditsPerMonth,
    LimitKind::CreditsTotal,
];

/// As much as so many calls take from a limit of this kind.
fn worth(kind: LimitKind, calls: u64) -> u64 {
    match kind.shape() {
        Shape::Window(_, Unit::Credits) => calls * PRICE,
        Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => calls,
    }
}

pub(crate) async fn a_changed_limit_keeps_what_was_used<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for kind in WINDOWS {
        let of = |calls| call().team(kind.name()).user("ana", [limit(kind, worth(kind, calls))]);
        desk.pay(&of(2)).await;
        desk.admit(&of(2)).await;
        desk.refuse(&of(2)).await;
        desk.admit(&of(3)).await;
        let refused = desk.refuse(&of(3)).await;
        assert_eq!((refused.binding.used, refused.binding.reserved), (worth(kind, 1), worth(kind, 2)), "{kind}");
    }
}

pub(crate) async fn a_limit_below_what_is_used_refuses_until_the_window_ends<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let of = |calls| call().limits([limit(LimitKind::RequestsPerDay, calls)]);
    for _ in 0..3 {
        desk.pay(&of(5)).await;
    }
    let refused = desk.refuse(&of(2)).await;
    assert_eq!((refused.binding.max, refused.binding.used, refused.binding.remaining()), (2, 3, 0));
    assert_eq!(refused.retry_at, Some(moment("2026-11-23T00:00:00Z")));
    desk.pay(&of(4)).await;
    desk.refuse(&of(4)).await;
    desk.set("2026-11-23T00:00:00Z");
    desk.pay(&of(1)).await;
    desk.refuse(&of(1)).await;
}

pub(crate) async fn a_limit_set_later_knows_what_was_used_before<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for scope in [Scope::Team, user("ana")] {
        for kind in WINDOWS {
            let unlimited = call().team(&format!("{}-{kind}", scope.level()));
            desk.pay(&unlimited).await;
            desk.admit(&unlimited).await;
            let refused = desk.refuse(&unlimited.clone().level(scope.clone(), [limit(kind, worth(kind, 2))])).await;
            assert_eq!((refused.binding.used, refused.binding.reserved), (worth(kind, 1), worth(kind, 1)), "{kind}");
            desk.admit(&unlimited.level(scope.clone(), [limit(kind, worth(kind, 3))])).await;
        }
    }
}

pub(crate) async fn a_limit_taken_away_and_set_again_knows_what_was_used<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let limited = call().limits([limit(LimitKind::CreditsPerMonth, 3 * PRICE)]);
    desk.pay(&limited).await;
    desk.pay(&call()).await;
    desk.pay(&limited).await;
    assert_eq!(desk.refuse(&limited).await.binding.used, 3 * PRICE);
}

pub(crate) async fn a_changed_bucket_keeps_the_tokens_taken<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let of = |calls| call().limits([limit(LimitKind::RequestsPerMinute, calls)]);
    for _ in 0..4 {
        desk.admit(&of(6)).await;
    }
    let lower = desk.refuse(&of(4)).await;
    assert_eq!((lower.binding.used, lower.binding.max), (4, 4));
    assert_eq!(lower.retry_at, Some(desk.clock.now() + Duration::from_secs(15)));
    let far_lower = desk.refuse(&of(2)).await;
    assert_eq!((far_lower.binding.used, far_lower.binding.remaining()), (4, 0));
    assert_eq!(far_lower.retry_at, Some(desk.clock.now() + Duration::from_secs(90)));
    for _ in 4..12 {
        desk.admit(&of(12)).await;
    }
    assert_eq!(desk.refuse(&of(12)).await.retry_at, Some(desk.clock.now() + Duration::from_secs(5)));
}

pub(crate) async fn a_bucket_set_later_starts_full<B: Bench>() {
    let desk = Desk::<B>::open().await;
    desk.admit(&call()).await;
    desk.admit(&call()).await;
    let limited = call().limits([limit(LimitKind::RequestsPerHour, 1)]);
    desk.admit(&limited).await;
    desk.refuse(&limited).await;
}

pub(crate) async fn fewer_slots_than_calls_in_flight_refuse_until_enough_have_ended<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let of = |slots| call().limits([limit(LimitKind::Concurrent, slots)]);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(desk.admit(&of(3)).await);
    }
    for id in open.drain(..2) {
        let refused = desk.refuse(&of(1)).await;
        assert!(refused.binding.reserved > 1 && refused.binding.remaining() == 0);
        desk.settle(&call(), id, Outcome::Charged, PRICE).await;
    }
    desk.refuse(&of(1)).await;
    desk.settle(&call(), open[0], Outcome::Charged, PRICE).await;
    desk.admit(&of(1)).await;
}

pub(crate) async fn a_shadow_limit_that_becomes_real_counts_what_passed_it<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let shadowed = call().limits([shadow(LimitKind::CreditsPerDay, PRICE)]);
    for _ in 0..3 {
        desk.pay(&shadowed).await;
    }
    let real = |calls| call().limits([Limit { shadow: false, ..limit(LimitKind::CreditsPerDay, calls * PRICE) }]);
    assert_eq!(desk.refuse(&real(3)).await.binding.used, 3 * PRICE);
    assert!(matches!(desk.ask(&real(4)).await, Verdict::Admitted { .. }));
}
