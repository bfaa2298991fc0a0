//! How a batch is carried through, and the answers of its operations.
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::ledger::keeper::operation::Claim;
use crate::ledger::keeper::scripted::{Scripted, at, found, knowing, new_team, replied, returned};
use crate::ledger::keeper::step::{Due, Found, Reply};
use crate::ledger::keeper::{Expected, Verdict as Is};
use crate::ledger::machine::memory_records::{NOW, SECOND, TTL, call, of};
use crate::ledger::machine::{Loss, ScopeName, ScopeRecord};
use crate::ledger::{ReservationId, Scope};

type Answered = oneshot::Receiver<Result<Claim, Outage>>;

/// A batch with one admission, and its answer.
fn admits() -> (ReservationId, Batch, Answered) {
    let admission = Box::new(call([of(Scope::Team, [])], 7));
    let (id, (response, answer)) = (admission.id, oneshot::channel());
    (id, vec![Operation::Admit { admission, response }], answer)
}

fn sweeps() -> Batch {
    vec![Operation::Sweep { response: oneshot::channel().0 }]
}

/// The stored records after this loss.
fn whole(loss: Option<Loss>) -> Found {
    Found {
        scopes: vec![(ScopeName::from(&Scope::Team), ScopeRecord::default())],
        due: Some(Due::default()),
        past: Some(Vec::new()),
        oldest: Some([Vec::new(), Vec::new()]),
        ..found(at(5, 50), loss)
    }
}

/// A keeper that refuses this many steps because others were first, and accepts the next, this many
/// microseconds later.
fn keeper(refuses: usize, later: i64) -> Scripted {
    let refused = AtomicUsize::new(0);
    Scripted::new(move |step| {
        let is_refused = refused.fetch_add(1, Ordering::Relaxed) < refuses;
        let reply = if is_refused || step.expected == Expected::Anything {
            returned(whole(None))
        } else {
            replied(Is::Done)
        };
        Ok(Reply { at: NOW + later, ..reply })
    })
}

fn carries(keeper: &Scripted, team: &Arc<Team>, batch: Batch) -> Result<(), Outage> {
    keeper.run(carry_through(&keeper.context(), team, batch))
}

#[test]
fn a_batch_that_is_refused_is_sent_again() {
    for refuses in [0, 1, 5] {
        let (keeper, team) = (keeper(refuses, 0), knowing(whole(None)));
        let (id, batch, mut answer) = admits();
        assert!(carries(&keeper, &team, batch).is_ok());
        assert!(answer.try_recv().unwrap().unwrap().take().is_some());
        assert_eq!(keeper.steps().len(), refuses + 1);
        assert_eq!(keeper.events(), ["batch of 1"], "a team that was seen is believed");
        assert_eq!(team.cache().own.keys().collect::<Vec<_>>(), [&id], "its calls are its own");
    }
}

#[test]
fn a_team_never_seen_is_trusted_before_it_is_asked() {
    let (keeper, (_, batch, mut answer)) = (keeper(0, 0), admits());
    assert!(carries(&keeper, &new_team(), batch).is_ok());
    assert!(answer.try_recv().unwrap().is_ok());
    assert_eq!(keeper.events(), ["batch of 1", "trusted"]);
}

/// Whether it was reserved is not known.
#[test]
fn an_admission_without_an_answer_is_released() {
    let (keeper, team) = (Scripted::new(|_| Err(Outage::TimedOut)), knowing(whole(None)));
    let (id, batch, mut answer) = admits();
    assert!(matches!(carries(&keeper, &team, batch), Err(Outage::TimedOut)));
    assert!(matches!(answer.try_recv(), Ok(Err(Outage::TimedOut))));
    assert_eq!(keeper.abandoned.take(9), [(team.id.clone(), id)]);
    assert_eq!(keeper.steps().len(), 1);
}

#[test]
fn a_batch_is_given_up_when_others_stay_first() {
    let (keeper, (_, batch, mut answer)) = (keeper(usize::MAX, 0), admits());
    assert!(matches!(carries(&keeper, &knowing(whole(None)), batch), Err(Outage::Refused(_))));
    assert!(matches!(answer.try_recv(), Ok(Err(Outage::Refused(_)))));
    assert_eq!(keeper.steps().len(), ATTEMPTS);
}

/// The call may be open, and may be swept from then on.
#[test]
fn a_call_is_not_opened_after_its_first_life() {
    for (later, steps) in [(TTL - 1, 2), (TTL, 1)] {
        let (keeper, (_, batch, mut answer)) = (keeper(1, later), admits());
        let outcome = carries(&keeper, &knowing(whole(None)), batch);
        assert_eq!((outcome.is_ok(), keeper.steps().len()), (steps == 2, steps));
        let is_late = matches!(answer.try_recv(), Ok(Err(Outage::TimedOut)));
        assert_eq!(is_late, steps == 1);
    }
}

/// Before the keeper's clock was set back.
#[test]
fn a_call_perhaps_swept_is_not_opened_again() {
    for (late, steps) in [(TTL - 1, 2), (TTL, 1)] {
        let refused = AtomicUsize::new(0);
        let keeper = Scripted::new(move |_| {
            let is_first = refused.fetch_add(1, Ordering::Relaxed) == 0;
            let mut is = whole(None);
            is.team.ended_late_at = NOW + late;
            Ok(if is_first { returned(is) } else { replied(Is::Done) })
        });
        let (_, batch, mut answer) = admits();
        let outcome = carries(&keeper, &knowing(whole(None)), batch);
        assert_eq!((outcome.is_ok(), keeper.steps().len()), (steps == 2, steps));
        assert_eq!(matches!(answer.try_recv(), Ok(Err(Outage::TimedOut))), steps == 1);
    }
}

#[test]
fn a_sweep_judges_what_was_restored_late() {
    let unjudged = Loss { closed: false, unjudged: true, ..Loss::noticed(None, None, NOW) };
    let judged = Loss { unjudged: false, ..unjudged.clone() };
    for (loss, batch, judges) in
        [(&unjudged, sweeps(), true), (&judged, sweeps(), false), (&unjudged, admits().1, false)]
    {
        let is = whole(Some(loss.clone()));
        let keeper = Scripted::new(move |step| {
            let is_reading = step.expected == Expected::Anything;
            Ok(if is_reading { returned(is.clone()) } else { replied(Is::Done) })
        });
        let team = knowing(whole(Some(loss.clone())));
        let _ = carries(&keeper, &team, batch);
        assert!(keeper.steps().iter().any(|step| step.wanted.all) == judges);
        assert_eq!(team.cache().team().is_unjudged(), loss.unjudged && !judges);
    }
}

/// No call of a closed team is judged until then.
#[test]
fn a_closed_team_opens_once_others_had_time() {
    for (noticed_at, opens) in [(NOW - SECOND, true), (NOW, false)] {
        let is = whole(Some(Loss::noticed(None, None, noticed_at)));
        let script = is.clone();
        let keeper = Scripted::new(move |step| {
            let is_reading = step.expected == Expected::Anything;
            Ok(if is_reading { returned(script.clone()) } else { replied(Is::Done) })
        });
        let ((_, batch, mut answer), team) = (admits(), knowing(is));
        assert_eq!(carries(&keeper, &team, batch).is_ok(), opens);
        assert_eq!(matches!(answer.try_recv(), Ok(Err(Outage::Lost))), !opens);
        assert_eq!(team.cache().team().is_closed(), !opens);
    }
}
