//! Which records a batch asks for before it is worked out.
use tokio::sync::oneshot;

use super::*;
use crate::ledger::Phase;
use crate::ledger::keeper::step::Found;
use crate::ledger::machine::Revision;
use crate::ledger::machine::kept::{Ledger, NOW, call, charged, of as level, team, user};

fn seen(calls: Vec<(ReservationId, Option<ReservationRecord>)>) -> TeamCache {
    let mut cache = TeamCache::default();
    let revision = Some(Revision { epoch: 5, number: 50, name: 0 });
    cache.learn(Found { revision, calls, ..Found::default() }, 0, (NOW, NOW));
    cache
}

fn both() -> BTreeSet<ScopeName> {
    [Scope::Team, user("ana")].iter().map(ScopeName::from).collect()
}

fn cell() -> CellName {
    CellName { day: "2027-01-15".to_owned(), user: "ana".to_owned(), model: "m".to_owned() }
}

#[test]
fn what_is_wanted_twice_is_wanted_once_and_what_is_wanted_by_one_is_wanted() {
    let all = Wanted { due: true, past: true, oldest: true, all: true, scopes: both(), ..Wanted::default() };
    for (one, other) in [(all.clone(), all.clone()), (all.clone(), Wanted::default()), (Wanted::default(), all.clone())]
    {
        let mut wanted = one;
        wanted.add(other);
        assert_eq!(wanted, all);
    }
    let mut nothing = Wanted::default();
    nothing.add(Wanted::default());
    assert_eq!(nothing, Wanted::default());
}

#[test]
fn who_sees_a_team_for_the_first_time_looks_for_what_was_left_behind() {
    assert_eq!([of(&[], &TeamCache::default()).due, of(&[], &seen(vec![])).due], [true, false]);
}

#[test]
fn a_call_asks_for_its_scopes_and_its_end_for_those_and_for_its_place_in_the_usage() {
    let asked = call([level(Scope::Team, []), level(user("ana"), [])], 7);
    let id = asked.id;
    let record = {
        let mut ledger = Ledger::new();
        ledger.admit(&asked);
        ledger.kept.calls.remove(&id)
    };
    let begins = [Operation::Admit { admission: Box::new(asked), response: oneshot::channel().0 }];
    let calls = BTreeSet::from([id]);
    let wanted = Wanted { calls, scopes: both(), ..Wanted::default() };
    assert_eq!(of(&begins, &seen(vec![])), wanted);
    let ends = [Operation::Settle { settlement: Box::new(charged(id, 7)), response: oneshot::channel().0 }];
    let (cells, days) = ([cell()].into(), [cell().day].into());
    assert_eq!(of(&ends, &seen(vec![(id, record)])), Wanted { cells, days, ..wanted });
}

#[test]
fn a_row_asks_for_its_place_in_the_usage_and_for_the_oldest() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    let mut wanted = Wanted::default();
    wanted.cells_of(ledger.kept.rows.iter());
    let (cells, days) = ([cell()].into(), [cell().day].into());
    assert_eq!(wanted, Wanted { cells, days, oldest: true, ..Wanted::default() });
}
