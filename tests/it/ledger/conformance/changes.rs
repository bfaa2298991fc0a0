//! Cases: changing a limit never resets what was used.

use std::time::Duration;

use moongate::ledger::{Outcome, Scope, Verdict};
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind};

use super::Bench;
use super::harness::{Fixture, PRICE, call, limit, moment, shadow, user};

const WINDOWS: [LimitKind; 5] = [
    LimitKind::RequestsPerDay,
    LimitKind::RequestsPerMonth,
    LimitKind::CreditsPerDay,
    LimitKind::CreditsPerMonth,
    LimitKind::CreditsTotal,
];

/// The amount that so many calls take from a limit of this kind.
fn worth(kind: LimitKind, calls: u64) -> u64 {
    match kind.shape() {
        Shape::Window(_, Unit::Credits) => calls * PRICE,
        Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => calls,
    }
}

pub(crate) async fn a_changed_limit_keeps_what_was_used<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for kind in WINDOWS {
        let of = |calls| call().team(kind.name()).user("ana", [limit(kind, worth(kind, calls))]);
        fixture.pay(&of(2)).await;
        fixture.admit(&of(2)).await;
        fixture.refuse(&of(2)).await;
        fixture.admit(&of(3)).await;
        let refused = fixture.refuse(&of(3)).await;
        assert_eq!(
            (refused.binding.used, refused.binding.reserved),
            (worth(kind, 1), worth(kind, 2)),
            "{kind}"
        );
    }
}

pub(crate) async fn a_limit_below_use_refuses_until_the_window_ends<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let of = |calls| call().limits([limit(LimitKind::RequestsPerDay, calls)]);
    for _ in 0..3 {
        fixture.pay(&of(5)).await;
    }
    let refused = fixture.refuse(&of(2)).await;
    assert_eq!((refused.binding.max, refused.binding.used, refused.binding.remaining()), (2, 3, 0));
    assert_eq!(refused.retry_at, Some(moment("2026-11-23T00:00:00Z")));
    fixture.pay(&of(4)).await;
    fixture.refuse(&of(4)).await;
    fixture.set("2026-11-23T00:00:00Z");
    fixture.pay(&of(1)).await;
    fixture.refuse(&of(1)).await;
}

pub(crate) async fn a_limit_set_later_knows_what_was_used_before<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for scope in [Scope::Team, user("ana")] {
        for kind in WINDOWS {
            let unlimited = call().team(&format!("{}-{kind}", scope.level()));
            fixture.pay(&unlimited).await;
            fixture.admit(&unlimited).await;
            let refused = fixture
                .refuse(&unlimited.clone().level(scope.clone(), [limit(kind, worth(kind, 2))]))
                .await;
            assert_eq!(
                (refused.binding.used, refused.binding.reserved),
                (worth(kind, 1), worth(kind, 1)),
                "{kind}"
            );
            fixture.admit(&unlimited.level(scope.clone(), [limit(kind, worth(kind, 3))])).await;
        }
    }
}

pub(crate) async fn a_limit_removed_and_restored_knows_its_use<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limited = call().limits([limit(LimitKind::CreditsPerMonth, 3 * PRICE)]);
    fixture.pay(&limited).await;
    fixture.pay(&call()).await;
    fixture.pay(&limited).await;
    assert_eq!(fixture.refuse(&limited).await.binding.used, 3 * PRICE);
}

pub(crate) async fn a_changed_bucket_keeps_the_tokens_taken<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let of = |calls| call().limits([limit(LimitKind::RequestsPerMinute, calls)]);
    for _ in 0..4 {
        fixture.admit(&of(6)).await;
    }
    let lower = fixture.refuse(&of(4)).await;
    assert_eq!((lower.binding.used, lower.binding.max), (4, 4));
    assert_eq!(lower.retry_at, Some(fixture.clock.now() + Duration::from_secs(15)));
    let far_lower = fixture.refuse(&of(2)).await;
    assert_eq!((far_lower.binding.used, far_lower.binding.remaining()), (4, 0));
    assert_eq!(far_lower.retry_at, Some(fixture.clock.now() + Duration::from_secs(90)));
    for _ in 4..12 {
        fixture.admit(&of(12)).await;
    }
    assert_eq!(
        fixture.refuse(&of(12)).await.retry_at,
        Some(fixture.clock.now() + Duration::from_secs(5))
    );
}

pub(crate) async fn a_bucket_set_later_starts_full<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    fixture.admit(&call()).await;
    fixture.admit(&call()).await;
    let limited = call().limits([limit(LimitKind::RequestsPerHour, 1)]);
    fixture.admit(&limited).await;
    fixture.refuse(&limited).await;
}

pub(crate) async fn lowered_slots_refuse_until_enough_calls_have_ended<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let of = |slots| call().limits([limit(LimitKind::Concurrent, slots)]);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(fixture.admit(&of(3)).await);
    }
    for id in open.drain(..2) {
        let refused = fixture.refuse(&of(1)).await;
        assert!(refused.binding.reserved > 1 && refused.binding.remaining() == 0);
        fixture.settle(&call(), id, Outcome::Charged, PRICE).await;
    }
    fixture.refuse(&of(1)).await;
    fixture.settle(&call(), open[0], Outcome::Charged, PRICE).await;
    fixture.admit(&of(1)).await;
}

pub(crate) async fn a_shadow_limit_that_becomes_real_counts_what_passed_it<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let shadowed = call().limits([shadow(LimitKind::CreditsPerDay, PRICE)]);
    for _ in 0..3 {
        fixture.pay(&shadowed).await;
    }
    let real = |calls| {
        call().limits([Limit { shadow: false, ..limit(LimitKind::CreditsPerDay, calls * PRICE) }])
    };
    assert_eq!(fixture.refuse(&real(3)).await.binding.used, 3 * PRICE);
    assert!(matches!(fixture.ask(&real(4)).await, Verdict::Admitted { .. }));
}
