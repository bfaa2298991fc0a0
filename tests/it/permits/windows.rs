//! The windows: exact, aligned to the wall clock, tightened by what the upstream reports.

use std::time::Duration;

use moongate::permits::{Allowance, Ask, QueuePosition, Remaining, Span};
use tokio::task::JoinSet;

use super::harness::{
    Bench, MINUTE, Replica, call, is_granted, key_of, keys, moment, opens_at, per_day, per_minute,
    per_month,
};

pub(crate) async fn calls_beyond_a_minutes_limit_wait_for_the_next<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(3));
    replica.pass(Duration::from_secs(59));
    for left in [2, 1, 0] {
        assert_eq!(
            replica.ask(&call("design")).await,
            QueuePosition::Granted { key: "a".into(), left: Some(left) }
        );
    }
    let late = call("design");
    assert_eq!(opens_at(&replica.ask(&late).await), moment("2026-11-22T12:01:00Z"));
    replica.pass(Duration::from_micros(999_999));
    assert!(!is_granted(&replica.wait(&late).await));
    replica.pass(Duration::from_micros(1));
    assert_eq!(
        replica.wait(&late).await,
        QueuePosition::Granted { key: "a".into(), left: Some(2) }
    );
}

pub(crate) async fn every_window_of_the_account_and_of_a_key_holds<B: Bench>() {
    let cases = [
        (per_minute(2), "2026-11-22T12:01:00Z"),
        (per_day(2), "2026-11-23T00:00:00Z"),
        (per_month(2), "2026-12-01T00:00:00Z"),
    ];
    for (allowance, end) in cases {
        for of_a_key in [false, true] {
            let (replica, _bench) = Replica::open::<B>().await;
            let replica =
                if of_a_key { replica.limit_key("a", allowance) } else { replica.limit(allowance) };
            assert_eq!(replica.room(|| call("design")).await, 2);
            replica.ask_all(&[call("design"), call("design")]).await;
            let late = call("design");
            assert_eq!(opens_at(&replica.ask(&late).await), moment(end), "{allowance:?}");
            replica.clock.set(moment(end));
            assert!(is_granted(&replica.ask(&late).await), "{allowance:?}");
        }
    }
}

pub(crate) async fn all_keys_together_have_no_more_than_the_account<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica =
        replica.limit(per_minute(3)).limit_key("a", per_minute(2)).limit_key("b", per_minute(2));
    let mut used = Vec::new();
    for _ in 0..3 {
        let ask = Ask { keys: keys(&["a", "b"]), ..call("design") };
        used.push(key_of(&replica.ask(&ask).await).to_owned());
    }
    assert_eq!(used, ["a", "a", "b"]);
    let ask = Ask { keys: keys(&["b", "a"]), ..call("design") };
    assert!(!is_granted(&replica.ask(&ask).await));
}

pub(crate) async fn when_a_key_has_no_room_the_next_is_used<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit_key("b", per_minute(1));
    let ask = || Ask { keys: keys(&["a", "b"]), ..call("design") };
    replica.report("a", 0, replica.clock.now() + Duration::from_secs(30)).await;
    assert_eq!(key_of(&replica.ask(&ask()).await), "b");
    // The sooner of the two.
    assert_eq!(opens_at(&replica.ask(&ask()).await), moment("2026-11-22T12:00:30Z"));
}

pub(crate) async fn of_parallel_calls_on_two_replicas_exactly_the_limit_passes<B: Bench>() {
    let (replica, bench) = Replica::open::<B>().await;
    let replica = replica.limit(Allowance { per_minute: Some(10), ..per_day(7) });
    let replicas = [replica.clone(), replica.beside(&bench)];
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
    let (replica, _bench) = Replica::open::<B>().await;
    replica.ask_all(&[call("design"), call("design"), call("design")]).await;
    let replica = replica.limit(per_minute(5)).limit_key("a", per_day(4));
    assert_eq!(replica.room(|| call("design")).await, 1, "calls without a limit were counted");
    assert_eq!(replica.limit_key("a", per_day(9)).room(|| call("design")).await, 2);
}

pub(crate) async fn a_permit_given_back_makes_room_once<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(1)).limit_key("a", per_month(1));
    let unsent = call("design");
    assert!(is_granted(&replica.ask(&unsent).await));
    replica.leave(&unsent).await;
    replica.leave(&unsent).await;
    assert_eq!(replica.room(|| call("design")).await, 1);
}

pub(crate) async fn an_earlier_minutes_permit_frees_nothing_in_this_one<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(Allowance { per_minute: Some(1), ..per_day(3) });
    replica.pass(MINUTE - Duration::from_secs(1));
    let unsent = call("design");
    assert!(is_granted(&replica.ask(&unsent).await));
    replica.pass(Duration::from_secs(1));
    assert!(is_granted(&replica.ask(&call("design")).await));
    replica.leave(&unsent).await;
    assert_eq!(replica.room(|| call("design")).await, 0, "this minute is full");
    replica.pass(MINUTE);
    replica.ask(&call("design")).await;
    replica.pass(MINUTE);
    assert_eq!(replica.room(|| call("design")).await, 1, "the day has its permit back");
}

pub(crate) async fn the_upstreams_reports_tighten_and_never_loosen<B: Bench>() {
    let (replica, bench) = Replica::open::<B>().await;
    let (replica, end) = (replica.limit(per_minute(60)), moment("2026-11-22T12:01:00Z"));
    replica.report("a", 3, end).await;
    replica.report("a", 50, end).await;
    assert_eq!(replica.beside(&bench).room(|| call("design")).await, 3, "on every replica");
    replica.ask(&call("design")).await;
    replica.report("a", 3, end).await;
    assert_eq!(
        replica.room(|| call("design")).await,
        2,
        "a call taken since the report counts against it"
    );
    let other_key = || Ask { keys: keys(&["b"]), ..call("design") };
    assert!(is_granted(&replica.ask(&other_key()).await), "the report was about another key");
    replica.report("a", 0, end).await;
    assert_eq!(opens_at(&replica.ask(&call("design")).await), end);
}

pub(crate) async fn an_upstream_report_ends_with_its_window<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(60));
    // The upstream's clock is three seconds behind ours; its month is full as well.
    replica.report("a", 0, moment("2026-11-22T12:01:03Z")).await;
    replica.pass(MINUTE);
    let waiting = call("design");
    assert_eq!(opens_at(&replica.ask(&waiting).await), moment("2026-11-22T12:01:03Z"));
    replica.pass(Duration::from_secs(3));
    assert!(is_granted(&replica.wait(&waiting).await));
    replica.report("a", 0, moment("2026-12-01T00:00:00Z")).await;
    replica.report("a", 59, moment("2026-11-22T12:02:03Z")).await;
    assert_eq!(opens_at(&replica.ask(&call("design")).await), moment("2026-12-01T00:00:00Z"));
    replica.report("a", 1, replica.clock.now() - Duration::from_secs(1)).await;
    assert_eq!(opens_at(&replica.ask(&call("design")).await), moment("2026-12-01T00:00:00Z"));
}

pub(crate) async fn a_clock_that_goes_back_refills_nothing<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(1));
    replica.ask(&call("design")).await;
    replica.clock.set(moment("2026-11-22T11:59:30Z"));
    assert_eq!(replica.room(|| call("design")).await, 0);
    replica.clock.set(moment("2026-11-20T11:59:30Z"));
    assert_eq!(
        replica.room(|| call("design")).await,
        1,
        "a window that a clock far ahead opened is dropped"
    );
}

pub(crate) async fn what_is_left_of_every_limited_window_is_reported<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica =
        replica.limit(Allowance { per_minute: Some(5), ..per_month(9) }).limit_key("b", per_day(2));
    replica.ask_all(&[call("design"), call("growth")]).await;
    let of = |key: Option<&str>, span, calls| Remaining { key: key.map(Into::into), span, calls };
    let expected =
        [of(None, Span::Minute, 3), of(None, Span::Month, 7), of(Some("b"), Span::Day, 2)];
    assert_eq!(replica.remaining().await, expected);
    replica.pass(MINUTE);
    assert_eq!(replica.remaining().await[0], of(None, Span::Minute, 5));
}
