//! The cached records of a team, and how long they are valid.

use super::*;
use crate::ledger::keeper::step::Due;
use crate::ledger::machine::bucket::Bucket;
use crate::ledger::machine::memory_records::{Ledger, NOW, TTL, charged, team, user};
use crate::ledger::machine::{Loss, judgement};
use crate::ledger::{Phase, Row};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision::new(epoch, number, 0)
}

/// The cache after a read of these records at revision 50 of epoch 5.
fn known(found: Found) -> TeamCache {
    let mut cache = TeamCache::default();
    cache.learn(Found { revision: Some(at(5, 50)), ..found }, 7, (NOW, NOW + TTL));
    cache
}

fn call() -> (ReservationId, ReservationRecord) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    (id, ledger.kept.calls.remove(&id).unwrap())
}

#[test]
fn a_process_is_alone_after_four_steps_in_a_row() {
    let mut cache = known(Found::default());
    for number in 51..55 {
        assert!(!cache.is_alone());
        cache.change(Changes::default(), at(5, number));
    }
    assert!(cache.is_alone());
    cache.is_not_alone();
    assert!(!cache.is_alone());
}

/// Closed too while an operator must accept the loss, and while the team's record says so.
#[test]
fn a_team_is_closed_while_a_loss_is_being_repaired() {
    let closed = Loss { closed: true, ..Loss::default() };
    assert!(!known(Found::default()).is_closed());
    assert!(TeamCache { is_held: true, ..known(Found::default()) }.is_closed());
    assert!(TeamCache { memory: Some(Box::default()), ..known(Found::default()) }.is_closed());
    assert!(
        known(Found {
            team: TeamRecord { loss: Some(closed), ..TeamRecord::default() },
            ..Found::default()
        })
        .is_closed()
    );
}

#[test]
fn it_is_known_how_often_calls_had_been_marked() {
    let mut cache = known(Found::default());
    assert_eq!(cache.marks, 7);
    cache.note_marks(9);
    assert_eq!(cache.marks, 9);
}

#[test]
fn the_overdue_calls_are_known_until_more_may_be_due() {
    let of = |overdue: usize, next| {
        let overdue = (0..overdue).map(|_| (ReservationId::new(), NOW + 5)).collect();
        known(Found { due: Some(Due { overdue, next, is_lost: false }), ..Found::default() })
    };
    let cache = of(0, Some(NOW + 10));
    assert_eq!((cache.overdue(NOW + 9), cache.overdue(NOW + 10)), (Some(vec![]), None));
    assert_eq!(
        (of(0, None).overdue(NOW + TTL - 1), of(0, None).overdue(NOW + TTL)),
        (Some(vec![]), None)
    );
    // The list is full, so there may be more.
    assert_eq!((of(127, None).overdue(NOW), of(128, None).overdue(NOW)), (Some(vec![]), None));
    assert_eq!(of(127, None).overdue(NOW + 5).map(|overdue| overdue.len()), Some(127));
    let mut cache = of(2, None);
    let [(ended, _), other] = cache.overdue(NOW + 5).unwrap()[..] else {
        panic!("two are overdue")
    };
    cache.change(Changes { ended: vec![ended], ..Changes::default() }, at(5, 51));
    assert_eq!(cache.overdue(NOW + 5), Some(vec![other]));
}

#[test]
fn knowledge_of_an_earlier_epoch_is_dropped_in_the_next() {
    let ana = ScopeName::from(&user("ana"));
    let mut cache =
        known(Found { scopes: vec![(ana.clone(), ScopeRecord::default())], ..Found::default() });
    cache.change(Changes::default(), at(5, 51));
    assert!(cache.scope(&ana).is_some());
    cache.change(Changes::default(), at(9, 52));
    assert!(cache.scope(&ana).is_none());
}

#[test]
fn a_process_knows_when_its_open_calls_were_admitted() {
    let ([(open, record), (new, other)], ended) = ([(); 2].map(|()| call()), ReservationId::new());
    let mut cache = known(Found {
        calls: vec![(open, Some(record.clone())), (ended, None)],
        ..Found::default()
    });
    [open, ended].iter().for_each(|id| cache.owns_admitted(*id));
    let opens = Changes { opened: [(new, other)].into_iter().collect(), ..Changes::default() };
    cache.owns(&opens, at(5, 51));
    let own =
        |cache: &TeamCache| [open, new, ended].map(|id| cache.own.get(&id).map(|own| own.admitted));
    assert_eq!(own(&cache), [Some(at(5, 50)), Some(at(5, 51)), None]);
    let sent = record.marked(Phase::Dispatched);
    cache.mark(open, sent.clone(), true);
    assert_eq!((cache.last_known(open), cache.last_known(ended)), (Some(&sent), None));
    cache.mark(open, sent, false);
    assert_eq!((cache.last_known(open), own(&cache)), (None, [None, Some(at(5, 51)), None]));
}

#[test]
fn rows_are_remembered_for_ten_minutes_and_a_bounded_number() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    let row = ledger.kept.rows.pop().unwrap();
    let mut cache = TeamCache::default();
    let mut settled = |micros| {
        let row = Row { settled_at: judgement::at(NOW + micros), ..row.clone() };
        cache.remember_row(Written::bare(Vec::new(), row));
        cache.rows.len()
    };
    assert_eq!([settled(0), settled(ROWS_FOR), settled(ROWS_FOR + 1)], [1, 2, 2]);
    assert_eq!((3..=ROWS_MAX + 1).map(|_| settled(ROWS_FOR + 1)).last(), Some(ROWS_MAX));
}

#[test]
fn of_scopes_beyond_a_bound_the_teams_own_stays() {
    let kept = |users: usize| {
        let of =
            |number: usize| ScopeName { level: "user".into(), whose: number.to_string().into() };
        let names = (0..users).map(of).chain([ScopeName::from(&Scope::Team)]);
        let cache = known(Found {
            scopes: names.map(|name| (name, ScopeRecord::default())).collect(),
            ..Found::default()
        });
        assert!(cache.scope(&ScopeName::from(&Scope::Team)).is_some());
        cache.scopes.0.len()
    };
    assert_eq!([kept(KEPT_MAX), kept(KEPT_MAX + 1)], [KEPT_MAX + 1, 1]);
}

#[test]
fn of_calls_beyond_a_bound_those_that_are_open_stay() {
    let kept = |ended: usize| {
        let (open, record) = call();
        let mut calls: Vec<_> = (0..ended).map(|_| (ReservationId::new(), None)).collect();
        calls.push((open, Some(record)));
        let cache = known(Found { calls, ..Found::default() });
        assert!(cache.last_known(open).is_some());
        cache.calls.0.len()
    };
    assert_eq!([kept(KEPT_MAX - 1), kept(KEPT_MAX), kept(KEPT_MAX + 1)], [KEPT_MAX, 1, 1]);
}

#[test]
fn a_call_keeps_the_last_deadline_it_was_given() {
    let (id, record) = call();
    let (other, unknown) = (call().0, ReservationId::new());
    let found =
        || Found { calls: vec![(id, Some(record.clone())), (other, None)], ..Found::default() };
    let mut cache = known(found());
    let deadline = |cache: &TeamCache| cache.last_known(id).map(|record| record.deadline);
    cache.put_off(&[id, other, unknown], (NOW + TTL + 9, NOW));
    assert_eq!(deadline(&cache), Some(NOW + TTL + 9));
    // The keeper's clock was set back.
    cache.put_off(&[id], (NOW + TTL + 8, NOW));
    assert_eq!(deadline(&cache), Some(NOW + TTL + 8));
    // The call is listed again, with the deadline with which it was opened.
    cache.learn(Found { revision: Some(at(5, 51)), ..found() }, 7, (NOW, NOW + TTL));
    assert_eq!(deadline(&cache), Some(NOW + TTL + 8));
    assert_eq!((cache.last_known(other), cache.last_known(unknown)), (None, None));
}

/// What this process writes shows it open; what others write may have ended it.
#[test]
fn a_call_was_seen_open_until_others_wrote() {
    let (id, record) = call();
    let mut cache = known(Found { calls: vec![(id, Some(record))], ..Found::default() });
    assert_eq!(cache.seen_open(id), Some(at(5, 50)));
    cache.change(Changes::default(), at(5, 51));
    assert_eq!(cache.seen_open(id), Some(at(5, 51)));
    cache.learn(Found { revision: Some(at(5, 53)), ..Found::default() }, 7, (NOW, NOW + TTL));
    assert_eq!(cache.seen_open(id), Some(at(5, 50)));
    assert_eq!(cache.seen_open(ReservationId::new()), None);
}

/// Others may have swept it: the process was paused, or the keeper's clock was set forward.
#[test]
fn a_call_renewed_after_its_deadline_may_have_ended() {
    let (id, record) = call();
    for (late, ending) in [(-1, None), (0, Some(at(5, 51).epoch))] {
        let is = Found { calls: vec![(id, Some(record.clone()))], ..Found::default() };
        let mut cache = known(is);
        cache.owns_admitted(id);
        cache.put_off(&[id], (NOW + 2 * TTL, record.deadline + late));
        let own = cache.own.get(&id).unwrap();
        assert_eq!(own.ending.map(|ending| ending.epoch), ending);
        assert!(own.ending.is_none_or(|ending| ending.number == own.admitted.number + 1));
    }
}

#[test]
fn a_row_says_when_its_call_may_have_ended_before() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.get(&id).cloned().unwrap();
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    let row = ledger.kept.rows.pop().unwrap();
    for ending in [None, Some(Ending::from(4, 9))] {
        let record = ReservationRecord { ending, ..record.clone() };
        let mut cache = known(Found { calls: vec![(id, Some(record))], ..Found::default() });
        let ends = Changes { ended: vec![id], rows: vec![row.clone()], ..Changes::default() };
        cache.change(ends, at(5, 51));
        assert_eq!(cache.rows.back().map(|written| written.ending), Some(ending));
    }
}

#[test]
fn a_row_names_steps_that_do_not_count() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.get(&id).cloned().unwrap();
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    let mut cache = known(Found { calls: vec![(id, Some(record))], ..Found::default() });
    cache.own.insert(id, Own { voids: vec![at(4, 9)], ..Own::since(at(4, 7)) });
    let rows = ledger.kept.rows;
    cache.change(Changes { ended: vec![id], rows, ..Changes::default() }, at(5, 51));
    assert_eq!(cache.rows.back().map(|written| written.voids.clone()), Some(vec![at(4, 9)]));
}

#[test]
fn a_bucket_with_an_earlier_time_is_turned_back() {
    let name = ScopeName::from(&Scope::Team);
    let full_since = |at| {
        let mut record = ScopeRecord::default();
        record.set_bucket(9, Bucket::default().drained(1, at).with_one_taken(9));
        record
    };
    let cache = known(Found { scopes: vec![(name.clone(), full_since(NOW))], ..Found::default() });
    let turns_back = |record| {
        let scopes = [(name.clone(), record)].into_iter().collect();
        cache.turns_back(&Changes { scopes, ..Changes::default() })
    };
    assert!(turns_back(Some(full_since(NOW - 1))) && !turns_back(Some(full_since(NOW))));
    assert!(!turns_back(Some(ScopeRecord::default())) && !turns_back(None));
}
