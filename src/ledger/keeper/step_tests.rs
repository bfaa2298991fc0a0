//! Changes of a step, and the revision of a team's records.
use super::*;
use crate::ledger::machine::memory_records::{Ledger, charged, team};
use crate::ledger::{Phase, Scope};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision::new(epoch, number, 0)
}

fn row() -> Row {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    ledger.kept.rows.pop().unwrap()
}

fn call() -> (ReservationId, ReservationRecord) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    (id, ledger.kept.calls.remove(&id).unwrap())
}

/// Except a later expiry of the lists of rows, which comes with added rows.
#[test]
fn a_batch_that_changes_anything_makes_a_revision() {
    let none = Changes::default;
    let (scope, id) = (ScopeName::from(&Scope::Team), ReservationId::new());
    let cell = CellName { day: String::new(), user: String::new(), model: String::new() };
    let top_up = TopUpRecord { scope: scope.clone(), credits: 5 };
    let all = [
        Changes { team: Some(TeamRecord::default()), ..none() },
        Changes { scopes: LiteMap::from_iter([(scope.clone(), None)]), ..none() },
        Changes { ends: LiteMap::from_iter([(scope, None)]), ..none() },
        Changes { opened: LiteMap::from_iter([call()]), ..none() },
        Changes { ended: vec![id], ..none() },
        Changes { rows: vec![row()], ..none() },
        Changes { cells: LiteMap::from_iter([(cell, Sums::default())]), ..none() },
        Changes { days: LiteMap::from_iter([(String::new(), 1)]), ..none() },
        Changes { top_ups: LiteMap::from_iter([(TopUpId::new(), top_up)]), ..none() },
        Changes { restored: vec![id], ..none() },
        Changes { forgotten: vec![Past::Restored(id)], ..none() },
        Changes { trimmed: [0, 1], ..none() },
        Changes { trimmed: [1, 0], ..none() },
        Changes { lives_on: true, ..none() },
        Changes { touched: true, ..none() },
    ];
    let is_made = |expected, changes| {
        let reading = Step::reading(0, Wanted::default(), Vec::new(), 0);
        Step { expected, changes, ..reading }.is_made()
    };
    for changes in all {
        assert!(
            !changes.is_nothing() && is_made(Expected::Anything, changes.clone()),
            "{changes:?}"
        );
    }
    let lists = Changes { rows_live_on: [true; 2], ..none() };
    assert!(none().is_nothing() && lists.is_nothing());
    assert!(
        !is_made(Expected::Anything, none()) && !is_made(Expected::Revision(at(5, 50)), none())
    );
    assert!(is_made(Expected::Nothing(LeftMark::default()), none()), "it makes the team");
}

#[test]
fn a_batch_touches_the_calls_that_it_opens_or_ends() {
    let ((opened, record), ended) = (call(), ReservationId::new());
    let changes = Changes {
        opened: LiteMap::from_iter([(opened, record)]),
        ended: vec![ended],
        ..Changes::default()
    };
    assert!(changes.touch(opened) && changes.touch(ended) && !changes.touch(ReservationId::new()));
}

#[test]
fn records_have_come_to_what_they_hold_or_lost() {
    let loss = Loss { kept: [(4, 30)].into(), ..Loss::default() };
    let record = TeamRecord { loss: Some(loss), ..TeamRecord::default() };
    let has_come_to = |change| record.has_come_to(at(5, 50), change);
    assert_eq!([at(5, 49), at(5, 50), at(5, 51)].map(has_come_to), [true, true, false]);
    assert_eq!([at(4, 29), at(4, 30), at(4, 31)].map(has_come_to), [true, true, false]);
    assert_eq!([at(3, 1), at(6, 1)].map(has_come_to), [false; 2]);
    assert!(!TeamRecord::default().has_come_to(at(5, 50), at(4, 30)));
}

#[test]
fn a_team_is_open_and_judged_unless_something_was_lost() {
    let is = |loss| {
        let record = TeamRecord { loss, ..TeamRecord::default() };
        (record.is_closed(), record.is_unjudged())
    };
    let of = |closed, unjudged| Some(Loss { closed, unjudged, ..Loss::default() });
    assert_eq!(is(None), (false, false));
    for (closed, unjudged) in [(false, false), (true, false), (false, true)] {
        assert_eq!(is(of(closed, unjudged)), (closed, unjudged));
    }
    assert_eq!(is(of(true, true)), (true, false), "it is judged when it opens");
}

#[test]
fn a_server_is_written_down_once_it_is_known() {
    let of = |replication_id| TeamRecord { replication_id, ..TeamRecord::default() };
    for (record, is_written) in [(of(0), false), (of(1), true)] {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text.contains("reign"), is_written);
        assert_eq!(serde_json::from_str::<TeamRecord>(&text).unwrap(), record);
    }
}
