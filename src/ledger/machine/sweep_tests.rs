//! What a sweep ends, forgets and drops.
use super::*;
use crate::ledger::machine::memory_records::{Ledger, NOW, SECOND, TTL, charged, team, user};
use crate::ledger::machine::{ScopeName, ScopeRecord};
use crate::ledger::{Scope, SweptCharge};

/// Opens calls that come to every phase, and one that has ended and whose answer is being read; all
/// are left behind.
fn left_behind() -> Ledger {
    let mut ledger = Ledger::new();
    for phase in [Phase::Waiting, Phase::TurnedBack, Phase::Dispatched] {
        ledger.open(phase, 7);
    }
    let read = ledger.open(Phase::Dispatched, 5);
    ledger
        .machine()
        .settle(&team(), &Settlement { keeps_slots: true, ..charged(read, 4) })
        .unwrap();
    ledger.now = NOW + TTL;
    ledger
}

#[test]
fn abandoned_calls_end_according_to_their_phase() {
    let all = Swept { released: 1, refused: 1, unknown: 1 };
    for (on_unknown, cost) in [(OnUnknown::Charge, 7), (OnUnknown::Release, 0)] {
        let mut ledger = left_behind();
        ledger.rules.on_unknown = on_unknown;
        let mut machine = ledger.machine();
        assert_eq!(machine.sweep(&team()).unwrap(), all);
        let swept = machine.take_swept();
        let charge = SweptCharge { model: "m".to_owned(), credits: Credits::from_micros(cost) };
        let swept: Vec<_> =
            swept.into_iter().map(|ended| (ended.team, ended.swept, ended.charges)).collect();
        assert_eq!(swept, [(team(), all, vec![charge])]);
        let rows: Vec<_> =
            ledger.kept.rows.iter().map(|row| (row.outcome, row.charged.micros())).collect();
        let ended = [(Outcome::Released, 0), (Outcome::Refused, 0), (Outcome::Unknown, cost)];
        assert_eq!(rows, [&[(Outcome::Charged, 4)][..], &ended].concat());
        assert_eq!((ledger.kept.calls.len(), ledger.scope(&Scope::Team).slots()), (0, 0));
        let mut machine = ledger.machine();
        assert_eq!(machine.sweep(&team()).unwrap(), Swept::default());
        assert!(machine.take_swept().is_empty(), "nothing ended, so nothing is reported");
    }
}

/// Its process is away, and may have sent it.
#[test]
fn an_abandoned_call_whose_mark_may_be_lost_is_unknown() {
    let mut ledger = left_behind();
    ledger.kept.lacks_marks = true;
    assert_eq!(
        ledger.machine().sweep(&team()).unwrap(),
        Swept { unknown: 3, ..Swept::default() },
        "whatever phase is known"
    );
    assert!(ledger.kept.rows.iter().skip(1).all(|row| row.charged.micros() == 7));
}

#[test]
fn a_sweep_forgets_users_of_whom_nothing_matters_any_more() {
    let mut ledger = Ledger::new();
    let mut busy = ScopeRecord::default();
    busy.keep_slot();
    let is_past = ["past", "later", "busy", "kept"].map(|name| ScopeName::from(&user(name)));
    for (name, until) in is_past.iter().zip([Some(NOW), Some(NOW + 1), Some(NOW), None]) {
        let mut record = if &*name.whose == "busy" { busy.clone() } else { ScopeRecord::default() };
        record.set_until(until);
        ledger.kept.scopes.insert(name.clone(), record);
    }
    ledger.kept.past = is_past.to_vec();
    for forgets in [true, false] {
        let mut machine = ledger.machine();
        machine.sweep(&team()).unwrap();
        assert_eq!(machine.changed(), forgets);
        let left: Vec<_> = ledger.kept.scopes.keys().map(|name| &*name.whose).collect();
        assert_eq!(left, ["busy", "kept", "later"]);
    }
}

#[test]
fn a_sweep_that_drops_old_rows_counts_as_a_change() {
    for renews in [true, false] {
        let mut ledger = left_behind();
        ledger.now = NOW + SECOND;
        let mine: Vec<_> = ledger.kept.calls.keys().copied().collect();
        ledger.rules.retention.rows = std::time::Duration::ZERO;
        let mut machine = ledger.machine();
        machine.renew(&team(), if renews { &mine } else { &[] }).unwrap();
        assert_eq!(machine.changed(), renews);
        machine.sweep(&team()).unwrap();
        assert!(machine.changed());
        assert_eq!(ledger.kept.rows, []);
    }
}
