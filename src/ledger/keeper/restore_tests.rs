//! What restores a team of which something was lost, and what opens it again.
use std::collections::BTreeSet;

use super::super::cache::Written;
use super::super::memory::Memory;
use super::super::restored::wanted;
use super::*;
use crate::ledger::keeper::CellName;
use crate::ledger::machine::kept::{Ledger, NOW, SECOND, TTL, charged, team, user};
use crate::ledger::machine::{ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{Phase, ReservationId, Row, Scope, TopUpId};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision { epoch, number, name: 0 }
}

/// A team of which the keeper lost all that came after change 50 of epoch 5, a second ago.
fn lost(closed: bool) -> Loss {
    Loss { closed, noticed_at: NOW - SECOND, kept: [(5, 50)].into(), ..Loss::default() }
}

/// What is known of it: this, at change 52 of epoch 9.
fn known(loss: Loss, found: Found) -> TeamCache {
    let team = TeamRecord { loss: Some(loss), ..TeamRecord::default() };
    let mut cache = TeamCache::default();
    cache.learn(Found { revision: Some(at(9, 52)), team, ..found }, 0, (NOW, NOW + TTL));
    cache
}

fn call() -> (ReservationId, ReservationRecord) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    (id, ledger.kept.calls.remove(&id).unwrap())
}

fn names() -> [ScopeName; 2] {
    [Scope::Team, user("ana")].each_ref().map(ScopeName::from)
}

/// A scope as it was counted up to a change of epoch 5, with a slot that an answer keeps.
fn counted(number: u64) -> ScopeRecord {
    let slot = r#"{"total":[0,0,0,0],"days":{},"months":{},"unread":1}"#;
    let mut record: ScopeRecord = serde_json::from_str(slot).unwrap();
    record.seal(&[(5, number)].into());
    record
}

fn row() -> Row {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    ledger.kept.rows.pop().unwrap()
}

fn memory(of: impl FnOnce(&mut Memory)) -> Memory {
    let mut memory = Memory::default();
    of(&mut memory);
    memory
}

fn restored(some: &Memory, cache: &TeamCache) -> Option<Changes> {
    let rules = Ledger::new().rules;
    let restored = some_restored(&team(), some, cache, &rules, NOW).unwrap();
    restored.map(|(revision, changes)| {
        assert_eq!(revision, at(9, 52));
        changes
    })
}

#[test]
fn a_team_opens_with_what_is_judged_and_says_how_far_its_own_scope_was_restored() {
    let [whole, ana] = names();
    let mut forgotten = counted(40);
    forgotten.set_until(Some(3));
    let (id, record) = call();
    let scopes = vec![(ana.clone(), forgotten), (whole.clone(), counted(60))];
    let loss = Loss { unjudged: true, ..lost(true) };
    let cache = known(loss.clone(), Found { scopes, calls: vec![(id, Some(record))], ..Found::default() });
    let (revision, changes) = opened(&cache, (NOW, NOW + TTL)).unwrap();
    assert_eq!((revision, &changes.ended, changes.opened.len()), (at(9, 52), &vec![id], 0));
    assert_eq!(changes.ends, [(ana.clone(), Some(3))].into());
    let free = |record: &Option<ScopeRecord>| record.as_ref().map(ScopeRecord::unread);
    let scopes: Vec<_> = changes.scopes.iter().map(|(name, is)| (&*name.level, free(is))).collect();
    assert_eq!(scopes, [("team", Some(0)), ("user", Some(0))]);
    let open = Loss { closed: false, unjudged: false, covered: [(5, 60)].into(), ..loss };
    assert_eq!(changes.team.and_then(|team| team.loss), Some(open));
}

#[test]
fn an_open_team_is_judged_where_something_came_late_or_is_held_for_nobody() {
    let judged = |unjudged, scopes| {
        let cache = known(Loss { unjudged, ..lost(false) }, Found { scopes, ..Found::default() });
        opened(&cache, (NOW, NOW + TTL)).is_some()
    };
    assert!(!judged(false, vec![]) && judged(true, vec![]));
    let [whole, _] = names();
    assert!(judged(false, vec![(whole, counted(60))]));
}

#[test]
fn a_scope_that_comes_when_the_team_is_open_is_yet_to_be_judged() {
    let [whole, _] = names();
    let some = memory(|some| some.scopes = [(whole.clone(), counted(60))].into());
    for closed in [true, false] {
        let found = || Found { scopes: vec![(whole.clone(), ScopeRecord::default())], ..Found::default() };
        let changes = restored(&some, &known(lost(closed), found())).unwrap();
        assert_eq!(changes.scopes.get(&whole).and_then(Option::as_ref).map(ScopeRecord::unread), Some(1));
        assert_eq!(changes.team.and_then(|team| team.loss).map(|loss| loss.unjudged), Some(!closed));
        let over = Loss { noticed_at: NOW - 86_400 * SECOND - 1, ..lost(closed) };
        assert!(restored(&some, &known(over, found())).is_none(), "its days are over");
    }
}

#[test]
fn a_call_is_claimed_where_it_is_there_and_comes_back_where_it_is_lacking_and_has_neither_ended_nor_been_replaced() {
    let (id, record) = call();
    let left = ReservationRecord { unread: true, ..record.clone() };
    let covers = Loss { covered: [(5, 60)].into(), ..lost(true) };
    let claimed = |loss: &Loss, (admitted, record): (u64, &ReservationRecord), is_there: bool, has_ended: bool| {
        let there = is_there.then(|| record.clone());
        let found = Found { calls: vec![(id, there)], restored: vec![(id, has_ended)], ..Found::default() };
        let some = memory(|some| some.calls = [(id, (at(5, admitted), record.clone()))].into());
        let changes = restored(&some, &known(loss.clone(), found));
        changes.map(|changes| changes.opened.get(&id).cloned().unwrap())
            == Some(ReservationRecord { claimed: 9, marks: record.marks + 1, ..record.clone() })
    };
    let lacks = lost(true);
    assert!(claimed(&lacks, (50, &record), true, false), "it is there");
    assert!(!claimed(&lacks, (50, &record), false, false), "it has ended in what is there");
    assert!(claimed(&lacks, (51, &record), false, false));
    assert!(!claimed(&lacks, (51, &record), false, true), "its end was restored");
    assert!(claimed(&lacks, (51, &left), false, true), "its answer is being read all the same");
    assert!(!claimed(&covers, (60, &record), false, false), "another stands for it");
    assert!(claimed(&covers, (61, &record), false, false));
}

#[test]
fn a_row_that_is_lacking_is_restored_once_and_ends_its_call_unless_that_only_keeps_its_slots() {
    let row = row();
    let restored = |unread: Option<bool>, was_restored, number| {
        let record = unread.map(|unread| ReservationRecord { unread, ..call().1 });
        let found = Found {
            calls: vec![(row.id, record)],
            restored: vec![(row.id, was_restored)],
            cells: vec![(wanted_cell(&row), None)],
            days: vec![(row.day.clone(), 0)],
            oldest: Some([vec![], vec![]]),
            ..Found::default()
        };
        let some = memory(|some| some.rows = [Written { at: vec![at(5, number)], row: row.clone() }].into());
        restored(&some, &known(lost(true), found)).map(|changes| {
            assert_eq!((&changes.rows, &changes.restored), (&vec![row.clone()], &vec![row.id]));
            changes.ended
        })
    };
    assert_eq!(restored(None, false, 51), Some(vec![]));
    assert_eq!(restored(Some(false), false, 51), Some(vec![row.id]));
    assert_eq!(restored(Some(true), false, 51), Some(vec![]));
    assert_eq!((restored(None, true, 51), restored(None, false, 50)), (None, None), "it is there");
}

fn wanted_cell(row: &Row) -> CellName {
    let (user, model) = (row.asked.user.clone(), row.asked.model.clone());
    CellName { day: row.day.clone(), user, model }
}

#[test]
fn what_is_restored_is_asked_for_by_name() {
    let ([whole, _], (id, record), row) = (names(), call(), row());
    let top_up = TopUpRecord { scope: whole.clone(), credits: 5 };
    let some = memory(|some| {
        some.scopes = [(whole.clone(), counted(60))].into();
        some.calls = [(id, (at(5, 51), record))].into();
        some.rows = [Written { at: vec![at(5, 51)], row: row.clone() }].into();
        some.top_ups = [(TopUpId::new(), (at(5, 51), top_up))].into();
    });
    let both = BTreeSet::from([id, row.id]);
    let is = Wanted {
        scopes: [whole].into(),
        calls: both.clone(),
        restored: both,
        cells: [wanted_cell(&row)].into(),
        days: [row.day].into(),
        oldest: true,
        ..Wanted::default()
    };
    assert_eq!(wanted(&some), is);
}

#[test]
fn what_is_written_expects_the_records_at_the_server_that_has_them_and_is_soon_over() {
    let rules = Ledger::new().rules;
    let of = |reign| TeamRecord { reign, ..TeamRecord::default() };
    let expected = Expected::Revision(at(9, 52));
    for (team, reign) in [(None, 3), (Some(of(4)), 4)] {
        let changes = Changes { team, ended: vec![call().0], ..Changes::default() };
        let ended = changes.ended.clone();
        let step = writing((expected, &of(3)), at(9, 53), changes, (NOW, &rules));
        assert_eq!((step.expected, step.makes, step.reign), (expected, at(9, 53), reign));
        assert_eq!((step.from, step.until, step.deadline), (NOW, NOW + SECOND, NOW + TTL));
        assert_eq!(step.changes.ended, ended);
    }
}
