//! Cases: a quote is the admission's own judgement, with nothing reserved.

use moongate::ledger::{ReservationId, Verdict};
use moongate::team::{Limit, LimitKind};

use super::harness::{Call, Desk, PRICE, call, limit, shadow, user};
use super::{Bench, TTL};

/// The verdict in a form that can be compared.
fn told(verdict: Verdict) -> String {
    format!("{verdict:?}")
}

async fn quote<B: Bench>(desk: &Desk<B>, call: &Call) -> Verdict {
    desk.ledger.quote(call.admission(ReservationId::new())).await.unwrap()
}

pub(crate) async fn a_quote_says_what_an_admission_would_and_reserves_nothing<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for kind in LimitKind::ALL {
        let credits = matches!(kind, LimitKind::CreditsPerDay | LimitKind::CreditsPerMonth | LimitKind::CreditsTotal);
        let max = if credits { 2 * PRICE } else { 2 };
        let wide = limit(LimitKind::Concurrent, Limit::REQUESTS_MAX);
        let call = call().team(kind.name()).limits([wide]).level(user("ana"), [limit(kind, max)]);
        let before = desk.books(&call).await.standings;
        for _ in 0..5 {
            assert!(matches!(quote(&desk, &call).await, Verdict::Admitted { standings, .. } if standings == before));
        }
        desk.admit(&call).await;
        desk.admit(&call).await;
        let before = desk.books(&call).await;
        let quoted = quote(&desk, &call).await;
        assert!(matches!(&quoted, Verdict::Refused { standings, .. } if *standings == before.standings), "{quoted:?}");
        assert_eq!(told(quoted), told(desk.ask(&call).await), "{kind}");
        let after = desk.books(&call).await;
        assert_eq!((after.standings, after.open), (before.standings, before.open), "{kind}");
        assert!(desk.rows(&call).await.is_empty());
    }
}

pub(crate) async fn a_quote_tells_the_shadow_limits_it_would_have_passed<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = call().limits([shadow(LimitKind::RequestsPerMinute, 1), limit(LimitKind::Concurrent, 2)]);
    desk.admit(&call).await;
    let Verdict::Admitted { standings, .. } = quote(&desk, &call).await else { panic!("refused") };
    assert_eq!(standings.iter().map(|standing| standing.shadow_refused).collect::<Vec<_>>(), [true, false]);
    desk.admit(&call).await;
    assert_eq!(told(quote(&desk, &call).await), told(desk.ask(&call).await));
}

pub(crate) async fn a_quote_finds_the_slots_that_were_left_behind<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = call().limits([limit(LimitKind::Concurrent, 1)]).waiting();
    desk.admit(&call).await;
    assert!(matches!(quote(&desk, &call).await, Verdict::Refused { .. }));
    desk.pass(TTL);
    assert!(matches!(quote(&desk, &call).await, Verdict::Admitted { .. }));
    assert_eq!(desk.books(&call).await.open, 0);
}
