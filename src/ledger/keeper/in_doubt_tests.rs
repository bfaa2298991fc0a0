//! Steps without an answer, and what later readings show of them.

use super::*;
use crate::ledger::keeper::step::Found;
use crate::ledger::machine::memory_records::{Ledger, NOW, TTL, user};
use crate::ledger::machine::name_of_step;
use crate::ledger::machine::windows::Windows;
use crate::ledger::{Phase, Scope};
use crate::team::limit::Period;

/// A step of this process, and one of another.
const MINE: u64 = name_of_step(1, 7);
const OTHERS: u64 = name_of_step(2, 7);

const BEFORE: Revision = Revision::new(5, 50, 0);

fn today() -> Windows {
    Windows::of_day("2026-11-29".to_owned())
}

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

/// The answer to a step that ends the call, and makes this revision, is lost.
fn doubts(cache: &mut TeamCache, id: ReservationId, makes: Revision) {
    let changes = Changes { ended: vec![id], ..Changes::default() };
    cache.doubt(InDoubt {
        makes,
        changes,
        added: Vec::new(),
        swept: Vec::new(),
        crossed: Vec::new(),
    });
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
        let written = cache.confirmed(found);
        assert_eq!(written.map(|step| step.makes), is_written.then_some(is), "{found}");
        assert_eq!(cache.in_doubt.len(), usize::from(is_left), "{found}");
    }
}

/// Of several attempts one at most was written.
#[test]
fn the_attempt_that_was_written_is_told_from_the_others() {
    let (mut cache, id) = own_call();
    let attempts = [7, 8, 9].map(|number| BEFORE.next(name_of_step(1, number)));
    attempts.into_iter().for_each(|makes| doubts(&mut cache, id, makes));
    assert_eq!(cache.may_end(id).collect::<Vec<_>>(), attempts);
    assert_eq!(cache.may_end(ReservationId::new()).count(), 0);
    let written = cache.confirmed(attempts[1].next(OTHERS));
    assert_eq!((written.map(|step| step.makes), cache.in_doubt.len()), (Some(attempts[1]), 0));
}

#[test]
fn a_step_adds_the_difference_to_its_scopes() {
    let (cache, _) = own_call();
    let mut after = cache.scope(&team_name()).cloned().unwrap();
    after.reserve(&today(), 3);
    let scopes = [(team_name(), Some(after)), (ScopeName::from(&user("ana")), None)];
    let changes = Changes { scopes: scopes.into_iter().collect(), ..Changes::default() };
    let added = cache.added_by(&changes);
    let [(name, added)] = added.as_slice() else { panic!("one scope was changed") };
    let counts = <[u64; 4]>::from(added.counts(Period::Total, &today()));
    assert_eq!((name, counts), (&team_name(), [0, 1, 0, 3]));
}

#[test]
fn a_loss_takes_a_step_in_doubt_for_unwritten() {
    let (mut cache, id) = own_call();
    let mut after = cache.scope(&team_name()).cloned().unwrap();
    after.reserve(&today(), 3);
    let changes = Changes {
        ended: vec![id],
        scopes: [(team_name(), Some(after.clone()))].into_iter().collect(),
        ..Changes::default()
    };
    let (makes, added) = (BEFORE.next(MINE), cache.added_by(&changes));
    cache.doubt(InDoubt { makes, changes, added, swept: Vec::new(), crossed: Vec::new() });
    cache.remember();
    let memory = cache.memory.as_deref().unwrap();
    after.seal_at(makes.next(OTHERS));
    assert_eq!(memory.scopes[&team_name()].voids_in(&after), [MINE].into());
    assert_eq!(memory.calls[&id].voids, [makes]);
    assert!(cache.in_doubt.is_empty());
}
