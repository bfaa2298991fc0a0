//! Cases: a team's usage, by day, user and model; the same sum as its rows' and its
//! windows'.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use moongate::credits::Credits;
use moongate::ledger::usage::{CELLS_MAX, OVERFLOW};
use moongate::ledger::{Outcome, Scope, Sums};
use moongate::team::LimitKind;

use super::harness::{Call, Fixture, PRICE, call, credits, settlement};
use super::{Bench, RETENTION, TTL};

pub(crate) async fn a_days_usage_is_the_sum_of_its_rows<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-30T23:59:00Z").await;
    let ends = Outcome::ALL;
    for number in 0..40_u64 {
        let user = ["ana", "bo", "ümit k."][usize::try_from(number % 3).unwrap()];
        let model = ["flux/dev", "kling/kling-2-1-master"][usize::from(number % 5 == 0)];
        let call = call().price(number * 1_000).user(user, []).model(model);
        let id = fixture.admit(&call).await;
        fixture.pass(Duration::from_secs(3));
        if number % 7 != 0 {
            let mut end = settlement(id, ends[usize::try_from(number % 4).unwrap()], number * 700);
            (end.result.images, end.result.video_ms, end.result.queue_ms) =
                (number, number * 40, number % 2);
            fixture.ledger.settle(&call.team, end).await.unwrap();
        }
    }
    fixture.pass(TTL);
    fixture.sweep(&call()).await;
    let mut summed: BTreeMap<(String, String, String), Sums> = BTreeMap::new();
    let rows = fixture.rows(&call()).await;
    assert_eq!(rows.len(), 40);
    for row in &rows {
        let cell = (row.day.clone(), row.summary.user.clone(), row.summary.model.clone());
        *summed.entry(cell).or_default() += Sums::from(row);
    }
    let usage = fixture.usage(&call(), "2026-11-30", "2026-12-01").await;
    let cells = usage
        .iter()
        .map(|cell| ((cell.day.to_string(), cell.user.clone(), cell.model.clone()), cell.sums));
    assert_eq!(cells.collect::<Vec<_>>(), summed.into_iter().collect::<Vec<_>>());
    for (kind, day) in [(LimitKind::CreditsPerDay, "2026-12-01"), (LimitKind::CreditsTotal, "")] {
        let spent = usage.iter().filter(|cell| day.is_empty() || cell.day.to_string() == day);
        let spent: u64 = spent.map(|cell| cell.sums.credits.micros()).sum();
        assert!(spent > 0);
        assert_eq!(fixture.counted_at(&call(), Scope::Team, kind).await, (spent, 0), "{kind}");
    }
    let calls = |cell: &Sums| cell.charged + cell.refused + cell.unknown;
    let in_december =
        usage.iter().filter(|cell| cell.day.month() == 12).map(|cell| calls(&cell.sums)).sum();
    assert_eq!(fixture.counted(&call(), LimitKind::RequestsPerMonth).await, (in_december, 0));
}

/// The days on which a call was counted, and how often.
async fn days<B: Bench>(fixture: &Fixture<B>, call: &Call) -> Vec<(String, u64)> {
    let usage = fixture.usage(call, "2020-01-01", "2035-12-31").await;
    usage.iter().map(|cell| (cell.day.to_string(), cell.sums.calls())).collect()
}

pub(crate) async fn a_call_is_counted_in_the_year_that_admitted_it<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-12-31T22:59:59.999999Z").await;
    let call = call().zone("Europe/Berlin");
    let (settled, left) = (fixture.admit(&call).await, fixture.admit(&call).await);
    fixture.pass(Duration::from_secs(10));
    fixture.settle(&call, settled, Outcome::Charged, PRICE).await;
    fixture.pay(&call).await;
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call).await.unknown, 1);
    assert_eq!(
        days(&fixture, &call).await,
        [("2026-12-31".to_owned(), 2), ("2027-01-01".to_owned(), 1)]
    );
    assert_eq!(fixture.rows(&call).await.iter().filter(|row| row.id == left).count(), 1);
}

pub(crate) async fn a_day_is_the_team_s_own_where_clocks_change<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-10-24T21:59:59Z").await;
    let call = call().zone("Europe/Berlin");
    // The day of 25 hours from its first to its last second, and one call on either side.
    for time in [
        "2026-10-24T21:59:59Z",
        "2026-10-24T22:00:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ] {
        fixture.set(time);
        fixture.pay(&call).await;
    }
    let expected = [("2026-10-24", 1), ("2026-10-25", 2), ("2026-10-26", 1)];
    assert_eq!(days(&fixture, &call).await, expected.map(|(day, calls)| (day.to_owned(), calls)));
}

pub(crate) async fn usage_of_other_days_and_teams_is_not_told<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-01T10:00:00Z").await;
    let others = ["design.2", "desig", "designs", "d"].map(|team| call().team(team));
    for day in 1..=4 {
        fixture.set(&format!("2026-11-0{day}T10:00:00Z"));
        fixture.pay(&call()).await;
        for other in &others {
            fixture.pay(&other.clone().price(1)).await;
        }
    }
    let days: Vec<_> = fixture
        .usage(&call(), "2026-11-02", "2026-11-03")
        .await
        .into_iter()
        .map(|c| c.day)
        .collect();
    assert_eq!(
        days.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2026-11-02", "2026-11-03"]
    );
    for cell in fixture.usage(&call(), "2026-01-01", "2026-12-31").await {
        assert_eq!(cell.sums.credits, credits(PRICE));
    }
    assert_eq!(fixture.usage(&call(), "2026-11-03", "2026-11-02").await, [], "no days at all");
}

pub(crate) async fn odd_user_names_come_back_as_they_were<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let mut names =
        vec!["a b", "=1+1", "a,\"b\"", "{x}", "%41", "*", "user:a", "ümit", "🦀", "A", " ", "-"];
    for name in &names {
        fixture.pay(&call().user(name, [])).await;
    }
    names.sort_unstable();
    let usage = fixture.usage(&call(), "2026-11-22", "2026-11-22").await;
    assert_eq!(usage.iter().map(|cell| cell.user.as_str()).collect::<Vec<_>>(), names);
    let mut rows: Vec<_> =
        fixture.rows(&call()).await.into_iter().map(|row| row.summary.user.clone()).collect();
    rows.sort_unstable();
    assert_eq!(rows, names);
}

pub(crate) async fn a_full_day_of_cells_loses_no_sum<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let pay_at = |user: u64, price: u64| {
        let (fixture, call) = (&fixture, call().user(&format!("user {user}"), []).price(price));
        async move { fixture.pay(&call).await }
    };
    let pay = |user| pay_at(user, PRICE);
    join_all((0..CELLS_MAX).map(pay)).await;
    join_all((0..CELLS_MAX + 3).rev().take(37).map(pay)).await;
    // The largest amounts as well, to the millionth: more than fourteen digits.
    let dear = Credits::MAX.micros() / 4 - 1;
    join_all([1, 2, 3].map(|user| pay_at(CELLS_MAX + user, dear))).await;
    let usage = fixture.usage(&call(), "2026-11-22", "2026-11-22").await;
    assert_eq!(usage.len() as u64, CELLS_MAX + 1);
    let beyond: Vec<_> = usage.iter().filter(|cell| cell.model == OVERFLOW).collect();
    let overflow: Vec<_> = beyond
        .iter()
        .map(|cell| (cell.user.as_str(), cell.sums.charged, cell.sums.credits))
        .collect();
    assert_eq!(overflow, [(OVERFLOW, 6, credits(3 * dear + 3 * PRICE))]);
    let spent: u64 = usage.iter().map(|cell| cell.sums.credits.micros()).sum();
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsPerDay).await, (spent, 0));
}

pub(crate) async fn usage_is_reported_for_exactly_its_retention<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let first = call().user("old hand", []);
    fixture.pay(&first).await;
    fixture.pass(RETENTION.usage);
    fixture.pay(&call()).await;
    fixture.sweep(&call()).await;
    assert_eq!(
        days(&fixture, &call()).await,
        [("2026-11-22".to_owned(), 1), ("2031-11-26".to_owned(), 1)],
        "not before its time"
    );
    fixture.pass(Duration::from_secs(2 * 24 * 3600));
    fixture.sweep(&call()).await;
    assert_eq!(days(&fixture, &call()).await, [("2031-11-26".to_owned(), 1)]);
    assert_eq!(
        fixture.counted(&call(), LimitKind::CreditsTotal).await,
        (2 * PRICE, 0),
        "prepaid money is never forgotten"
    );
}
