//! Cases: token buckets, exact to the microsecond.

use std::time::Duration;

use moongate::ledger::Verdict;
use moongate::team::{Limit, LimitKind};

use super::Bench;
use super::harness::{Fixture, call, limit, moment, shadow};

const MICRO: Duration = Duration::from_micros(1);

pub(crate) async fn a_bucket_gives_its_burst_then_one_at_a_time<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerMinute, 6)]);
    for _ in 0..6 {
        fixture.admit(&call).await;
    }
    for _ in 0..3 {
        let refused = fixture.refuse(&call).await;
        assert_eq!(refused.retry_at, Some(fixture.clock.now() + Duration::from_secs(10)));
        assert_eq!((refused.binding.used, refused.binding.remaining()), (6, 0));
        fixture.pass(Duration::from_secs(10) - MICRO);
        assert_eq!(fixture.refuse(&call).await.retry_at, Some(fixture.clock.now() + MICRO));
        fixture.pass(MICRO);
        fixture.admit(&call).await;
    }
}

pub(crate) async fn a_fractional_wait_is_rounded_up_exactly<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerMinute, 7)]);
    for _ in 0..7 {
        fixture.admit(&call).await;
    }
    let empty = fixture.clock.now();
    // A token takes 60 s / 7 = 8,571,428 4/7 microseconds; fractions are not lost from one token to
    // the next.
    for micros in
        [8_571_429, 17_142_858, 25_714_286, 34_285_715, 42_857_143, 51_428_572, 60_000_000]
    {
        let due = empty + Duration::from_micros(micros);
        assert_eq!(fixture.refuse(&call).await.retry_at, Some(due));
        fixture.clock.set(due - MICRO);
        fixture.refuse(&call).await;
        fixture.clock.set(due);
        fixture.admit(&call).await;
    }
}

pub(crate) async fn a_smaller_burst_bounds_what_comes_at_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([Limit { burst: 2, ..limit(LimitKind::RequestsPerMinute, 60) }]);
    fixture.admit(&call).await;
    fixture.admit(&call).await;
    let refused = fixture.refuse(&call).await;
    assert_eq!((refused.binding.max, refused.binding.used), (2, 2));
    assert_eq!(refused.retry_at, Some(fixture.clock.now() + Duration::from_secs(1)));
    assert_eq!(refused.binding.reset_at, Some(fixture.clock.now() + Duration::from_secs(2)));
    let larger = call.limits([Limit { burst: 4, ..limit(LimitKind::RequestsPerMinute, 60) }]);
    fixture.admit(&larger).await;
    fixture.admit(&larger).await;
    fixture.refuse(&larger).await;
}

pub(crate) async fn a_refusal_does_not_touch_the_bucket<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerMinute, 1)]);
    fixture.admit(&call).await;
    let due = fixture.clock.now() + Duration::from_secs(60);
    for _ in 0..59 {
        fixture.pass(Duration::from_secs(1));
        assert_eq!(fixture.refuse(&call).await.retry_at, Some(due));
    }
    fixture.pass(Duration::from_secs(1));
    fixture.admit(&call).await;
}

pub(crate) async fn tokens_used_are_rounded_up_and_the_reset_is_exact<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerHour, 3600)]);
    fixture.admit(&call).await;
    fixture.admit(&call).await;
    let full = fixture.clock.now() + Duration::from_secs(2);
    for (after, used) in [
        (MICRO, 2),
        (Duration::from_micros(999_999), 1),
        (Duration::from_micros(999_999), 1),
        (MICRO, 0),
    ] {
        fixture.pass(after);
        let status = &fixture.snapshot(&call).await.statuses[0];
        assert_eq!((status.used, status.reset_at), (used, Some(full)));
    }
    fixture.pass(Duration::from_secs(5));
    let snapshot = fixture.snapshot(&call).await;
    assert_eq!((snapshot.statuses[0].used, snapshot.statuses[0].reset_at), (0, Some(snapshot.at)));
}

pub(crate) async fn a_long_rest_fills_a_bucket_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerSecond, 3)]);
    for _ in 0..2 {
        for _ in 0..3 {
            fixture.admit(&call).await;
        }
        fixture.refuse(&call).await;
        fixture.pass(Duration::from_secs(365 * 24 * 3600));
    }
}

pub(crate) async fn time_going_backwards_never_refills<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerMinute, 2)]);
    fixture.admit(&call).await;
    fixture.admit(&call).await;
    fixture.set("2026-11-22T09:59:50Z");
    let refused = fixture.refuse(&call).await;
    assert_eq!(refused.binding.used, 2);
    assert!(
        refused.retry_at.is_some_and(|at| at >= moment("2026-11-22T10:00:20Z")),
        "{:?}",
        refused.retry_at
    );
    fixture.set("2026-11-22T10:00:00Z");
    fixture.refuse(&call).await;
    fixture.set("2026-11-22T10:00:30Z");
    fixture.admit(&call).await;
    fixture.refuse(&call).await;
}

pub(crate) async fn a_shadow_bucket_counts_as_a_real_one_would_refuse<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let shadowed = call().limits([shadow(LimitKind::RequestsPerMinute, 6)]);
    let real = call().team("growth").limits([limit(LimitKind::RequestsPerMinute, 6)]);
    for _ in 0..20 {
        let would_refuse = match fixture.ask(&shadowed).await {
            Verdict::Admitted { statuses, .. } => statuses[0].shadow_refused,
            Verdict::Refused { .. } => panic!("a shadow limit refused"),
        };
        let refused = matches!(fixture.ask(&real).await, Verdict::Refused { .. });
        assert_eq!(would_refuse, refused, "at {}", fixture.clock.now());
        fixture.pass(Duration::from_secs(3));
    }
}

pub(crate) async fn the_largest_bucket_stays_exact<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::RequestsPerHour, Limit::REQUESTS_MAX)]);
    for _ in 0..3 {
        fixture.admit(&call).await;
    }
    // A token takes 3,600 microseconds.
    let full = fixture.clock.now() + Duration::from_micros(3 * 3_600);
    fixture.pass(Duration::from_micros(3_601));
    let status = &fixture.snapshot(&call).await.statuses[0];
    assert_eq!((status.used, status.reset_at, status.max), (2, Some(full), Limit::REQUESTS_MAX));
}
