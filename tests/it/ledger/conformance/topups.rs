//! Cases: prepaid budgets are topped up while running, once for each id, and nothing else is
//! raised.

use futures_util::future::join_all;
use moongate::credits::Credits;
use moongate::ledger::{Scope, TopUp, TopUpId, ToppedUp, Verdict};
use moongate::team::LimitKind;

use super::Bench;
use super::harness::{Call, Fixture, PRICE, call, credits, key, limit, shadow, user};

const KEY: &str = "k7Qp2mZr9aBc";

fn of(scope: Scope, id: &str, micros: u64) -> TopUp {
    TopUp { id: TopUpId::parse(id).unwrap(), scope, credits: credits(micros) }
}

async fn top_up<B: Bench>(fixture: &Fixture<B>, call: &Call, top_up: TopUp) -> ToppedUp {
    fixture.ledger.top_up(&call.team, top_up).await.unwrap()
}

fn prepaid(calls: u64) -> Call {
    call().limits([limit(LimitKind::CreditsTotal, calls * PRICE)])
}

pub(crate) async fn a_top_up_raises_a_levels_total_budget<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for scope in [Scope::Team, user("ana"), key(KEY)] {
        let team = format!("team-of-{}", scope.level());
        let limited =
            call().team(&team).level(scope.clone(), [limit(LimitKind::CreditsTotal, PRICE)]);
        fixture.pay(&limited).await;
        assert_eq!(fixture.refuse(&limited).await.retry_at, None, "no time helps");
        assert_eq!(
            top_up(&fixture, &limited, of(scope.clone(), "one", 2 * PRICE)).await,
            ToppedUp::Now(credits(2 * PRICE))
        );
        fixture.pay(&limited).await;
        fixture.admit(&limited).await;
        let refused = fixture.refuse(&limited).await.binding;
        assert_eq!((refused.max, refused.topped_up), (3 * PRICE, 2 * PRICE), "{scope:?}");
        assert_eq!((refused.used, refused.reserved, refused.remaining()), (2 * PRICE, PRICE, 0));
        assert_eq!(
            top_up(&fixture, &limited, of(scope, "two", PRICE)).await,
            ToppedUp::Now(credits(3 * PRICE))
        );
        fixture.admit(&limited).await;
        fixture.refuse(&limited).await;
    }
}

pub(crate) async fn a_top_up_is_added_once_for_each_id<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (limited, again) = (prepaid(1), || of(Scope::Team, "invoice-7", PRICE));
    assert_eq!(top_up(&fixture, &limited, again()).await, ToppedUp::Now(credits(PRICE)));
    let other = fixture.bench.handle().await;
    assert_eq!(
        other.top_up(&limited.team, again()).await.unwrap(),
        ToppedUp::Before(credits(PRICE))
    );
    for unlike in [of(Scope::Team, "invoice-7", PRICE + 1), of(user("ana"), "invoice-7", PRICE)] {
        assert_eq!(top_up(&fixture, &limited, unlike).await, ToppedUp::Taken);
    }
    assert_eq!(
        top_up(&fixture, &limited, of(Scope::Team, "invoice-8", PRICE)).await,
        ToppedUp::Now(credits(2 * PRICE))
    );
    assert_eq!(top_up(&fixture, &limited, again()).await, ToppedUp::Before(credits(2 * PRICE)));
    let together =
        join_all((0..20).map(|_| top_up(&fixture, &limited, of(Scope::Team, "invoice-9", PRICE))))
            .await;
    assert_eq!(
        together.iter().filter(|done| **done == ToppedUp::Now(credits(3 * PRICE))).count(),
        1
    );
    assert_eq!(fixture.snapshot(&limited).await.statuses[0].max, 4 * PRICE);
}

pub(crate) async fn a_top_up_opens_a_prepaid_budget_of_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let nothing = prepaid(0);
    fixture.refuse(&nothing).await;
    fixture.refuse(&nothing.clone().price(0)).await;
    top_up(&fixture, &nothing, of(Scope::Team, "first", PRICE)).await;
    fixture.pay(&nothing).await;
    fixture.admit(&nothing.clone().price(0)).await;
    fixture.refuse(&nothing).await;
}

pub(crate) async fn a_changed_limit_keeps_the_top_ups<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    top_up(&fixture, &prepaid(1), of(Scope::Team, "first", 2 * PRICE)).await;
    for (calls, configured) in [(3, 1), (2, 0), (7, 5)] {
        let status = fixture.snapshot(&prepaid(configured)).await.statuses[0].clone();
        assert_eq!((status.max, status.topped_up), (calls * PRICE, 2 * PRICE));
    }
    fixture.pay(&call()).await;
    fixture.pay(&prepaid(1)).await;
    fixture.pay(&prepaid(1)).await;
    assert_eq!(
        fixture.refuse(&prepaid(1)).await.binding.max,
        3 * PRICE,
        "also after the limit was taken away"
    );
    fixture.set("2028-03-01T00:00:00Z");
    assert_eq!(
        fixture.refuse(&prepaid(1)).await.binding.max,
        3 * PRICE,
        "they count in no day or month"
    );
}

pub(crate) async fn a_top_up_precedes_its_users_first_call<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    top_up(&fixture, &call(), of(user("bo"), "first", PRICE)).await;
    let of = |name| call().user(name, [limit(LimitKind::CreditsTotal, 0)]);
    fixture.pay(&of("bo")).await;
    fixture.refuse(&of("bo")).await;
    fixture.refuse(&of("ana")).await;
}

pub(crate) async fn a_refusal_tells_the_limit_with_its_top_ups<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limited = call()
        .limits([shadow(LimitKind::CreditsTotal, PRICE), limit(LimitKind::RequestsPerDay, 3)])
        .user("ana", [limit(LimitKind::CreditsTotal, PRICE)]);
    top_up(&fixture, &limited, of(Scope::Team, "a", PRICE)).await;
    top_up(&fixture, &limited, of(user("ana"), "b", 2 * PRICE)).await;
    fixture.pay(&limited).await;
    let Verdict::Admitted { statuses, .. } =
        fixture.ledger.quote(limited.admission(Default::default())).await.unwrap()
    else {
        panic!("refused")
    };
    let budgets = |statuses: &[moongate::ledger::LimitStatus]| {
        statuses
            .iter()
            .map(|status| (status.max, status.topped_up, status.used))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        budgets(&statuses),
        [(3, 0, 1), (2 * PRICE, PRICE, PRICE), (3 * PRICE, 2 * PRICE, PRICE)]
    );
    fixture.pay(&limited).await;
    fixture.pay(&limited).await;
    let refused = fixture.refuse(&limited).await;
    assert_eq!(
        budgets(&refused.statuses),
        [(3, 0, 3), (2 * PRICE, PRICE, 3 * PRICE), (3 * PRICE, 2 * PRICE, 3 * PRICE)]
    );
    assert!(refused.statuses[1].shadow_refused);
    assert_eq!(refused.binding.scope, user("ana"));
}

pub(crate) async fn top_ups_raise_no_other_budget<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for kind in [LimitKind::CreditsPerDay, LimitKind::CreditsPerMonth] {
        let limited = call().team(kind.name()).limits([limit(kind, PRICE)]);
        top_up(&fixture, &limited, of(Scope::Team, "first", 5 * PRICE)).await;
        fixture.pay(&limited).await;
        let refused = fixture.refuse(&limited).await.binding;
        assert_eq!((refused.max, refused.topped_up), (PRICE, 0));
    }
}

pub(crate) async fn the_largest_top_ups_are_counted_exactly<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (limited, most) = (prepaid(1), Credits::MAX.micros());
    let sum = Credits::from_micros(most - 1);
    assert_eq!(
        top_up(&fixture, &limited, of(Scope::Team, "most", most - 1)).await,
        ToppedUp::Now(sum)
    );
    assert_eq!(top_up(&fixture, &limited, of(Scope::Team, "more", 2)).await, ToppedUp::TooMuch);
    assert_eq!(
        top_up(&fixture, &limited, of(Scope::Team, "last", 1)).await,
        ToppedUp::Now(Credits::MAX)
    );
    assert_eq!(
        top_up(&fixture, &limited, of(Scope::Team, "most", most - 1)).await,
        ToppedUp::Before(Credits::MAX)
    );
    let status = fixture.snapshot(&limited).await.statuses[0].clone();
    assert_eq!(
        (status.max, status.topped_up),
        (most, most),
        "no limit is larger than the largest amount"
    );
    fixture.pay(&limited.clone().price(most)).await;
    fixture.refuse(&limited.price(1)).await;
}

pub(crate) async fn parallel_top_ups_and_calls_never_overspend<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limited = prepaid(10).user("ana", [limit(LimitKind::CreditsTotal, 100 * PRICE)]);
    let other = fixture.bench.handle().await;
    let calls = join_all((0..120_usize).map(|number| {
        let (limited, ledger) = (&limited, if number % 2 == 0 { &fixture.ledger } else { &other });
        async move {
            matches!(
                ledger.admit(limited.admission(Default::default())).await,
                Ok(Verdict::Admitted { .. })
            )
        }
    }));
    let added = join_all(
        (0..20)
            .map(|number| top_up(&fixture, &limited, of(Scope::Team, &number.to_string(), PRICE))),
    );
    let (calls, added) = tokio::join!(calls, added);
    assert!(added.iter().all(|done| matches!(done, ToppedUp::Now(_))));
    let mut admitted = calls.into_iter().filter(|admitted| *admitted).count();
    assert!((10..=30).contains(&admitted), "{admitted}");
    while let Verdict::Admitted { .. } = fixture.ask(&limited).await {
        admitted += 1;
    }
    assert_eq!(admitted, 30);
}

pub(crate) async fn a_top_up_of_one_team_is_not_another_s<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (design, growth) = (prepaid(0), prepaid(0).team("growth"));
    top_up(&fixture, &design, of(Scope::Team, "first", PRICE)).await;
    fixture.refuse(&growth).await;
    let same_id = top_up(&fixture, &growth, of(Scope::Team, "first", 3 * PRICE)).await;
    assert_eq!(same_id, ToppedUp::Now(credits(3 * PRICE)));
    assert_eq!(fixture.snapshot(&design).await.statuses[0].max, PRICE);
}
