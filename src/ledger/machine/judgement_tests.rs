//! The status of one limit, and whether a call passes it.
#![allow(clippy::unwrap_used)]
use jiff::tz::TimeZone;
use serde_json::json;

use super::*;
use crate::team::LimitKind;

const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;

fn moment() -> Moment {
    Moment::new(at(NOW), Calendar::around(at(NOW), &TimeZone::UTC))
}

/// What was spent and is reserved, of requests and of credits, today and in all.
fn used(counts: [u64; 4]) -> ScopeRecord {
    let Windows { day, month } = moment().windows;
    serde_json::from_value(
        json!({ "total": counts, "days": { day: counts }, "months": { month: counts } }),
    )
    .unwrap()
}

fn judged(kind: LimitKind, max: u64, used: &ScopeRecord, price: u64) -> (Passes, LimitStatus) {
    let judged =
        moment().judge(&Scope::Team, &Limit::new(kind, max), used, Credits::from_micros(price));
    (judged.passes, judged.status)
}

#[test]
fn the_last_of_a_billion_requests_passes() {
    let most = Limit::QUOTA_MAX;
    let passes = |spent: u64| {
        [LimitKind::RequestsPerDay, LimitKind::RequestsPerMonth].map(|kind| {
            let (passes, status) = judged(kind, most, &used([spent, 1, 0, 0]), 0);
            (passes == Passes::Now, status.remaining())
        })
    };
    assert_eq!((passes(most - 2), passes(most - 1)), ([(true, 1); 2], [(false, 0); 2]));
}

/// A call that costs more than a whole day allows never passes.
#[test]
fn a_call_over_budget_passes_when_the_day_ends() {
    let tomorrow = Passes::At("2027-01-16T00:00:00Z".parse().unwrap());
    let passes = |max, price| judged(LimitKind::CreditsPerDay, max, &used([1, 1, 2, 1]), price).0;
    assert_eq!([passes(5, 2), passes(5, 3), passes(5, 5)], [Passes::Now, tomorrow, tomorrow]);
    assert_eq!(passes(5, 6), Passes::Never);
    assert_eq!(
        judged(LimitKind::CreditsTotal, 5, &used([1, 1, 2, 1]), 3).0,
        Passes::Never,
        "no time gives any back"
    );
}

#[test]
fn a_budget_of_zero_refuses_even_free_calls() {
    assert_eq!(judged(LimitKind::CreditsPerDay, 0, &ScopeRecord::default(), 0).0, Passes::Never);
}

#[test]
fn a_windows_status_has_its_allowance_and_its_end() {
    let mut used = used([4, 1, 2, 1]);
    used.set_topped_up(7);
    let of = |kind| {
        let status = judged(kind, 5, &used, 0).1;
        (status.max, status.topped_up, status.used, status.reserved, status.reset_at)
    };
    let ends = Some("2027-02-01T00:00:00Z".parse().unwrap());
    assert_eq!(of(LimitKind::RequestsPerMonth), (5, 0, 4, 1, ends));
    assert_eq!(of(LimitKind::CreditsTotal), (12, 7, 2, 1, None));
}

#[test]
fn a_buckets_status_has_its_burst_use_and_reset() {
    let mut used = ScopeRecord::default();
    let minute = micros(Duration::from_secs(60));
    used.set_bucket(minute, used.bucket(minute).drained(6, NOW).with_one_taken(minute));
    let limit = Limit { burst: 2, ..Limit::new(LimitKind::RequestsPerMinute, 6) };
    let status = moment().judge(&Scope::Team, &limit, &used, Credits::ZERO).status;
    assert_eq!((status.max, status.used, status.reset_at), (2, 1, Some(at(NOW + 10 * SECOND))));
    let (passes, status) = judged(LimitKind::RequestsPerSecond, 1, &used, 0);
    assert_eq!((passes, status.used), (Passes::Now, 0), "each period has a bucket of its own");
}

/// A limit of no slots never lets it pass.
#[test]
fn without_a_free_slot_a_call_retries_in_a_second() {
    let slots = |max| {
        let (passes, status) = judged(LimitKind::Concurrent, max, &used([0, 2, 0, 0]), 0);
        assert_eq!(status.reserved, 2);
        passes
    };
    let soon = Passes::At(at(NOW + SECOND));
    assert_eq!([slots(3), slots(2), slots(1), slots(0)], [Passes::Now, soon, soon, Passes::Never]);
}

#[test]
fn the_longest_wait_binds_and_of_equals_the_first() {
    let bound = |passes: &[(Passes, bool)]| {
        let status = judged(LimitKind::Concurrent, 1, &ScopeRecord::default(), 0).1;
        let judgements: Vec<_> = passes
            .iter()
            .map(|(passes, shadow)| Judgement {
                status: status.clone(),
                passes: *passes,
                shadow: *shadow,
            })
            .collect();
        binding(&judgements)
            .map(|(index, retry_at)| (index, retry_at.map(Timestamp::as_microsecond)))
    };
    let wait = |micros| (Passes::At(at(micros)), false);
    let (now, never) = ((Passes::Now, false), (Passes::Never, false));
    assert_eq!(bound(&[now, wait(5), wait(9), wait(9), wait(7)]), Some((2, Some(9))));
    assert_eq!(bound(&[wait(5), never, wait(9), never]), Some((1, None)), "for ever is longest");
    assert_eq!(bound(&[now, (Passes::Never, true)]), None, "a shadow limit binds nobody");
}
