//! Cases: a quote is the admission's own judgement, with nothing reserved.

use moongate::ledger::{ReservationId, Verdict};
use moongate::team::{Limit, LimitKind};

use super::harness::{Call, Fixture, PRICE, call, limit, shadow, user};
use super::{Bench, TTL};

/// The verdict in a form that can be compared.
fn comparable(verdict: Verdict) -> String {
    format!("{verdict:?}")
}

async fn quote<B: Bench>(fixture: &Fixture<B>, call: &Call) -> Verdict {
    fixture.ledger.quote(call.admission(ReservationId::new())).await.unwrap()
}

pub(crate) async fn a_quote_says_what_an_admission_would_and_reserves_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for kind in LimitKind::ALL {
        let credits = matches!(
            kind,
            LimitKind::CreditsPerDay | LimitKind::CreditsPerMonth | LimitKind::CreditsTotal
        );
        let max = if credits { 2 * PRICE } else { 2 };
        let wide = limit(LimitKind::Concurrent, Limit::REQUESTS_MAX);
        let call = call().team(kind.name()).limits([wide]).level(user("ana"), [limit(kind, max)]);
        let before = fixture.snapshot(&call).await.statuses;
        for _ in 0..5 {
            let quoted = quote(&fixture, &call).await;
            assert!(matches!(quoted, Verdict::Admitted { statuses, .. } if statuses == before));
        }
        fixture.admit(&call).await;
        fixture.admit(&call).await;
        let before = fixture.snapshot(&call).await;
        let quoted = quote(&fixture, &call).await;
        assert!(
            matches!(&quoted, Verdict::Refused { statuses, .. } if *statuses == before.statuses),
            "{quoted:?}"
        );
        assert_eq!(comparable(quoted), comparable(fixture.ask(&call).await), "{kind}");
        let after = fixture.snapshot(&call).await;
        assert_eq!((after.statuses, after.open), (before.statuses, before.open), "{kind}");
        assert!(fixture.rows(&call).await.is_empty());
    }
}

pub(crate) async fn a_quote_tells_the_shadow_limits_it_would_have_passed<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call =
        call().limits([shadow(LimitKind::RequestsPerMinute, 1), limit(LimitKind::Concurrent, 2)]);
    fixture.admit(&call).await;
    let Verdict::Admitted { statuses, .. } = quote(&fixture, &call).await else {
        panic!("refused")
    };
    assert_eq!(
        statuses.iter().map(|status| status.shadow_refused).collect::<Vec<_>>(),
        [true, false]
    );
    fixture.admit(&call).await;
    assert_eq!(comparable(quote(&fixture, &call).await), comparable(fixture.ask(&call).await));
}

pub(crate) async fn a_quote_finds_the_slots_that_were_left_behind<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::Concurrent, 1)]).waiting();
    fixture.admit(&call).await;
    assert!(matches!(quote(&fixture, &call).await, Verdict::Refused { .. }));
    fixture.pass(TTL);
    assert!(matches!(quote(&fixture, &call).await, Verdict::Admitted { .. }));
    assert_eq!(fixture.snapshot(&call).await.open, 0);
}
