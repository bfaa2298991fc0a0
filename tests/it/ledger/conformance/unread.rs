//! Cases: a call that has ended keeps its slots while its answer is being read, and nothing but its
//! slots.

use std::time::Duration;

use moongate::ledger::{Outcome, ReservationId, Scope, Settled, Settlement, Swept, Verdict};
use moongate::team::LimitKind;

use super::harness::{Call, Fixture, PRICE, call, credits, key, limit, settlement, user};
use super::{Bench, TTL};

const MICRO: Duration = Duration::from_micros(1);

/// A call of a team that may make so many at a time.
fn of_a_team_with(slots: u64) -> Call {
    call().limits([limit(LimitKind::Concurrent, slots)])
}

/// A call that was carried out, and whose answer is being read.
async fn unread<B: Bench>(fixture: &Fixture<B>, call: &Call) -> ReservationId {
    let id = fixture.admit(call).await;
    let settled = fixture.ledger.settle(&call.team, keeping(id, Outcome::Charged)).await.unwrap();
    assert_eq!(settled, Settled::Now(credits(PRICE / 2)));
    id
}

fn keeping(id: ReservationId, outcome: Outcome) -> Settlement {
    Settlement { keeps_slots: true, ..settlement(id, outcome, PRICE / 2) }
}

async fn slots<B: Bench>(fixture: &Fixture<B>, call: &Call) -> u64 {
    fixture.counted(call, LimitKind::Concurrent).await.1
}

pub(crate) async fn an_unread_answer_keeps_only_its_slot_on_every_level<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = of_a_team_with(2).level(key("k7Qp2mZr9aBc"), []);
    let (first, _second) = (unread(&fixture, &call).await, unread(&fixture, &call).await);
    for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
        assert_eq!(
            fixture.counted_at(&call, scope.clone(), LimitKind::Concurrent).await,
            (0, 2),
            "{scope:?}"
        );
        assert_eq!(
            fixture.counted_at(&call, scope.clone(), LimitKind::CreditsTotal).await,
            (PRICE, 0),
            "{scope:?}"
        );
        assert_eq!(
            fixture.counted_at(&call, scope.clone(), LimitKind::RequestsPerDay).await,
            (2, 0),
            "{scope:?}"
        );
    }
    let refused = fixture.refuse(&call).await;
    assert_eq!((refused.binding.kind, refused.binding.reserved), (LimitKind::Concurrent, 2));
    assert!(refused.retry_at.is_some(), "it may be read at any time");
    let row = fixture.rows(&call).await.pop().unwrap();
    assert_eq!((row.id, row.outcome, row.charged), (first, Outcome::Charged, credits(PRICE / 2)));
    assert_eq!(fixture.usage(&call, "2026-11-22", "2026-11-22").await[0].sums.calls(), 2);
}

pub(crate) async fn any_handle_can_release_a_kept_slot<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let call = of_a_team_with(1).level(key("k7Qp2mZr9aBc"), []);
    for ledger in [&fixture.ledger, &other] {
        let id = unread(&fixture, &call).await;
        let quote = other.quote(call.admission(ReservationId::new())).await.unwrap();
        assert!(matches!(quote, Verdict::Refused { .. }), "{quote:?}");
        let before =
            (fixture.rows(&call).await, fixture.counted(&call, LimitKind::CreditsTotal).await);
        for _ in 0..2 {
            ledger.release_slots(&call.team, id).await.unwrap();
        }
        for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
            assert_eq!(fixture.counted_at(&call, scope, LimitKind::Concurrent).await, (0, 0));
        }
        assert_eq!(
            (fixture.rows(&call).await, fixture.counted(&call, LimitKind::CreditsTotal).await),
            before
        );
    }
    fixture.admit(&call).await;
}

pub(crate) async fn a_call_whose_answer_is_unread_is_not_open<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let (read, runs) = (unread(&fixture, &call()).await, fixture.admit(&call()).await);
    for ledger in [&fixture.ledger, &other] {
        assert_eq!(ledger.open_call(&call().team, read).await.unwrap(), None);
        let open = ledger.open_calls(&call().team).await.unwrap();
        assert_eq!(open.iter().map(|call| call.id).collect::<Vec<_>>(), [runs]);
        assert_eq!(ledger.open(&call().team).await.unwrap(), 1);
        assert!(!ledger.dispatch(&call().team, read).await.unwrap());
        assert!(!ledger.recall(&call().team, read).await.unwrap());
    }
    assert_eq!((fixture.snapshot(&call()).await.open, slots(&fixture, &call()).await), (1, 2));
}

pub(crate) async fn an_ended_call_stays_ended_while_its_answer_is_read<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    for outcome in Outcome::ALL {
        let call = call().team(outcome.name());
        let id = fixture.admit(&call).await;
        assert!(matches!(
            fixture.ledger.settle(&call.team, keeping(id, outcome)).await.unwrap(),
            Settled::Now(_)
        ));
        let before = (fixture.snapshot(&call).await.statuses, fixture.rows(&call).await);
        for again in Outcome::ALL {
            assert_eq!(fixture.settle(&call, id, again, PRICE).await, Settled::Before);
            assert_eq!(
                other.settle(&call.team, keeping(id, again)).await.unwrap(),
                Settled::Before
            );
        }
        assert_eq!((fixture.snapshot(&call).await.statuses, fixture.rows(&call).await), before);
        assert_eq!(slots(&fixture, &call).await, 1);
    }
}

/// Answers that are not renewed are swept.
pub(crate) async fn unread_answers_keep_slots_while_renewed<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let (renewed, left) = (unread(&fixture, &call()).await, unread(&fixture, &call()).await);
    for ledger in [&fixture.ledger, &other, &fixture.ledger] {
        fixture.pass(TTL - MICRO);
        ledger.renew(&call().team, &[renewed]).await.unwrap();
    }
    assert_eq!(fixture.sweep(&call()).await, Swept::default());
    assert_eq!(slots(&fixture, &call()).await, 1, "the other was left behind");
    fixture.pass(TTL - MICRO);
    assert_eq!(
        (fixture.sweep(&call()).await, slots(&fixture, &call()).await),
        (Swept::default(), 1)
    );
    fixture.pass(MICRO);
    assert_eq!(
        (other.sweep(&call().team).await.unwrap(), slots(&fixture, &call()).await),
        (Swept::default(), 0)
    );
    for id in [renewed, left] {
        fixture.ledger.release_slots(&call().team, id).await.unwrap();
        assert_eq!(fixture.settle(&call(), id, Outcome::Unknown, PRICE).await, Settled::Before);
    }
    assert_eq!(slots(&fixture, &call()).await, 0);
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsTotal).await, (PRICE, 0));
    assert_eq!((fixture.rows(&call()).await.len(), fixture.watch.take_charges()), (2, Vec::new()));
}

pub(crate) async fn an_admission_frees_the_slots_of_abandoned_answers<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = of_a_team_with(1);
    unread(&fixture, &call).await;
    fixture.pass(TTL - MICRO);
    fixture.refuse(&call).await;
    fixture.pass(MICRO);
    fixture.admit(&call).await;
}

pub(crate) async fn releasing_slots_of_open_or_unknown_calls_changes_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let id = fixture.admit(&call()).await;
    let kept = unread(&fixture, &call()).await;
    for id in [id, ReservationId::new()] {
        fixture.ledger.release_slots(&call().team, id).await.unwrap();
    }
    fixture.ledger.release_slots(&call().team("growth").team, kept).await.unwrap();
    assert_eq!(slots(&fixture, &call()).await, 2);
    assert_eq!(
        fixture.settle(&call(), id, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    assert_eq!(slots(&fixture, &call()).await, 1);
}
