//! Cases: what a replica that died has left behind is ended by any other, in the right way, once.

use std::time::Duration;

use moongate::ledger::{OnUnknown, Outcome, Phase, Settled, Swept, SweptCharge, Verdict};
use moongate::team::LimitKind;

use super::harness::{Call, Fixture, MORNING, PRICE, call, credits, limit};
use super::{Bench, TTL};
use crate::support::redis::wait_until;

const MICRO: Duration = Duration::from_micros(1);

/// What became unknown is charged.
pub(crate) async fn waiting_calls_are_released_and_sent_ones_become_unknown<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let call = call();
    let waiting = fixture.admit(&call.clone().waiting()).await;
    let dispatched = fixture.admit(&call).await;
    fixture.pass(TTL);
    assert_eq!(
        other.sweep(&call.team).await.unwrap(),
        Swept { released: 1, refused: 0, unknown: 1 }
    );
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (PRICE, 0));
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (1, 0));
    assert_eq!(fixture.counted(&call, LimitKind::Concurrent).await, (0, 0));
    assert_eq!(fixture.sweep(&call).await, Swept::default());
    for id in [waiting, dispatched] {
        assert_eq!(fixture.settle(&call, id, Outcome::Charged, PRICE).await, Settled::Before);
    }
    assert_eq!(fixture.counted(&call, LimitKind::CreditsPerDay).await, (PRICE, 0));
    assert_eq!(fixture.snapshot(&call).await.open, 0);
}

pub(crate) async fn when_unknown_is_released_the_call_counts_but_costs_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open_with(MORNING, OnUnknown::Release).await;
    fixture.admit(&call()).await;
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call()).await, Swept { released: 0, refused: 0, unknown: 1 });
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsPerDay).await, (0, 0));
    assert_eq!(fixture.counted(&call(), LimitKind::RequestsPerDay).await, (1, 0));
    let row = fixture.rows(&call()).await.remove(0);
    assert_eq!(
        (row.outcome, row.charged.micros(), row.reserved.micros()),
        (Outcome::Unknown, 0, PRICE)
    );
}

pub(crate) async fn what_a_sweep_charges_is_told_model_by_model_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (flux, kling) =
        (call(), call().model("kling/kling-2-1-master").price(7 * PRICE).user("bo", []));
    let growth = call().team("growth");
    for call in [&flux, &flux, &kling, &flux.clone().waiting(), &growth] {
        fixture.admit(call).await;
    }
    fixture.pass(TTL);
    // Swept by an admission on its way, and by sweeps.
    fixture.admit(&flux.clone().user("cy", [])).await;
    for call in [&flux, &growth, &flux] {
        fixture.sweep(call).await;
    }
    let charge = |call: &Call, micros| {
        (call.team.clone(), SweptCharge { model: call.model.to_owned(), credits: credits(micros) })
    };
    let expected = [charge(&flux, 2 * PRICE), charge(&kling, 7 * PRICE), charge(&growth, PRICE)];
    assert_eq!(fixture.watch.take_charges(), expected);
}

pub(crate) async fn nothing_ends_before_its_deadline<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::Concurrent, 2)]);
    let ids = [fixture.admit(&call).await, fixture.admit(&call.clone().waiting()).await];
    fixture.pass(TTL - MICRO);
    assert_eq!(fixture.sweep(&call).await, Swept::default());
    fixture.refuse(&call).await;
    for id in ids {
        assert!(matches!(
            fixture.settle(&call, id, Outcome::Charged, PRICE).await,
            Settled::Now(_)
        ));
    }
}

pub(crate) async fn a_deadline_has_passed_at_its_very_microsecond<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    fixture.admit(&call()).await;
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call()).await, Swept { released: 0, refused: 0, unknown: 1 });
}

pub(crate) async fn a_renewed_reservation_lives_on<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let (kept, left) = (fixture.admit(&call()).await, fixture.admit(&call()).await);
    for ledger in [&fixture.ledger, &other, &fixture.ledger] {
        fixture.pass(TTL - MICRO);
        ledger.renew(&call().team, &[kept]).await.unwrap();
    }
    fixture.sweep(&call()).await;
    assert_eq!(fixture.snapshot(&call()).await.open, 1);
    assert_eq!(fixture.settle(&call(), left, Outcome::Charged, 0).await, Settled::Before);
    fixture.pass(TTL - MICRO);
    assert_eq!(fixture.sweep(&call()).await, Swept::default());
    fixture.pass(MICRO);
    assert_eq!(fixture.sweep(&call()).await, Swept { released: 0, refused: 0, unknown: 1 });
    assert_eq!(fixture.settle(&call(), kept, Outcome::Charged, 0).await, Settled::Before);
}

pub(crate) async fn renewing_what_has_ended_revives_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call();
    let (settled, swept) = (fixture.admit(&call).await, fixture.admit(&call).await);
    fixture.settle(&call, settled, Outcome::Charged, PRICE).await;
    fixture.pass(TTL);
    fixture.sweep(&call).await;
    fixture
        .ledger
        .renew(&call.team, &[settled, swept, moongate::ledger::ReservationId::new()])
        .await
        .unwrap();
    fixture.ledger.renew(&call.team, &[]).await.unwrap();
    assert_eq!(fixture.snapshot(&call).await.open, 0);
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call).await, Swept::default());
    assert_eq!(fixture.rows(&call).await.len(), 2);
}

pub(crate) async fn a_late_mark_or_renewal_counts_until_the_call_ends<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().waiting();
    let id = fixture.admit(&call).await;
    fixture.pass(TTL * 2);
    fixture.ledger.renew(&call.team, &[id]).await.unwrap();
    assert_eq!(fixture.sweep(&call).await, Swept::default());
    fixture.pass(TTL);
    assert!(fixture.ledger.dispatch(&call.team, id).await.unwrap());
    assert!(matches!(
        fixture.ledger.admit(call.admission(id)).await.unwrap(),
        Verdict::Admitted { .. }
    ));
    assert_eq!(
        fixture.settle(&call, id, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    assert_eq!(fixture.counted(&call, LimitKind::RequestsPerDay).await, (1, 0));
}

pub(crate) async fn a_dispatched_call_left_behind_is_never_free<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().waiting();
    let id = fixture.admit(&call).await;
    assert!(fixture.ledger.dispatch(&call.team, id).await.unwrap());
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call).await, Swept { released: 0, refused: 0, unknown: 1 });
    assert_eq!(fixture.counted(&call, LimitKind::CreditsTotal).await, (PRICE, 0));
}

pub(crate) async fn what_was_swept_cannot_be_dispatched<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().waiting();
    let (swept, settled) = (fixture.admit(&call).await, fixture.admit(&call).await);
    fixture.settle(&call, settled, Outcome::Released, 0).await;
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call).await, Swept { released: 1, refused: 0, unknown: 0 });
    for id in [swept, settled, moongate::ledger::ReservationId::new()] {
        assert!(!fixture.ledger.dispatch(&call.team, id).await.unwrap());
    }
    let other = fixture.admit(&call).await;
    let foreign = call.clone().team("growth");
    assert!(!fixture.ledger.dispatch(&foreign.team, other).await.unwrap(), "another team's id");
    assert_eq!(fixture.snapshot(&call).await.open, 1);
}

pub(crate) async fn dispatching_twice_is_dispatching_once<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for phase in [Phase::Waiting, Phase::Dispatched] {
        let call = if phase == Phase::Waiting { call().waiting() } else { call() };
        let id = fixture.admit(&call).await;
        for _ in 0..2 {
            assert!(fixture.ledger.dispatch(&call.team, id).await.unwrap());
        }
        assert!(matches!(
            fixture.settle(&call, id, Outcome::Charged, PRICE).await,
            Settled::Now(_)
        ));
    }
    assert_eq!(fixture.counted(&call(), LimitKind::RequestsPerDay).await, (2, 0));
}

/// The call counts as a request.
pub(crate) async fn an_abandoned_call_that_was_turned_back_costs_nothing<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let other = fixture.bench.handle().await;
    let id = fixture.admit(&call()).await;
    assert!(other.recall(&call().team, id).await.unwrap());
    assert!(fixture.ledger.recall(&call().team, id).await.unwrap(), "twice is once");
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call()).await, Swept { released: 0, refused: 1, unknown: 0 });
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsPerDay).await, (0, 0));
    assert_eq!(fixture.counted(&call(), LimitKind::RequestsPerDay).await, (1, 0));
    assert_eq!(fixture.rows(&call()).await[0].outcome, Outcome::Refused);
    assert!(!fixture.ledger.recall(&call().team, id).await.unwrap(), "swept calls wait no more");
    let id = fixture.admit(&call()).await;
    assert!(
        fixture.ledger.recall(&call().team, id).await.unwrap()
            && fixture.ledger.dispatch(&call().team, id).await.unwrap()
    );
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&call()).await, Swept { released: 0, refused: 0, unknown: 1 });
}

pub(crate) async fn a_sweep_ends_a_bounded_number_of_calls<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for number in 0..300 {
        let call = if number % 3 == 0 { call().waiting() } else { call() };
        fixture.admit(&call).await;
    }
    fixture.pass(TTL);
    let (mut total, mut sweeps) = (Swept::default(), 0);
    loop {
        let swept = fixture.sweep(&call()).await;
        assert!(swept.released + swept.unknown <= 128, "{swept:?}");
        if swept == Swept::default() {
            break;
        }
        total = Swept {
            released: total.released + swept.released,
            refused: 0,
            unknown: total.unknown + swept.unknown,
        };
        sweeps += 1;
    }
    assert_eq!((total, sweeps), (Swept { released: 100, refused: 0, unknown: 200 }, 3));
    assert_eq!(fixture.counted(&call(), LimitKind::RequestsPerDay).await, (200, 0));
    assert_eq!(fixture.rows(&call()).await.len(), 300);
}

pub(crate) async fn a_sweep_ends_only_the_team_s_own<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (own, other) = (call(), call().team("growth"));
    fixture.admit(&own).await;
    let kept = fixture.admit(&other).await;
    fixture.pass(TTL);
    assert_eq!(fixture.sweep(&own).await, Swept { released: 0, refused: 0, unknown: 1 });
    assert_eq!(
        fixture.settle(&other, kept, Outcome::Released, 0).await,
        Settled::Now(moongate::credits::Credits::ZERO)
    );
}

pub(crate) async fn the_store_knows_its_teams_and_what_each_has_open<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let (design, growth) = (call(), call().team("growth"));
    let id = fixture.admit(&design).await;
    fixture.admit(&growth).await;
    fixture.admit(&growth.clone().user("bo", [])).await;
    let other = fixture.bench.handle().await;
    let both = [design.team.clone(), growth.team.clone()];
    // A store may note a team beside what it was asked for.
    wait_until("both are known", || async { other.teams().await.unwrap() == both }).await;
    assert_eq!(
        (other.open(&design.team).await.unwrap(), other.open(&growth.team).await.unwrap()),
        (1, 2)
    );
    fixture.settle(&design, id, Outcome::Charged, PRICE).await;
    fixture.pass(TTL);
    fixture.sweep(&growth).await;
    for team in &both {
        assert_eq!(other.open(team).await.unwrap(), 0, "{team}");
    }
    let stranger = call().team("nobody");
    assert_eq!(other.open(&stranger.team).await.unwrap(), 0);
    assert_eq!(other.teams().await.unwrap(), both, "a read does not create a team");
}

pub(crate) async fn an_admission_frees_the_slots_that_were_left_behind<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let call = call().limits([limit(LimitKind::Concurrent, 2)]);
    fixture.admit(&call).await;
    fixture.admit(&call.clone().waiting()).await;
    fixture.refuse(&call).await;
    fixture.pass(TTL);
    fixture.admit(&call).await;
    fixture.admit(&call).await;
    assert_eq!(fixture.counted(&call, LimitKind::CreditsTotal).await, (PRICE, 2 * PRICE));
    assert_eq!(fixture.rows(&call).await.len(), 2);
}
