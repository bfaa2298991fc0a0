//! Cases: open calls as every handle lists them.

use moongate::ledger::{OPEN_CALLS_MAX, OpenCall, Outcome, Phase, ReservationId};
use moongate::team::TeamId;

use super::Bench;
use super::harness::{Fixture, MORNING, PRICE, call, credits, moment};

pub(crate) async fn open_calls_are_told_newest_first_with_what_they_asked<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let (sent, waits) =
        (call().price(4 * PRICE), call().user("bo {x}", []).model("flux/pro").waiting());
    let (first, second) = (fixture.admit(&sent).await, fixture.admit(&waits).await);
    let expected = |call: &super::harness::Call, id| OpenCall {
        id,
        phase: call.phase,
        reserved: call.price,
        admitted_at: moment(MORNING),
        summary: call.summary(),
    };
    let both = vec![expected(&waits, second), expected(&sent, first)];
    for ledger in [&fixture.ledger, &other] {
        assert_eq!(ledger.open_calls(&sent.team).await.unwrap(), both);
        assert_eq!(ledger.open_call(&sent.team, first).await.unwrap().as_ref(), Some(&both[1]));
        assert_eq!(ledger.open_call(&sent.team, ReservationId::new()).await.unwrap(), None);
    }
    assert_eq!(both[1].reserved, credits(4 * PRICE));
    assert!(fixture.ledger.dispatch(&sent.team, second).await.unwrap());
    assert_eq!(
        other.open_call(&sent.team, second).await.unwrap().map(|call| call.phase),
        Some(Phase::Dispatched)
    );
    assert!(fixture.ledger.recall(&sent.team, second).await.unwrap());
    assert_eq!(other.open_calls(&sent.team).await.unwrap()[0].phase, Phase::TurnedBack);
}

pub(crate) async fn only_a_teams_own_unfinished_calls_are_open<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let growth = call().team("growth");
    let (settled, released, swept) = (
        fixture.admit(&call()).await,
        fixture.admit(&call().waiting()).await,
        fixture.admit(&call()).await,
    );
    fixture.settle(&call(), settled, Outcome::Charged, PRICE).await;
    fixture.settle(&call(), released, Outcome::Released, 0).await;
    assert_eq!(fixture.ledger.open_calls(&growth.team).await.unwrap(), []);
    assert_eq!(
        fixture.ledger.open_call(&growth.team, swept).await.unwrap(),
        None,
        "it is another team's"
    );
    let open = fixture.ledger.open_calls(&call().team).await.unwrap();
    assert_eq!(open.iter().map(|call| call.id).collect::<Vec<_>>(), [swept]);
    fixture.pass(super::TTL * 2);
    fixture.sweep(&call()).await;
    assert_eq!(fixture.ledger.open_calls(&call().team).await.unwrap(), []);
    for id in [settled, released, swept] {
        assert_eq!(fixture.ledger.open_call(&call().team, id).await.unwrap(), None);
    }
    assert_eq!(fixture.ledger.open_calls(&TeamId::parse("nobody").unwrap()).await.unwrap(), []);
}

pub(crate) async fn of_very_many_open_calls_the_newest_are_told<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let first = fixture.admit(&call()).await;
    // Later: of calls whose deadlines are the same, no store need know which is the newest.
    fixture.pass(std::time::Duration::from_secs(1));
    let many = call();
    let admit = (0..OPEN_CALLS_MAX).map(|_| fixture.admit(&many));
    futures_util::future::join_all(admit).await;
    let open = fixture.ledger.open_calls(&many.team).await.unwrap();
    assert_eq!(open.len(), OPEN_CALLS_MAX);
    assert!(open.is_sorted_by(|one, other| one.id > other.id));
    assert!(open.iter().all(|call| call.id != first));
    assert!(
        fixture.ledger.open_call(&many.team, first).await.unwrap().is_some(),
        "its id finds it"
    );
}
