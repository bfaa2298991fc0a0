//! Which calls may have ended in a lost history.
#![allow(clippy::unwrap_used)]

use super::super::memory_records::Ledger;
use super::*;
use crate::ledger::{Phase, Scope};

const LOST: u64 = 6;

/// Whether the call may have ended in a history that came to this change of the lost epoch.
fn may_have_ended(ending: Ending, last: Revision, ended_late_at: i64) -> bool {
    may_have_ended_if(ending, last, ended_late_at, |call| call)
}

/// The same for a call that has come further.
fn may_have_ended_if(
    ending: Ending,
    last: Revision,
    ended_late_at: i64,
    further: impl Fn(ReservationRecord) -> ReservationRecord,
) -> bool {
    let mut team = ScopeRecord::default();
    team.seal_at(last);
    let scopes = [(ScopeName::from(&Scope::Team), team)];
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = further(ledger.kept.calls[&id].clone());
    let record = ReservationRecord { ending: Some(ending), ..record };
    Earlier { kept: &Kept::new(), ended_late_at }.may_have_ended(&scopes, &record)
}

const fn at(number: u64, name: u64) -> Revision {
    Revision::new(LOST, number, name)
}

#[test]
fn a_call_was_not_swept_before_its_deadline() {
    let ending = Ending::swept_after(at(9, 3), 500);
    assert_eq!((ending.change(), ending.by), (at(10, 0), EndedBy::Sweep(500)));
    assert!(may_have_ended(ending, at(10, 3), 500) && !may_have_ended(ending, at(10, 3), 499));
    assert!(!may_have_ended(ending, at(9, 3), 500));
}

#[test]
fn what_may_have_ended_in_several_ways_stays_in_doubt() {
    let (any, sweep) = (Ending::from(LOST, 10), Ending::swept_after(at(9, 3), 500));
    for (one, other) in [(any, sweep), (sweep, any)] {
        assert_eq!(one.or_later(other), Ending { by: EndedBy::Any, ..one });
    }
    let earlier = Ending::swept_after(at(12, 3), 400);
    assert_eq!(sweep.or_later(earlier), Ending { by: EndedBy::Sweep(400), ..sweep });
}

#[test]
fn others_may_end_a_copied_call_earlier() {
    let (any, sweep) = (Ending::from(LOST, 10), Ending::swept_after(at(9, 3), 500));
    assert_eq!([any.or_from(4), any.or_from(12)], [Ending { number: 4, ..any }, any]);
    assert_eq!(sweep.or_from(4), Ending { number: 4, ..sweep });
}

#[test]
fn an_ending_of_an_earlier_layout_reads_back() {
    let read = |text: &str| serde_json::from_str::<Ending>(text).unwrap();
    assert_eq!(read("[6,10]"), Ending::from(LOST, 10));
    let ending = Ending::swept_after(at(9, 3), 500);
    assert_eq!(read(&serde_json::to_string(&ending).unwrap()), ending);
}

#[test]
fn a_call_sent_in_a_later_epoch_has_not_ended() {
    let ending = Ending::swept_after(at(9, 3), 500);
    for (claimed, phase, is_so) in [
        (LOST + 2, Phase::Dispatched, false),
        (LOST + 2, Phase::TurnedBack, true),
        (LOST, Phase::Dispatched, true),
    ] {
        let further = |call: ReservationRecord| call.claimed_in(claimed).marked(phase);
        let is = may_have_ended_if(ending, at(10, 3), 500, further);
        assert_eq!(is, is_so, "{phase:?} in {claimed}");
    }
}
