//! Cases: one row per call that ended, newest first, summing to what the windows count.

use std::sync::Arc;
use std::time::Duration;

use moongate::credits::Credits;
use moongate::ledger::{CallResult, LostRows, Outcome, ReservationId, Retention, Row, Scope};
use moongate::team::LimitKind;

use super::harness::{Fixture, PRICE, call, credits, moment, settlement, user};
use super::{Bench, RETENTION, TTL};

pub(crate) async fn a_row_tells_the_whole_call<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-30T23:30:00.123456Z").await;
    let call = call().zone("Europe/Berlin").price(4 * PRICE).waiting();
    let id = ReservationId::new();
    let mut admission = call.admission(id);
    let summary = Arc::make_mut(&mut admission.summary);
    summary.key = Some("k7Qp2mZr9aBc".into());
    summary.images = 4;
    summary.seconds = 5;
    summary.price_version = "2026-11".into();
    summary.request_id = "{r}:*\"\\ ü".into();
    let summary = admission.summary.clone();
    fixture.ledger.admit(admission).await.unwrap();
    fixture.pass(Duration::from_micros(1_500_001));
    let mut end = settlement(id, Outcome::Charged, PRICE);
    end.result = CallResult {
        status: 502,
        code: Some("upstream_broken".into()),
        images: 3,
        video_ms: 5_040,
        queue_ms: 17,
        upstream_ms: 1_483,
        sent_us: Some(17_300),
        answered_us: Some(1_500_400),
    };
    fixture.ledger.settle(&call.team, end.clone()).await.unwrap();
    let expected = Row {
        id,
        outcome: Outcome::Charged,
        reserved: credits(4 * PRICE),
        charged: credits(PRICE),
        day: "2026-12-01".into(),
        month: "2026-12".into(),
        admitted_at: moment("2026-11-30T23:30:00.123456Z"),
        settled_at: moment("2026-11-30T23:30:01.623457Z"),
        summary,
        result: end.result,
    };
    assert_eq!(fixture.rows(&call).await, [expected]);
}

pub(crate) async fn rows_come_newest_first_and_as_many_as_asked<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(fixture.admit(&call()).await);
    }
    ids.rotate_left(5);
    for id in &ids {
        fixture.settle(&call(), *id, Outcome::Charged, PRICE).await;
    }
    ids.reverse();
    for limit in [0, 1, 5, 12, 100] {
        let rows = fixture.ledger.rows(&call().team, 0, limit).await.unwrap().rows;
        let got: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(got, ids[..limit.min(12)]);
    }
    assert_eq!(fixture.rows(&call().team("growth")).await, []);
}

pub(crate) async fn a_swept_row_has_nothing_that_came<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let waiting = fixture.admit(&call().waiting()).await;
    fixture.pass(Duration::from_secs(1));
    let dispatched = fixture.admit(&call()).await;
    fixture.pass(TTL);
    fixture.sweep(&call()).await;
    let rows = fixture.rows(&call()).await;
    let ends: Vec<_> = rows.iter().map(|row| (row.id, row.outcome, row.charged)).collect();
    assert_eq!(
        ends,
        [
            (dispatched, Outcome::Unknown, credits(PRICE)),
            (waiting, Outcome::Released, Credits::ZERO)
        ]
    );
    for row in rows {
        assert_eq!((row.settled_at, row.result), (fixture.clock.now(), CallResult::default()));
        assert_eq!((row.reserved, row.summary), (credits(PRICE), call().summary()));
    }
}

pub(crate) async fn the_rows_of_a_window_sum_to_what_it_counts<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-30T23:59:00Z").await;
    let ends = Outcome::ALL;
    for number in 0..30_u64 {
        let call =
            call().price(number * 1_000).user(["ana", "bo"][usize::from(number % 2 == 0)], []);
        let id = fixture.admit(&call).await;
        fixture.pass(Duration::from_secs(4));
        if number % 7 != 0 {
            fixture
                .settle(&call, id, ends[usize::try_from(number % 4).unwrap()], number * 700)
                .await;
        }
    }
    fixture.pass(TTL);
    fixture.sweep(&call()).await;
    let rows = fixture.rows(&call()).await;
    assert_eq!(rows.len(), 30);
    for (scope, name) in [(Scope::Team, None), (user("ana"), Some("ana")), (user("bo"), Some("bo"))]
    {
        let of = |in_window: &dyn Fn(&Row) -> bool| {
            let counted = rows
                .iter()
                .filter(|row| name.is_none_or(|name| row.summary.user == name) && in_window(row));
            let calls = counted.clone().filter(|row| row.outcome != Outcome::Released).count();
            (
                counted.map(|row| row.charged).sum::<Credits>().micros(),
                u64::try_from(calls).unwrap(),
            )
        };
        let (all, (day, day_calls), (month, month_calls)) = (
            of(&|_| true).0,
            of(&|row| row.day == "2026-12-01"),
            of(&|row| row.month == "2026-12"),
        );
        let expected = [
            (LimitKind::CreditsTotal, all),
            (LimitKind::CreditsPerDay, day),
            (LimitKind::RequestsPerDay, day_calls),
            (LimitKind::CreditsPerMonth, month),
            (LimitKind::RequestsPerMonth, month_calls),
        ];
        assert!(day > 0 && day < all && day_calls > 0);
        for (kind, sum) in expected {
            assert_eq!(
                fixture.counted_at(&call(), scope.clone(), kind).await,
                (sum, 0),
                "{scope:?} {kind}"
            );
        }
    }
}

pub(crate) async fn paging_through_all_rows_meets_each_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    fixture.pay_often(500).await;
    let all: Vec<_> = fixture.rows(&call()).await.into_iter().map(|row| row.id).collect();
    assert_eq!(all.len(), 500);
    for limit in [1, 37, 100, 500] {
        let mut paged = Vec::new();
        while paged.len() < 500 {
            let page = fixture.ledger.rows(&call().team, paged.len(), limit).await.unwrap();
            assert_eq!((page.rows.len(), page.total), (limit.min(500 - paged.len()), 500));
            paged.extend(page.rows.into_iter().map(|row| row.id));
        }
        assert_eq!(paged, all, "{limit} at a time");
    }
    for skip in [500, 501, usize::MAX] {
        let beyond = fixture.ledger.rows(&call().team, skip, 10).await.unwrap();
        assert_eq!((beyond.rows, beyond.total), (Vec::new(), 500));
    }
}

pub(crate) async fn the_newest_rows_stay_when_there_are_too_many<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    fixture.pay_often(Retention::ROWS_MIN).await;
    fixture.pass(Duration::from_secs(1));
    fixture.pay_often(30).await;
    let page = fixture.ledger.rows(&call().team, 0, 10_000).await.unwrap();
    assert_eq!((page.total, page.rows.len() as u64), (Retention::ROWS_MIN, Retention::ROWS_MIN));
    let newest = page.rows.iter().filter(|row| row.settled_at == fixture.clock.now()).count();
    assert_eq!((newest, page.lost.paid, page.lost.all()), (30, 30, 30));
    assert_eq!(
        fixture.counted(&call(), LimitKind::RequestsPerDay).await,
        (Retention::ROWS_MIN + 30, 0)
    );
}

/// Makes this many calls that the upstream refused.
async fn refuse_often<B: Bench>(fixture: &Fixture<B>, times: u64) {
    let calls = (0..times).map(|_| async {
        let id = fixture.admit(&call()).await;
        fixture.settle(&call(), id, Outcome::Refused, 0).await;
    });
    futures_util::future::join_all(calls).await;
}

/// All rows, newest first, as read in pages of a size that no number here is a multiple of.
async fn paged<B: Bench>(fixture: &Fixture<B>) -> (Vec<Row>, LostRows) {
    let (mut rows, mut lost) = (Vec::new(), LostRows::default());
    loop {
        let page = fixture.ledger.rows(&call().team, rows.len(), 37).await.unwrap();
        lost = if page.rows.is_empty() { return (rows, lost) } else { page.lost };
        rows.extend(page.rows);
    }
}

pub(crate) async fn rows_of_calls_that_cost_nothing_give_way_first<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (mut paid, morning) = (Vec::new(), fixture.clock.now());
    let pay = async |times: u64, paid: &mut Vec<ReservationId>| {
        for _ in 0..times {
            let id = fixture.admit(&call()).await;
            fixture.settle(&call(), id, Outcome::Charged, PRICE).await;
            paid.insert(0, id);
        }
    };
    let all_paid = |rows: &[Row]| {
        let paid = rows.iter().filter(|row| row.charged > Credits::ZERO);
        paid.map(|row| row.id).collect::<Vec<_>>()
    };
    pay(10, &mut paid).await;
    refuse_often(&fixture, Retention::ROWS_MIN).await;
    fixture.pass(Duration::from_secs(1));
    pay(20, &mut paid).await;
    let (rows, lost) = paged(&fixture).await;
    assert_eq!((rows.len() as u64, all_paid(&rows)), (Retention::ROWS_MIN, paid.clone()));
    assert_eq!(lost, LostRows { free: 30, free_until: Some(morning), ..LostRows::default() });
    assert_eq!(rows, fixture.rows(&call()).await, "in one order, however it is read");
    assert!(rows.is_sorted_by(|newer, older| newer.settled_at >= older.settled_at));
    assert_eq!(all_paid(&rows[..20]), paid[..20], "the newest are the newest");
    assert_eq!(all_paid(&rows[rows.len() - 10..]), paid[20..], "and the oldest the oldest");

    fixture.pay_often(Retention::ROWS_MIN).await;
    refuse_often(&fixture, 1).await;
    let (rows, lost) = paged(&fixture).await;
    let counts = (rows.len() as u64, all_paid(&rows).len() as u64);
    assert_eq!(
        counts,
        (Retention::ROWS_MIN, Retention::ROWS_MIN),
        "where no free row is left, the oldest of all are removed"
    );
    assert!(rows.iter().all(|row| !paid.contains(&row.id)));
    let now = fixture.clock.now();
    let free = Retention::ROWS_MIN + 1;
    assert_eq!(lost, LostRows { paid: 30, free, paid_until: Some(now), free_until: Some(now) });
    assert_eq!(
        fixture.usage(&call(), "2026-11-22", "2026-11-22").await[0].sums.refused,
        free,
        "sums are kept"
    );
}

pub(crate) async fn rows_go_after_their_retention_and_their_usage_stays<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    fixture.pay_often(100).await;
    fixture.pass(RETENTION.rows);
    fixture.sweep(&call()).await;
    assert_eq!(fixture.rows(&call()).await.len(), 100, "not before their time");
    fixture.pass(Duration::from_micros(1));
    fixture.pay(&call()).await;
    fixture.sweep(&call()).await;
    assert_eq!(fixture.rows(&call()).await.len(), 1, "what is new stays");
    assert_eq!(fixture.usage(&call(), "2026-11-22", "2026-11-22").await[0].sums.charged, 100);
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsTotal).await, (101 * PRICE, 0));
}
