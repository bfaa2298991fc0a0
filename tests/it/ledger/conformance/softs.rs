//! Cases: a budget that reaches its threshold is reported once in each window, over all handles,
//! even if credits come back.

use futures_util::future::join_all;
use moongate::credits::Credits;
use moongate::ledger::{Crossing, Outcome, Scope, TopUp, TopUpId};
use moongate::team::{Limit, LimitKind, Share};

use super::Bench;
use super::harness::{Call, Fixture, PRICE, call, credits, key, limit, moment, user};

const BUDGETS: [LimitKind; 3] =
    [LimitKind::CreditsPerDay, LimitKind::CreditsPerMonth, LimitKind::CreditsTotal];

fn share(text: &str) -> Share {
    text.parse().unwrap()
}

/// A budget for so many calls, with its threshold at four fifths.
fn soft(kind: LimitKind, calls: u64) -> Limit {
    Limit { soft: Some(share("0.8")), ..limit(kind, calls * PRICE) }
}

fn daily(calls: u64) -> Call {
    call().limits([soft(LimitKind::CreditsPerDay, calls)])
}

/// The thresholds passed since the last time: team, limit, used and reserved in calls.
fn crossings<B: Bench>(fixture: &Fixture<B>) -> Vec<(String, String, u64, u64)> {
    let calls = |credits: Credits| credits.micros() / PRICE;
    let crossings = fixture.watch.take_crossings().into_iter();
    crossings
        .map(|(team, crossing)| {
            (team.to_string(), crossing.limit(), calls(crossing.used), calls(crossing.reserved))
        })
        .collect()
}

pub(crate) async fn a_budget_notice_is_given_once_at_its_threshold<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for _ in 0..3 {
        fixture.pay(&daily(5)).await;
    }
    assert_eq!(crossings(&fixture), [], "three fifths are below four fifths");
    let fourth = fixture.admit(&daily(5)).await;
    let crossing = Crossing {
        scope: Scope::Team,
        kind: LimitKind::CreditsPerDay,
        soft: share("0.8"),
        max: credits(5 * PRICE),
        used: credits(3 * PRICE),
        reserved: credits(PRICE),
        reset_at: Some(moment("2026-11-23T00:00:00Z")),
        at: fixture.clock.now(),
    };
    assert_eq!(fixture.watch.take_crossings(), [(call().team, crossing)]);
    fixture.settle(&call(), fourth, Outcome::Charged, PRICE).await;
    fixture.pay(&daily(5)).await;
    fixture.refuse(&daily(5)).await;
    assert_eq!(crossings(&fixture), []);
}

pub(crate) async fn every_level_and_kind_of_budget_has_its_threshold<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let key_id = "k7Qp2mZr9aBc";
    for kind in BUDGETS {
        let of_five = call()
            .team(kind.name())
            .limits([soft(kind, 10)])
            .user("ana b", [soft(kind, 5)])
            .level(key(key_id), [soft(kind, 2)]);
        let mut all = Vec::new();
        for _ in 0..2 {
            fixture.pay(&of_five).await;
            all.extend(fixture.watch.take_crossings());
        }
        let wider = of_five.level(key(key_id), []);
        for _ in 0..3 {
            fixture.pay(&wider).await;
            all.extend(fixture.watch.take_crossings());
        }
        let other = wider.user("bo", []);
        for _ in 0..5 {
            fixture.pay(&other).await;
            all.extend(fixture.watch.take_crossings());
        }
        let scopes: Vec<_> =
            all.iter().map(|(_, crossing)| (crossing.scope.clone(), crossing.kind)).collect();
        assert_eq!(scopes, [(key(key_id), kind), (user("ana b"), kind), (Scope::Team, kind)]);
        assert!(all.iter().all(|(team, _)| team.as_str() == kind.name()));
    }
}

pub(crate) async fn a_repeated_reservation_crosses_its_threshold_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for _ in 0..3 {
        fixture.pay(&daily(5)).await;
    }
    for time in 0..3 {
        let id = fixture.admit(&daily(5)).await;
        assert_eq!(crossings(&fixture).len(), usize::from(time == 0));
        fixture.settle(&call(), id, Outcome::Released, 0).await;
    }
}

pub(crate) async fn a_new_window_crosses_again<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-11-29T10:00:00Z").await;
    let budgets = call().limits(BUDGETS.map(|kind| soft(kind, 1)));
    let limits = |crossings: Vec<(String, String, u64, u64)>| {
        crossings.into_iter().map(|crossing| crossing.1).collect::<Vec<_>>()
    };
    let wide = call().limits(BUDGETS.map(|kind| Limit {
        max: 9 * PRICE,
        soft: Some(share("0.1")),
        ..soft(kind, 9)
    }));
    fixture.pay(&budgets).await;
    assert_eq!(
        limits(crossings(&fixture)),
        ["team:credits_per_day", "team:credits_per_month", "team:credits_total"]
    );
    fixture.set("2026-11-30T10:00:00Z");
    fixture.pay(&wide).await;
    assert_eq!(limits(crossings(&fixture)), ["team:credits_per_day"]);
    fixture.set("2026-12-01T10:00:00Z");
    fixture.pay(&wide).await;
    assert_eq!(limits(crossings(&fixture)), ["team:credits_per_day", "team:credits_per_month"]);
    fixture.pay(&wide).await;
    assert_eq!(crossings(&fixture), []);
}

pub(crate) async fn a_threshold_set_later_tells_at_the_next_call<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for _ in 0..9 {
        fixture.pay(&call()).await;
    }
    fixture.pay(&daily(10)).await;
    assert_eq!(crossings(&fixture), [("design".into(), "team:credits_per_day".into(), 9, 1)]);
    fixture.pay(&daily(12)).await;
    assert_eq!(crossings(&fixture), [], "a changed limit does not open a new window");
}

pub(crate) async fn of_many_parallel_calls_on_two_handles_one_crosses<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let handles = [fixture.bench.handle().await, fixture.bench.handle().await];
    let limited = daily(100).user("ana", [soft(LimitKind::CreditsPerMonth, 50)]);
    let admissions = (0..150_usize).map(|number| {
        let admission = limited.admission(Default::default());
        let ledger = &handles[number % 2];
        async move { ledger.admit(admission).await.unwrap() }
    });
    join_all(admissions).await;
    assert_eq!(crossings(&fixture), [("design".into(), "user:credits_per_month".into(), 0, 40)]);
    let others = (0..150_usize).map(|number| {
        let admission = limited.clone().user("bo", []).admission(Default::default());
        let ledger = &handles[number % 2];
        async move { ledger.admit(admission).await.unwrap() }
    });
    join_all(others).await;
    assert_eq!(crossings(&fixture), [("design".into(), "team:credits_per_day".into(), 0, 80)]);
}

pub(crate) async fn a_prepaid_budget_crosses_again_once_it_was_topped_up<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let prepaid = call().limits([soft(LimitKind::CreditsTotal, 1)]);
    fixture.pay(&prepaid).await;
    assert_eq!(crossings(&fixture).len(), 1);
    for (id, calls) in [("a", 4), ("b", 5)] {
        let top_up = TopUp {
            id: TopUpId::parse(id).unwrap(),
            scope: Scope::Team,
            credits: credits(calls * PRICE),
        };
        fixture.ledger.top_up(&call().team, top_up).await.unwrap();
        for number in 1..=calls {
            fixture.pay(&prepaid).await;
            // The threshold is reached by the fourth call of 5, by the eighth of 10.
            assert_eq!(crossings(&fixture).len(), usize::from(number == 3), "{id} {number}");
        }
    }
}

pub(crate) async fn a_shadow_budget_is_told_of_as_well<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let shadow = call().limits([Limit { shadow: true, ..soft(LimitKind::CreditsPerDay, 1) }]);
    fixture.pay(&shadow).await;
    fixture.pay(&shadow).await;
    assert_eq!(crossings(&fixture), [("design".into(), "team:credits_per_day".into(), 0, 1)]);
    let nothing =
        call().team("growth").limits([Limit { shadow: true, ..soft(LimitKind::CreditsPerDay, 0) }]);
    fixture.pay(&nothing).await;
    assert_eq!(crossings(&fixture), [], "a budget of nothing has no threshold");
}

pub(crate) async fn a_refusal_and_a_quote_cross_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limited = daily(5).user("ana", [limit(LimitKind::RequestsPerDay, 0)]).price(5 * PRICE);
    fixture.refuse(&limited).await;
    fixture.ledger.quote(daily(5).price(5 * PRICE).admission(Default::default())).await.unwrap();
    assert_eq!(crossings(&fixture), []);
    fixture.admit(&daily(5).price(5 * PRICE)).await;
    assert_eq!(crossings(&fixture).len(), 1);
}

pub(crate) async fn the_threshold_of_the_largest_budget_is_exact<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let most = Credits::MAX.micros() - 1;
    let budget = Limit { soft: Some(share("0.777777")), ..limit(LimitKind::CreditsPerMonth, most) };
    let threshold = budget.soft.unwrap().of(most);
    let limited = call().limits([budget]);
    fixture.pay(&limited.clone().price(threshold - 1)).await;
    assert_eq!(crossings(&fixture), []);
    fixture.pay(&limited.price(1)).await;
    assert_eq!(fixture.watch.take_crossings()[0].1.used.micros(), threshold - 1);
}
