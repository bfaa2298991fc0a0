//! Cases: a call that has ended keeps its slots while its answer is being read, and nothing but its slots.

use std::time::Duration;

use moongate::ledger::{Outcome, ReservationId, Scope, Settled, Settlement, Swept, Verdict};
use moongate::team::LimitKind;

use super::harness::{Call, Desk, PRICE, call, credits, key, limit, settlement, user};
use super::{Bench, TTL};

const MICRO: Duration = Duration::from_micros(1);

/// A call of a team that may make so many at a time.
fn of_a_team_with(slots: u64) -> Call {
    call().limits([limit(LimitKind::Concurrent, slots)])
}

/// A call that was carried out, and whose answer is being read.
async fn unread<B: Bench>(desk: &Desk<B>, call: &Call) -> ReservationId {
    let id = desk.admit(call).await;
    let settled = desk.ledger.settle(&call.team, keeping(id, Outcome::Charged)).await.unwrap();
    assert_eq!(settled, Settled::Now(credits(PRICE / 2)));
    id
}

fn keeping(id: ReservationId, outcome: Outcome) -> Settlement {
    Settlement { keeps_slots: true, ..settlement(id, outcome, PRICE / 2) }
}

async fn slots<B: Bench>(desk: &Desk<B>, call: &Call) -> u64 {
    desk.counted(call, LimitKind::Concurrent).await.1
}

pub(crate) async fn an_unread_answer_keeps_its_slot_on_every_level_and_nothing_else<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = of_a_team_with(2).level(key("k7Qp2mZr9aBc"), []);
    let (first, _second) = (unread(&desk, &call).await, unread(&desk, &call).await);
    for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
        assert_eq!(desk.counted_at(&call, scope.clone(), LimitKind::Concurrent).await, (0, 2), "{scope:?}");
        assert_eq!(desk.counted_at(&call, scope.clone(), LimitKind::CreditsTotal).await, (PRICE, 0), "{scope:?}");
        assert_eq!(desk.counted_at(&call, scope.clone(), LimitKind::RequestsPerDay).await, (2, 0), "{scope:?}");
    }
    let refused = desk.refuse(&call).await;
    assert_eq!((refused.binding.kind, refused.binding.reserved), (LimitKind::Concurrent, 2));
    assert!(refused.retry_at.is_some(), "it may be read at any time");
    let row = desk.rows(&call).await.pop().unwrap();
    assert_eq!((row.id, row.outcome, row.charged), (first, Outcome::Charged, credits(PRICE / 2)));
    assert_eq!(desk.usage(&call, "2026-11-22", "2026-11-22").await[0].sums.calls(), 2);
}

pub(crate) async fn a_slot_that_was_kept_is_free_once_it_is_released_on_whichever_handle<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let other = desk.bench.handle().await;
    let call = of_a_team_with(1).level(key("k7Qp2mZr9aBc"), []);
    for ledger in [&desk.ledger, &other] {
        let id = unread(&desk, &call).await;
        let quote = other.quote(call.admission(ReservationId::new())).await.unwrap();
        assert!(matches!(quote, Verdict::Refused { .. }), "{quote:?}");
        let before = (desk.rows(&call).await, desk.counted(&call, LimitKind::CreditsTotal).await);
        for _ in 0..2 {
            ledger.release_slots(&call.team, id).await.unwrap();
        }
        for scope in [Scope::Team, user("ana"), key("k7Qp2mZr9aBc")] {
            assert_eq!(desk.counted_at(&call, scope, LimitKind::Concurrent).await, (0, 0));
        }
        assert_eq!((desk.rows(&call).await, desk.counted(&call, LimitKind::CreditsTotal).await), before);
    }
    desk.admit(&call).await;
}

pub(crate) async fn a_call_whose_answer_is_unread_is_not_open<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let other = desk.bench.handle().await;
    let (read, runs) = (unread(&desk, &call()).await, desk.admit(&call()).await);
    for ledger in [&desk.ledger, &other] {
        assert_eq!(ledger.open_call(&call().team, read).await.unwrap(), None);
        let open = ledger.open_calls(&call().team).await.unwrap();
        assert_eq!(open.iter().map(|call| call.id).collect::<Vec<_>>(), [runs]);
        assert_eq!(ledger.open(&call().team).await.unwrap(), 1);
        assert!(!ledger.dispatch(&call().team, read).await.unwrap());
        assert!(!ledger.recall(&call().team, read).await.unwrap());
    }
    assert_eq!((desk.books(&call()).await.open, slots(&desk, &call()).await), (1, 2));
}

pub(crate) async fn what_has_ended_does_not_end_again_while_its_answer_is_read<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let other = desk.bench.handle().await;
    for outcome in Outcome::ALL {
        let call = call().team(outcome.name());
        let id = desk.admit(&call).await;
        assert!(matches!(desk.ledger.settle(&call.team, keeping(id, outcome)).await.unwrap(), Settled::Now(_)));
        let before = (desk.books(&call).await.standings, desk.rows(&call).await);
        for again in Outcome::ALL {
            assert_eq!(desk.settle(&call, id, again, PRICE).await, Settled::Before);
            assert_eq!(other.settle(&call.team, keeping(id, again)).await.unwrap(), Settled::Before);
        }
        assert_eq!((desk.books(&call).await.standings, desk.rows(&call).await), before);
        assert_eq!(slots(&desk, &call).await, 1);
    }
}

pub(crate) async fn slots_of_unread_answers_are_kept_while_they_are_renewed_and_swept_in_silence_after_that<
    B: Bench,
>() {
    let desk = Desk::<B>::open().await;
    let other = desk.bench.handle().await;
    let (renewed, left) = (unread(&desk, &call()).await, unread(&desk, &call()).await);
    for ledger in [&desk.ledger, &other, &desk.ledger] {
        desk.pass(TTL - MICRO);
        ledger.renew(&call().team, &[renewed]).await.unwrap();
    }
    assert_eq!(desk.sweep(&call()).await, Swept::default());
    assert_eq!(slots(&desk, &call()).await, 1, "the other was left behind");
    desk.pass(TTL - MICRO);
    assert_eq!((desk.sweep(&call()).await, slots(&desk, &call()).await), (Swept::default(), 1));
    desk.pass(MICRO);
    assert_eq!((other.sweep(&call().team).await.unwrap(), slots(&desk, &call()).await), (Swept::default(), 0));
    for id in [renewed, left] {
        desk.ledger.release_slots(&call().team, id).await.unwrap();
        assert_eq!(desk.settle(&call(), id, Outcome::Unknown, PRICE).await, Settled::Before);
    }
    assert_eq!(slots(&desk, &call()).await, 0);
    assert_eq!(desk.counted(&call(), LimitKind::CreditsTotal).await, (PRICE, 0));
    assert_eq!((desk.rows(&call()).await.len(), desk.watch.charged()), (2, Vec::new()));
}

pub(crate) async fn an_admission_frees_the_slots_of_answers_that_were_left_behind<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let call = of_a_team_with(1);
    unread(&desk, &call).await;
    desk.pass(TTL - MICRO);
    desk.refuse(&call).await;
    desk.pass(MICRO);
    desk.admit(&call).await;
}

pub(crate) async fn releasing_the_slots_of_an_open_call_or_of_none_changes_nothing<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let id = desk.admit(&call()).await;
    let kept = unread(&desk, &call()).await;
    for id in [id, ReservationId::new()] {
        desk.ledger.release_slots(&call().team, id).await.unwrap();
    }
    desk.ledger.release_slots(&call().team("growth").team, kept).await.unwrap();
    assert_eq!(slots(&desk, &call()).await, 2);
    assert_eq!(desk.settle(&call(), id, Outcome::Charged, PRICE).await, Settled::Now(credits(PRICE)));
    assert_eq!(slots(&desk, &call()).await, 1);
}
