//! Calls that other processes mark while the team is restored.
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::own::Written;
use super::super::scripted::{Scripted, knowing, replied, returned};
use super::super::step::{Found, Reply};
use super::*;
use crate::ledger::keeper::CellName;
use crate::ledger::machine::memory_records::{Ledger, NOW, charged, team};
use crate::ledger::machine::{ReservationRecord, ScopeName, ScopeRecord};
use crate::ledger::{Outcome, Phase, ReservationId, Row, Scope, Settlement};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision::new(epoch, number, 0)
}

/// An open call that waits, and the row of its sweep in the lost history.
fn swept() -> (ReservationId, ReservationRecord, Row) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.get(&id).cloned().unwrap();
    let released = Settlement { outcome: Outcome::Released, ..charged(id, 0) };
    ledger.machine().settle(&team(), &released).unwrap();
    (id, ReservationRecord { claimed: 9, ..record }, ledger.kept.rows.pop().unwrap())
}

/// The team with this call, in the epoch after the loss.
fn is(id: ReservationId, record: &ReservationRecord, row: &Row) -> Found {
    let loss = Loss { closed: false, ..Loss::noticed(None, None, NOW) };
    let (user, model) = (row.summary.user.clone(), row.summary.model.clone());
    let cell = CellName { day: row.day.clone(), user, model };
    Found {
        revision: Some(at(9, 52)),
        team: TeamRecord { loss: Some(loss), ..TeamRecord::default() },
        scopes: record.scopes.iter().map(|name| (name.clone(), ScopeRecord::default())).collect(),
        calls: vec![(id, Some(record.clone()))],
        restored: vec![(id, false)],
        cells: vec![(cell, None)],
        days: vec![(row.day.clone(), 0)],
        oldest: Some([Vec::new(), Vec::new()]),
        ..Found::default()
    }
}

/// Another process sends the call after this one has read it: its row must not end it.
#[test]
fn a_call_that_is_marked_meanwhile_is_not_ended() {
    let (id, waits, row) = swept();
    let sent = waits.clone().marked(Phase::Dispatched);
    let refused = AtomicUsize::new(0);
    let (found, first, second) = (row.clone(), is(id, &waits, &row), is(id, &sent, &row));
    let keeper = Scripted::new(move |step| {
        let is_reading = step.expected == Expected::Anything;
        let was_refused = refused.load(Ordering::Relaxed) > 0;
        if is_reading || was_refused {
            let now = if was_refused { second.clone() } else { first.clone() };
            return Ok(if is_reading { returned(now) } else { replied(Verdict::Done) });
        }
        assert_eq!(
            (step.changes.ended.as_slice(), &step.changes.rows[..]),
            (&[id][..], &[found.clone()][..])
        );
        refused.store(1, Ordering::Relaxed);
        Ok(Reply { marked: vec![Marked::Changed], ..replied(Verdict::NotWritten) })
    });
    let team = knowing(is(id, &waits, &row));
    let written = Written::bare(vec![at(5, 7)], row);
    team.cache().memory.get_or_insert_default().rows.push_back(written);
    keeper.run(restore(&keeper.context(), &team)).unwrap();
    let writes = keeper.writes();
    let marks: Vec<_> =
        writes[0].marks.iter().map(|mark| (mark.id, &mark.from, &mark.to)).collect();
    assert_eq!(marks, [(id, &waits, &waits)], "nothing is changed by it");
    let last = writes.last().unwrap();
    assert!(last.changes.ended.is_empty() && last.changes.rows.is_empty());
    assert!(last.changes.scopes.contains_key(&ScopeName::from(&Scope::Team)), "it is held again");
}
