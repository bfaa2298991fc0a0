//! The windows: exact, aligned to the wall clock, tightened by what the upstream tells.

use std::time::Duration;

use moongate::permits::{Allowance, Ask, QueuePosition, Remaining, Span};
use tokio::task::JoinSet;

use super::harness::{
    Bench, Desk, MINUTE, call, is_granted, key_of, keys, moment, opens_at, per_day, per_minute, per_month,
};

pub(crate) async fn as_many_as_the_minute_allows_pass_at_once_and_the_next_waits_for_the_next_minute<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(3));
    desk.pass(Duration::from_secs(59));
    for left in [2, 1, 0] {
        assert_eq!(desk.ask(&call("design")).await, QueuePosition::Granted { key: "a".into(), left: Some(left) });
    }
    let late = call("design");
    assert_eq!(opens_at(&desk.ask(&late).await), moment("2026-11-22T12:01:00Z"));
    desk.pass(Duration::from_micros(999_999));
    assert!(!is_granted(&desk.wait(&late).await));
    desk.pass(Duration::from_micros(1));
    assert_eq!(desk.wait(&late).await, QueuePosition::Granted { key: "a".into(), left: Some(2) });
}

pub(crate) async fn every_window_of_the_account_and_of_a_key_holds<B: Bench>() {
    let cases = [
        (per_minute(2), "2026-11-22T12:01:00Z"),
        (per_day(2), "2026-11-23T00:00:00Z"),
        (per_month(2), "2026-12-01T00:00:00Z"),
    ];
    for (allowance, end) in cases {
        for of_a_key in [false, true] {
            let (desk, _bench) = Desk::open::<B>().await;
            let desk = if of_a_key { desk.limit_key("a", allowance) } else { desk.limit(allowance) };
            assert_eq!(desk.room(|| call("design")).await, 2);
            desk.ask_all(&[call("design"), call("design")]).await;
            let late = call("design");
            assert_eq!(opens_at(&desk.ask(&late).await), moment(end), "{allowance:?}");
            desk.clock.set(moment(end));
            assert!(is_granted(&desk.ask(&late).await), "{allowance:?}");
        }
    }
}

pub(crate) async fn all_keys_together_have_no_more_than_the_account<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(3)).limit_key("a", per_minute(2)).limit_key("b", per_minute(2));
    let mut used = Vec::new();
    for _ in 0..3 {
        let ask = Ask { keys: keys(&["a", "b"]), ..call("design") };
        used.push(key_of(&desk.ask(&ask).await).to_owned());
    }
    assert_eq!(used, ["a", "a", "b"]);
    let ask = Ask { keys: keys(&["b", "a"]), ..call("design") };
    assert!(!is_granted(&desk.ask(&ask).await));
}

pub(crate) async fn a_key_without_room_leaves_the_call_to_the_next<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit_key("b", per_minute(1));
    let ask = || Ask { keys: keys(&["a", "b"]), ..call("design") };
    desk.told("a", 0, desk.clock.now() + Duration::from_secs(30)).await;
    assert_eq!(key_of(&desk.ask(&ask()).await), "b");
    // The sooner of the two.
    assert_eq!(opens_at(&desk.ask(&ask()).await), moment("2026-11-22T12:00:30Z"));
}

pub(crate) async fn of_parallel_calls_on_two_replicas_exactly_as_many_pass_as_may<B: Bench>() {
    let (desk, bench) = Desk::open::<B>().await;
    let desk = desk.limit(Allowance { per_minute: Some(10), ..per_day(7) });
    let replicas = [desk.clone(), desk.beside(&bench)];
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let replica = replicas[number % 2].clone();
        calls.spawn(async move {
            let ask = call("design");
            is_granted(&replica.ask(&ask).await)
        });
    }
    let granted = calls.join_all().await.into_iter().filter(|granted| *granted).count();
    assert_eq!(granted, 7);
}

pub(crate) async fn a_changed_limit_keeps_what_was_taken<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    desk.ask_all(&[call("design"), call("design"), call("design")]).await;
    let desk = desk.limit(per_minute(5)).limit_key("a", per_day(4));
    assert_eq!(desk.room(|| call("design")).await, 1, "what passed without a limit was counted");
    assert_eq!(desk.limit_key("a", per_day(9)).room(|| call("design")).await, 2);
}

pub(crate) async fn a_permit_given_back_makes_room_once<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(1)).limit_key("a", per_month(1));
    let unsent = call("design");
    assert!(is_granted(&desk.ask(&unsent).await));
    desk.leave(&unsent).await;
    desk.leave(&unsent).await;
    assert_eq!(desk.room(|| call("design")).await, 1);
}

pub(crate) async fn a_permit_of_an_earlier_minute_makes_no_room_in_this_one<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(Allowance { per_minute: Some(1), ..per_day(3) });
    desk.pass(MINUTE - Duration::from_secs(1));
    let unsent = call("design");
    assert!(is_granted(&desk.ask(&unsent).await));
    desk.pass(Duration::from_secs(1));
    assert!(is_granted(&desk.ask(&call("design")).await));
    desk.leave(&unsent).await;
    assert_eq!(desk.room(|| call("design")).await, 0, "this minute is full");
    desk.pass(MINUTE);
    desk.ask(&call("design")).await;
    desk.pass(MINUTE);
    assert_eq!(desk.room(|| call("design")).await, 1, "the day had its permit back");
}

pub(crate) async fn what_the_upstream_tells_tightens_and_never_loosens<B: Bench>() {
    let (desk, bench) = Desk::open::<B>().await;
    let (desk, end) = (desk.limit(per_minute(60)), moment("2026-11-22T12:01:00Z"));
    desk.told("a", 3, end).await;
    desk.told("a", 50, end).await;
    assert_eq!(desk.beside(&bench).room(|| call("design")).await, 3, "on every replica");
    desk.ask(&call("design")).await;
    desk.told("a", 3, end).await;
    assert_eq!(desk.room(|| call("design")).await, 2, "what was taken since is no longer there");
    let other_key = || Ask { keys: keys(&["b"]), ..call("design") };
    assert!(is_granted(&desk.ask(&other_key()).await), "another key was not spoken of");
    desk.told("a", 0, end).await;
    assert_eq!(opens_at(&desk.ask(&call("design")).await), end);
}

pub(crate) async fn what_the_upstream_told_ends_with_its_window<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(60));
    // The upstream's clock is three seconds behind ours; its month is full as well.
    desk.told("a", 0, moment("2026-11-22T12:01:03Z")).await;
    desk.pass(MINUTE);
    let waiting = call("design");
    assert_eq!(opens_at(&desk.ask(&waiting).await), moment("2026-11-22T12:01:03Z"));
    desk.pass(Duration::from_secs(3));
    assert!(is_granted(&desk.wait(&waiting).await));
    desk.told("a", 0, moment("2026-12-01T00:00:00Z")).await;
    desk.told("a", 59, moment("2026-11-22T12:02:03Z")).await;
    assert_eq!(opens_at(&desk.ask(&call("design")).await), moment("2026-12-01T00:00:00Z"));
    desk.told("a", 1, desk.clock.now() - Duration::from_secs(1)).await;
    assert_eq!(opens_at(&desk.ask(&call("design")).await), moment("2026-12-01T00:00:00Z"));
}

pub(crate) async fn a_clock_that_goes_back_refills_nothing<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(1));
    desk.ask(&call("design")).await;
    desk.clock.set(moment("2026-11-22T11:59:30Z"));
    assert_eq!(desk.room(|| call("design")).await, 0);
    desk.clock.set(moment("2026-11-20T11:59:30Z"));
    assert_eq!(desk.room(|| call("design")).await, 1, "a clock that had been far ahead locks nobody out");
}

pub(crate) async fn what_is_left_is_told_of_every_window_that_has_a_limit<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(Allowance { per_minute: Some(5), ..per_month(9) }).limit_key("b", per_day(2));
    desk.ask_all(&[call("design"), call("growth")]).await;
    let of = |key: Option<&str>, span, calls| Remaining { key: key.map(Into::into), span, calls };
    let expected = [of(None, Span::Minute, 3), of(None, Span::Month, 7), of(Some("b"), Span::Day, 2)];
    assert_eq!(desk.remaining().await, expected);
    desk.pass(MINUTE);
    assert_eq!(desk.remaining().await[0], of(None, Span::Minute, 5));
}
