//! Steps whose answers were lost, and what later readings show of them.

use super::*;
use crate::ledger::keeper::step::TeamRecord;
use crate::ledger::machine::memory_records::{Ledger, NOW, TTL, charged, team, user};
use crate::ledger::machine::{Ended, Loss, ReservationRecord, ScopeName, ScopeRecord};
use crate::ledger::{Phase, ReservationId, Row, Scope};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision { epoch, number, name: 0 }
}

/// A call of this process, read at revision 50 of epoch 5, and the row of its end.
fn own_call() -> (TeamCache, (ReservationId, ReservationRecord), Row) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.get(&id).cloned().unwrap();
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    let row = ledger.kept.rows.pop().unwrap();
    let mut cache = TeamCache::default();
    cache.learn(found(50, id, Some(record.clone())), 7, (NOW, NOW + TTL));
    cache.owns_admitted(id);
    (cache, (id, record), row)
}

/// The call and every scope that it counts in.
fn found(number: u64, id: ReservationId, record: Option<ReservationRecord>) -> Found {
    let names = [Scope::Team, user("ana")].map(|scope| ScopeName::from(&scope));
    let scopes = names.map(|name| (name, ScopeRecord::default())).into();
    Found { revision: Some(at(5, number)), calls: vec![(id, record)], scopes, ..Found::default() }
}

/// The answer to the step that ends the call with this row, and makes revision 52, is lost.
fn doubts(cache: &mut TeamCache, row: &Row) {
    let changes = Changes { ended: vec![row.id], rows: vec![row.clone()], ..Changes::default() };
    let (swept, crossed) = (vec![Ended::of(&team())], Vec::new());
    cache.doubt(InDoubt { makes: at(5, 52), changes, swept, crossed });
}

/// The call is stored after the change that would have ended it.
#[test]
fn a_call_found_after_its_doubtful_end_goes_on() {
    for (number, ending) in [(51, Some(Ending::with(at(5, 52)))), (52, None), (53, None)] {
        let (mut cache, (id, record), row) = own_call();
        doubts(&mut cache, &row);
        let is = found(number, id, Some(record));
        assert!(cache.learn_ends(&is, NOW).is_empty());
        cache.learn(is, 7, (NOW, NOW + TTL));
        let own = cache.own.get(&id);
        assert_eq!(own.map(|own| (own.ending, own.row.is_some())), Some((ending, number == 51)));
        assert!(cache.rows.is_empty());
    }
}

/// Another process has written since, so the keeper's revision does not show it.
#[test]
fn a_doubtful_row_is_remembered_once_its_call_is_gone() {
    let (mut cache, (id, _), row) = own_call();
    doubts(&mut cache, &row);
    let shown = cache.learn_ends(&found(53, id, None), NOW);
    assert_eq!(
        shown.iter().map(|step| step.swept.len()).collect::<Vec<_>>(),
        [1],
        "the calls that the step swept are reported"
    );
    let at = cache.rows.pop_back().map(|written| (written.at, written.row));
    assert_eq!(at, Some((vec![self::at(5, 52)], row)));
    assert!(cache.rows.is_empty());
}

/// Its answer was lost, and it was refused when it came again: another had written since.
#[test]
fn a_call_open_as_opened_shows_its_step() {
    let shown = |change: fn(&mut ReservationRecord), was_known: bool, knows_scopes: bool| {
        // Another process's call, which the step has swept.
        let (mut cache, (swept, _), row) = own_call();
        cache.own.clear();
        let (_, (new, made), _) = own_call();
        let changes = Changes {
            opened: [(new, made.clone())].into_iter().collect(),
            ended: vec![swept],
            rows: vec![row.clone()],
            ..Changes::default()
        };
        let (swept, crossed) = (vec![Ended::of(&team())], Vec::new());
        if was_known {
            cache.learn(found(51, new, Some(made.clone())), 7, (NOW, NOW + TTL));
        }
        cache.doubt(InDoubt { makes: at(5, 52), changes, swept, crossed });
        let mut is = made;
        change(&mut is);
        let mut found = found(53, new, Some(is));
        if !knows_scopes {
            found.scopes.clear();
        }
        let written = cache.learn_ends(&found, NOW);
        let rows: Vec<_> = cache.rows.iter().map(|row| (row.at.clone(), row.row.clone())).collect();
        assert!(rows.is_empty() || rows == [(vec![at(5, 52)], row)]);
        (written.len(), rows.len())
    };
    assert_eq!(shown(|_| {}, false, true), (1, 1));
    assert_eq!(shown(|_| {}, false, false), (1, 0), "its charge could not be restored");
    assert_eq!(shown(|_| {}, true, true), (0, 0), "an earlier step opened it");
    assert_eq!(shown(|is| is.admitted_at += 1, false, true), (0, 0), "another step opened it");
}

/// A call that was opened by the same step shows that it was written.
#[test]
fn an_own_call_whose_row_is_remembered_is_not_claimed() {
    let (mut cache, (id, _), row) = own_call();
    let (_, (new, made), _) = own_call();
    let opened = [(new, made.clone())].into_iter().collect();
    let changes = Changes { opened, ended: vec![id], rows: vec![row], ..Changes::default() };
    cache.doubt(InDoubt { makes: at(5, 52), changes, swept: Vec::new(), crossed: Vec::new() });
    assert_eq!(cache.learn_ends(&found(53, new, Some(made)), NOW).len(), 1);
    assert_eq!(cache.rows.len(), 1);
    assert!(!cache.own.contains_key(&id) && cache.last_known(id).is_none());
}

#[test]
fn either_of_two_steps_may_have_ended_a_call() {
    let (mut cache, (id, _), row) = own_call();
    (0..2).for_each(|_| doubts(&mut cache, &row));
    assert!(cache.learn_ends(&found(53, id, None), NOW).is_empty());
    assert_eq!(cache.rows.len(), 1, "both write the same row");
}

/// The row is the same, so it does not matter which of the two has ended the call.
#[test]
fn a_further_attempt_at_an_end_writes_the_same_row() {
    let (mut cache, (id, record), row) = own_call();
    let late = row.settled_at + jiff::SignedDuration::from_millis(30);
    let repeated = |cache: &TeamCache| {
        let mut rows = [Row { settled_at: late, ..row.clone() }];
        cache.repeat_ends(&mut rows);
        rows[0].settled_at
    };
    assert_eq!(repeated(&cache), late);
    doubts(&mut cache, &row);
    assert_eq!(repeated(&cache), row.settled_at);
    doubts(&mut cache, &Row { settled_at: late, ..row.clone() });
    assert_eq!(repeated(&cache), row.settled_at);
    // The call was read since, and is open: there was no end.
    cache.learn(found(53, id, Some(record)), 7, (NOW, NOW + TTL));
    assert_eq!(repeated(&cache), late);
}

/// The answer is read to its end later: its slots are kept until then.
#[test]
fn a_doubtful_row_is_remembered_while_its_answer_is_read() {
    let (mut cache, (id, record), row) = own_call();
    let kept = ReservationRecord { unread: true, ..record };
    let opened = [(id, kept.clone())].into_iter().collect();
    let changes = Changes { opened, rows: vec![row], ..Changes::default() };
    let (swept, crossed) = (Vec::new(), Vec::new());
    cache.doubt(InDoubt { makes: at(5, 52), changes, swept, crossed });
    for _ in 0..2 {
        cache.learn_ends(&found(53, id, Some(kept.clone())), NOW);
        assert_eq!(cache.rows.len(), 1);
    }
}

#[test]
fn a_row_that_others_may_have_swept_is_forgotten() {
    let (mut cache, (id, record), row) = own_call();
    doubts(&mut cache, &row);
    assert!(cache.learn_ends(&found(53, id, None), record.deadline).is_empty());
    assert!(cache.rows.is_empty());
    // One was swept before the keeper's clock was set back.
    let (mut cache, (id, record), row) = own_call();
    doubts(&mut cache, &row);
    let mut is = found(53, id, None);
    is.team.ended_late_at = record.deadline;
    assert!(cache.learn_ends(&is, NOW).is_empty());
    assert!(cache.rows.is_empty());
    // Renewed after its deadline, before the step and after it.
    for is_before in [true, false] {
        let (mut cache, (id, record), row) = own_call();
        let renew = |cache: &mut TeamCache| cache.put_off(&[id], (NOW + 2 * TTL, record.deadline));
        if is_before {
            renew(&mut cache);
        }
        doubts(&mut cache, &row);
        if !is_before {
            renew(&mut cache);
        }
        assert!(cache.learn_ends(&found(53, id, None), record.deadline).is_empty());
        assert!(cache.rows.is_empty());
    }
}

/// What is read may be older than the step, or a copy that lacks it.
#[test]
fn a_doubtful_row_is_forgotten_without_its_revision() {
    let (mut cache, (id, _), row) = own_call();
    doubts(&mut cache, &row);
    assert!(cache.learn_ends(&found(51, id, None), NOW).is_empty());
    let loss = Loss { kept: [(5, 51)].into(), ..Loss::default() };
    let copy = Found {
        revision: Some(at(9, 52)),
        team: TeamRecord { loss: Some(loss), ..TeamRecord::default() },
        ..found(52, id, None)
    };
    assert!(cache.learn_ends(&copy, NOW).is_empty());
    assert!(cache.rows.is_empty());
}

/// The charge of such a row could not be restored with it.
#[test]
fn a_doubtful_row_is_forgotten_without_its_scopes() {
    let (mut cache, (id, _), row) = own_call();
    doubts(&mut cache, &row);
    let of_team = |name: &ScopeName| name.level == "team";
    let mut is = found(53, id, None);
    is.scopes.retain(|(name, _)| of_team(name));
    assert!(cache.learn_ends(&is, NOW).is_empty());
    assert!(cache.rows.is_empty());
}

#[test]
fn an_answered_row_is_remembered_once() {
    for is_unread in [false, true] {
        let (mut cache, (id, record), row) = own_call();
        let kept = is_unread.then_some(ReservationRecord { unread: true, ..record });
        let changes = Changes {
            ended: if is_unread { Vec::new() } else { vec![id] },
            opened: kept.clone().map(|kept| (id, kept)).into_iter().collect(),
            rows: vec![row],
            ..Changes::default()
        };
        let (swept, crossed) = (Vec::new(), Vec::new());
        cache.doubt(InDoubt { makes: at(5, 52), changes, swept, crossed });
        let step = cache.confirmed(Some(at(5, 52))).unwrap();
        cache.change(step.changes, step.makes);
        cache.learn_ends(&found(53, id, kept), NOW);
        assert_eq!(cache.rows.len(), 1);
    }
}
