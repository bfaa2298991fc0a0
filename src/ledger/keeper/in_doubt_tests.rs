//! Steps without an answer, and what later readings show of them.

use super::*;
use crate::ledger::keeper::step::Found;
use crate::ledger::machine::memory_records::{Ledger, NOW, TTL, charged, team, user};
use crate::ledger::machine::{ReservationRecord, name_of_step};
use crate::ledger::{Outcome, Phase, ReservationId, Row, Scope};

/// A step of this process, and one of another.
const MINE: u64 = name_of_step(1, 7);
const OTHERS: u64 = name_of_step(2, 7);

const BEFORE: Revision = Revision::new(5, 50, 0);

fn team_name() -> ScopeName {
    ScopeName::from(&Scope::Team)
}

/// A process that has read its call at revision 50 of epoch 5.
fn own_call() -> (TeamCache, ReservationId) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let found = Found {
        revision: Some(BEFORE),
        calls: vec![(id, ledger.kept.calls.remove(&id))],
        scopes: ledger.kept.scopes.into_iter().collect(),
        ..Found::default()
    };
    let mut cache = TeamCache::default();
    cache.learn(found, 7, (NOW, NOW + TTL));
    cache.owns_admitted(id);
    (cache, id)
}

/// The row of a call's end.
fn row(id: ReservationId) -> Row {
    let mut ledger = Ledger::new();
    let ended = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(ended, 7)).unwrap();
    Row { id, ..ledger.kept.rows.pop().unwrap() }
}

/// The answer to a step that ends the call, and makes this revision, is lost.
fn doubts(cache: &mut TeamCache, id: ReservationId, makes: Revision) {
    let (changes, swept) =
        (Changes { ended: vec![id], ..Changes::default() }, vec![Ended::of(&team())]);
    cache.doubt(InDoubt { makes, changes, added: Vec::new(), swept, crossed: Vec::new() });
}

#[test]
fn a_step_was_written_if_records_include_it() {
    let is = BEFORE.next(MINE);
    for (found, is_written, is_left) in [
        (is, true, false),
        (is.next(OTHERS), true, false),
        (Revision::begin(9, 5, Some(is), OTHERS), true, false),
        (BEFORE, false, true),
        (BEFORE.next(OTHERS), false, false),
        (BEFORE.next(name_of_step(1, 8)), false, false),
        (Revision::begin(9, 5, Some(BEFORE), OTHERS), false, true),
        (Revision::begin(9, 5, None, OTHERS), false, true),
    ] {
        let (mut cache, id) = own_call();
        doubts(&mut cache, id, is);
        let swept = cache.confirm(found).map(|(swept, _)| swept.len());
        assert_eq!(swept, is_written.then_some(1), "{found}");
        assert_eq!(cache.own.contains_key(&id), !is_written, "{found}");
        assert_eq!(cache.in_doubt.len(), usize::from(is_left), "{found}");
    }
}

/// Of several attempts one at most was written.
#[test]
fn the_attempt_that_was_written_is_told_from_the_others() {
    let (mut cache, id) = own_call();
    let attempts = [7, 8, 9].map(|number| BEFORE.next(name_of_step(1, number)));
    attempts.into_iter().for_each(|makes| doubts(&mut cache, id, makes));
    assert!(cache.confirm(attempts[1].next(OTHERS)).is_some());
    assert_eq!((cache.revision, cache.in_doubt.len()), (attempts[1], 0));
}

/// Later ones most likely did not reach the store.
#[test]
fn of_many_attempts_the_first_are_remembered() {
    let (mut cache, id) = own_call();
    let attempt = |number| BEFORE.next(name_of_step(1, number));
    (0..30).for_each(|number| doubts(&mut cache, id, attempt(number)));
    let noted: Vec<_> = cache.in_doubt.iter().map(|step| step.makes).collect();
    assert_eq!(noted, (0..16).map(attempt).collect::<Vec<_>>());
}

/// The store was emptied, and then replaced by a copy from before that.
#[test]
fn a_copy_may_show_that_a_lost_step_was_written() {
    for (outcome, scopes) in [(Outcome::Charged, 0), (Outcome::Released, 2)] {
        let (mut cache, id) = own_call();
        let is = BEFORE.next(MINE);
        let (_, other) = own_call();
        let read = cache.last_known(id).cloned().unwrap();
        let left = ReservationRecord { unread: true, ..read.clone() };
        cache.calls.put(other, Some(read), BEFORE);
        cache.owns_admitted(other);
        let changes = Changes {
            ended: vec![id],
            opened: [(other, left)].into_iter().collect(),
            rows: vec![Row { outcome, ..row(id) }],
            ..Changes::default()
        };
        let (swept, crossed) = (vec![Ended::of(&team())], Vec::new());
        cache.doubt(InDoubt { makes: is, changes, added: Vec::new(), swept, crossed });
        cache.remember();
        assert!(cache.confirm(Revision::begin(9, 5, None, OTHERS)).is_none());
        let copy = Revision::begin(9, 5, Some(is), OTHERS);
        assert_eq!(cache.confirm(copy).map(|(swept, _)| swept.len()), Some(1));
        let memory = cache.memory.as_deref().unwrap();
        assert!(memory.in_doubt.is_empty() && !memory.calls.contains_key(&id));
        assert!(memory.calls[&other].record.unread, "its answer is being read");
        let written = memory.rows.back().unwrap();
        assert_eq!((&*written.at, written.scopes.len()), (&[is][..], scopes));
    }
}

#[test]
fn a_step_adds_the_difference_to_its_scopes() {
    let (cache, _) = own_call();
    let mut after = cache.scope(&team_name()).cloned().unwrap();
    after.set_topped_up(3);
    let scopes = [(team_name(), Some(after)), (ScopeName::from(&user("ana")), None)];
    let changes = Changes { scopes: scopes.into_iter().collect(), ..Changes::default() };
    let added = cache.added_by(&changes);
    let [(name, added)] = added.as_slice() else { panic!("one scope was changed") };
    assert_eq!((name, added.topped_up()), (&team_name(), 3));
}

/// Others may end them, and then both must count.
#[test]
fn calls_that_a_step_opens_are_not_what_it_adds() {
    let (cache, known) = own_call();
    let record = cache.last_known(known).cloned().unwrap();
    let added = |id: ReservationId| {
        let mut after = cache.scope(&team_name()).cloned().unwrap();
        after.reserve(&record.windows, record.price);
        let changes = Changes {
            opened: [(id, record.clone())].into_iter().collect(),
            scopes: [(team_name(), Some(after))].into_iter().collect(),
            ..Changes::default()
        };
        cache.added_by(&changes)[0].1.open()
    };
    assert_eq!((added(ReservationId::new()), added(known)), (0, 1));
}

#[test]
fn a_step_that_was_lost_is_void() {
    let (mut cache, id) = own_call();
    let mut after = cache.scope(&team_name()).cloned().unwrap();
    after.set_topped_up(3);
    let changes = Changes {
        ended: vec![id],
        scopes: [(team_name(), Some(after.clone()))].into_iter().collect(),
        ..Changes::default()
    };
    let (makes, added) = (BEFORE.next(MINE), cache.added_by(&changes));
    cache.doubt(InDoubt { makes, changes, added, swept: Vec::new(), crossed: Vec::new() });
    cache.remember();
    assert!(cache.left_to_restore().is_some());
    assert_eq!(cache.memory.as_ref().unwrap().in_doubt.len(), 1, "nothing was read since");
    let begun = Revision::begin(9, 5, None, OTHERS);
    cache.learn(Found { revision: Some(begun), ..Found::default() }, 7, (NOW, NOW + TTL));
    let memory = cache.left_to_restore().unwrap();
    after.seal_at(makes.next(OTHERS));
    assert_eq!(memory.scopes[&team_name()].voids_in(&after), [MINE].into());
    assert_eq!(memory.calls[&id].voids, [makes]);
    assert!(cache.memory.unwrap().in_doubt.is_empty());
}
