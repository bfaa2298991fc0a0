//! Cases: days and months of the team's zone; a call belongs to the windows that admitted it.

use std::time::Duration;

use moongate::ledger::{Outcome, Scope, Settled, Swept};
use moongate::team::LimitKind;

use super::harness::{Call, Fixture, PRICE, call, credits, key, limit, moment, user};
use super::{Bench, TTL};

pub(crate) async fn a_call_is_settled_into_the_day_that_admitted_it<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-22T23:59:59.9Z").await;
    let call = call()
        .limits([limit(LimitKind::CreditsPerDay, PRICE), limit(LimitKind::RequestsPerDay, 1)]);
    let yesterday = fixture.admit(&call).await;
    fixture.refuse(&call).await;
    fixture.set("2026-11-23T00:00:01Z");
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (0, 0));
    let today = fixture.admit(&call).await;
    assert_eq!(
        fixture.settle(&call, yesterday, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (0, PRICE));
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (0, 1));
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerMonth).await, (PRICE, PRICE));
    fixture.settle(&call, today, Outcome::Charged, PRICE / 2).await;
    let days: Vec<_> =
        fixture.rows(&call).await.into_iter().map(|row| (row.day, row.charged)).collect();
    assert_eq!(
        days,
        [("2026-11-23".into(), credits(PRICE / 2)), ("2026-11-22".into(), credits(PRICE))]
    );
}

pub(crate) async fn a_call_is_settled_into_the_month_that_admitted_it<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2028-02-29T23:59:59.999999Z").await;
    let call = call()
        .limits([limit(LimitKind::CreditsPerMonth, PRICE), limit(LimitKind::RequestsPerMonth, 1)]);
    let february = fixture.admit(&call).await;
    assert_eq!(fixture.refuse(&call).await.retry_at, Some(moment("2028-03-01T00:00:00Z")));
    fixture.pass(Duration::from_micros(1));
    let march = fixture.admit(&call).await;
    fixture.settle(&call, february, Outcome::Charged, PRICE / 4).await;
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerMonth).await, (0, PRICE));
    assert_eq!(fixture.counted(&call, LimitKind::CreditsTotal).await, (PRICE / 4, PRICE));
    fixture.settle(&call, march, Outcome::Released, 0).await;
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerMonth).await, (0, 0));
    let months: Vec<_> =
        fixture.rows(&call).await.into_iter().map(|row| (row.month, row.day)).collect();
    assert_eq!(
        months,
        [("2028-03".into(), "2028-03-01".into()), ("2028-02".into(), "2028-02-29".into())]
    );
}

pub(crate) async fn an_abandoned_call_is_charged_to_its_admission_day<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-12-31T23:59:50Z").await;
    let call = call();
    fixture.admit(&call).await;
    fixture.pass(TTL + Duration::from_secs(1));
    assert_eq!(fixture.sweep(&call).await, Swept { released: 0, refused: 0, unknown: 1 });
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (0, 0));
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerMonth).await, (0, 0));
    assert_eq!(fixture.counted(&call, LimitKind::CreditsTotal).await, (PRICE, 0));
    let row = fixture.rows(&call).await.remove(0);
    assert_eq!((row.day.as_str(), row.month.as_str()), ("2026-12-31", "2026-12"));
}

/// A day with a limit of two, filled just after its first moment: nothing passes until just before
/// its end.
async fn holds_from_to<B: Bench>(call: Call, first: &str, end: &str) {
    let micro = Duration::from_micros(1);
    let fixture = Fixture::<B>::open_at(first).await;
    let call = call.limits([limit(LimitKind::RequestsPerDay, 2)]);
    fixture.clock.set(moment(first) - micro);
    fixture.pay(&call).await;
    fixture.clock.set(moment(first));
    fixture.pay(&call).await;
    fixture.pay(&call).await;
    assert_eq!(fixture.refuse(&call).await.retry_at, Some(moment(end)));
    fixture.clock.set(moment(end) - micro);
    assert_eq!(fixture.refuse(&call).await.binding.reset_at, Some(moment(end)));
    fixture.clock.set(moment(end));
    fixture.pay(&call).await;
}

pub(crate) async fn a_day_of_25_hours_is_one_window<B: Bench>() {
    holds_from_to::<B>(
        call().zone("Europe/Berlin"),
        "2026-10-24T22:00:00Z",
        "2026-10-25T23:00:00Z",
    )
    .await;
}

pub(crate) async fn a_day_of_23_hours_is_one_window<B: Bench>() {
    holds_from_to::<B>(
        call().zone("Europe/Berlin"),
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z",
    )
    .await;
}

pub(crate) async fn the_month_begins_at_midnight_of_the_team_s_zone<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-10-31T22:59:59.999999Z").await;
    let call = call().zone("Europe/Berlin").user("ana", [limit(LimitKind::CreditsPerMonth, PRICE)]);
    fixture.pay(&call).await;
    assert_eq!(fixture.refuse(&call).await.retry_at, Some(moment("2026-10-31T23:00:00Z")));
    fixture.set("2026-10-31T23:00:00Z");
    fixture.pay(&call).await;
    assert_eq!(fixture.refuse(&call).await.retry_at, Some(moment("2026-11-30T23:00:00Z")));
    assert_eq!(fixture.rows(&call).await[0].day, "2026-11-01");
}

pub(crate) async fn prepaid_credits_never_come_back<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::CreditsTotal, PRICE)]);
    fixture.pay(&call).await;
    for time in ["2026-11-23T10:00:00Z", "2026-12-22T10:00:00Z", "2031-01-01T00:00:00Z"] {
        fixture.set(time);
        let refused = fixture.refuse(&call).await;
        assert_eq!(
            (refused.retry_at, refused.binding.reset_at, refused.binding.used),
            (None, None, PRICE)
        );
    }
}

pub(crate) async fn a_settlement_days_later_does_not_touch_today<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call();
    let old = fixture.admit(&call).await;
    for time in ["2026-11-24T10:00:00Z", "2027-01-10T10:00:00Z", "2027-02-10T10:00:00Z"] {
        fixture.set(time);
        fixture.ledger.renew(&call.team, &[old]).await.unwrap();
        fixture.pay(&call).await;
    }
    assert_eq!(
        fixture.settle(&call, old, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    for scope in [Scope::Team, user("ana")] {
        assert_eq!(
            fixture.counted_at(&call, scope.clone(), LimitKind::CreditsPerDay).await,
            (PRICE, 0)
        );
        assert_eq!(
            fixture.counted_at(&call, scope.clone(), LimitKind::CreditsPerMonth).await,
            (PRICE, 0)
        );
        assert_eq!(
            fixture.counted_at(&call, scope.clone(), LimitKind::CreditsTotal).await,
            (4 * PRICE, 0)
        );
        assert_eq!(fixture.counted_at(&call, scope, LimitKind::Concurrent).await, (0, 0));
    }
    assert_eq!(fixture.rows(&call).await[0].day, "2026-11-22");
}

pub(crate) async fn a_changed_time_zone_keeps_windows_of_one_name<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-22T23:30:00Z").await;
    let utc = call().limits([limit(LimitKind::RequestsPerDay, 2)]);
    let (berlin, new_york) =
        (utc.clone().zone("Europe/Berlin"), utc.clone().zone("America/New_York"));
    fixture.pay(&utc).await;
    fixture.pay(&berlin).await;
    assert_eq!(
        fixture.counted(&berlin, LimitKind::RequestsPerDay).await,
        (1, 0),
        "in Berlin it is the 23rd"
    );
    fixture.pay(&new_york).await;
    assert_eq!(
        fixture.counted(&new_york, LimitKind::RequestsPerDay).await,
        (2, 0),
        "in New York it is the 22nd"
    );
    assert_eq!(fixture.refuse(&utc).await.retry_at, Some(moment("2026-11-23T00:00:00Z")));
    assert_eq!(fixture.refuse(&new_york).await.retry_at, Some(moment("2026-11-23T05:00:00Z")));
    fixture.pay(&berlin).await;
}

/// Where a month, a year, or a day of another length ends in Berlin, and where its clocks are
/// changed in the middle of one; the day before the edge and the day after it.
const EDGES: [(&str, &str, &str); 6] = [
    ("2026-04-30T22:00:00Z", "2026-04-30", "2026-05-01"),
    ("2026-12-31T23:00:00Z", "2026-12-31", "2027-01-01"),
    ("2027-03-28T01:00:00Z", "2027-03-28", "2027-03-28"),
    ("2027-03-28T22:00:00Z", "2027-03-28", "2027-03-29"),
    ("2027-10-31T01:00:00Z", "2027-10-31", "2027-10-31"),
    ("2027-10-31T23:00:00Z", "2027-10-31", "2027-11-01"),
];

/// A call of a team that has room for exactly what begins before the edge: what begins after it
/// finds the room of its own window.
fn call_at_an_edge() -> Call {
    let budget = |kind| limit(kind, 4 * PRICE);
    call()
        .zone("Europe/Berlin")
        .limits([budget(LimitKind::CreditsPerDay), limit(LimitKind::RequestsPerDay, 4)])
        .user("ana", [budget(LimitKind::CreditsPerMonth)])
        .level(key("k7Qp2mZr9aBc"), [limit(LimitKind::RequestsPerMonth, 4)])
}

/// The calls are settled there on all levels.
pub(crate) async fn calls_across_window_edges_are_settled_where_they_began<B: Bench>() {
    let second = Duration::from_secs(1);
    for (edge, before, after) in EDGES {
        let (fixture, call) = (Fixture::<B>::open_at(edge).await, call_at_an_edge());
        fixture.clock.set(moment(edge) - Duration::from_micros(1));
        let [charged, released, left, dispatched] = [
            fixture.admit(&call).await,
            fixture.admit(&call).await,
            fixture.admit(&call).await,
            fixture.admit(&call.clone().waiting()).await,
        ];
        fixture.refuse(&call).await;
        fixture.clock.set(moment(edge));
        let (same_day, same_month) = (before == after, before[..7] == after[..7]);
        let next = if same_day || same_month { None } else { Some(fixture.admit(&call).await) };
        fixture.pass(second);
        assert!(fixture.ledger.dispatch(&call.team, dispatched).await.unwrap());
        fixture.settle(&call, dispatched, Outcome::Unknown, PRICE).await;
        fixture.settle(&call, charged, Outcome::Charged, PRICE / 4).await;
        fixture.settle(&call, released, Outcome::Released, 0).await;
        fixture.pass(TTL - 2 * second);
        fixture.ledger.renew(&call.team, &next.map_or_else(Vec::new, |id| vec![id])).await.unwrap();
        fixture.pass(second);
        assert_eq!(
            fixture.sweep(&call).await,
            Swept { released: 0, refused: 0, unknown: 1 },
            "{edge}"
        );
        let (spent, held) = (2 * PRICE + PRICE / 4, if next.is_some() { PRICE } else { 0 });
        let counts = |counts: bool, of: u64| if counts { of } else { 0 };
        for (kind, expected) in [
            (LimitKind::CreditsPerDay, (counts(same_day, spent), held)),
            (LimitKind::CreditsPerMonth, (counts(same_month, spent), held)),
            (LimitKind::CreditsTotal, (spent, held)),
            (LimitKind::RequestsPerDay, (counts(same_day, 3), held / PRICE)),
            (LimitKind::RequestsPerMonth, (counts(same_month, 3), held / PRICE)),
        ] {
            for level in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
                let counted = fixture.counted_at(&call, level.clone(), kind).await;
                assert_eq!(counted, expected, "{edge} {level:?} {kind:?}");
            }
        }
        if let Some(next) = next {
            fixture.settle(&call, next, Outcome::Charged, PRICE).await;
        }
        let rows = fixture.rows(&call).await;
        for row in &rows {
            let day = if Some(row.id) == next { after } else { before };
            assert_eq!((row.day.as_str(), row.month.as_str()), (day, &day[..7]), "{edge}");
        }
        let ended: u64 = rows.iter().map(|row| row.charged.micros()).sum();
        assert!(rows.iter().any(|row| row.id == left) && ended == spent + held, "{edge}");
        let usage = fixture.usage(&call, before, after).await;
        let days: Vec<_> =
            usage.iter().map(|cell| (cell.day.to_string(), cell.sums.credits.micros())).collect();
        let mut wanted = vec![(before.to_owned(), spent)];
        wanted.extend(next.map(|_| (after.to_owned(), PRICE)));
        assert_eq!(days, wanted, "{edge}");
    }
}
