//! Restoring a team after a loss, and opening it again.
use std::collections::BTreeSet;

use super::super::loss::writing;
use super::super::memory::Memory;
use super::super::own::{Claimed, Written};
use super::super::restored::wanted;
use super::super::scripted::{Scripted, knowing, replied};
use super::super::step::Found;
use super::super::step::Reply;
use super::*;
use crate::ledger::keeper::CellName;
use crate::ledger::machine::memory_records::{Ledger, NOW, SECOND, TTL, charged, team, user};
use crate::ledger::machine::{Ending, ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{Phase, ReservationId, Row, Scope, TopUpId};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision::new(epoch, number, 0)
}

/// A team whose changes after change 50 of epoch 5 were lost a second ago.
fn lost(closed: bool) -> Loss {
    Loss { closed, noticed_at: NOW - SECOND, kept: [(5, 50)].into(), ..Loss::default() }
}

/// A cache of these records, at change 52 of epoch 9.
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
    record.seal(&[(5, number)].into(), &[].into());
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

fn claimed(admitted: u64, record: &ReservationRecord) -> Claimed {
    let admitted = at(5, admitted);
    Claimed { admitted, seen: admitted, record: record.clone(), voids: Vec::new() }
}

fn restored(some: &Memory, cache: &TeamCache) -> Option<Changes> {
    let rules = Ledger::new().rules;
    let restored = some_restored(&team(), &mut some.clone(), cache, &rules, NOW).unwrap();
    restored.map(|(revision, changes)| {
        assert_eq!(revision, at(9, 52));
        changes
    })
}

#[test]
fn a_team_opens_with_what_is_judged() {
    let [whole, ana] = names();
    let mut forgotten = counted(40);
    forgotten.set_until(Some(3));
    let (id, record) = call();
    let scopes = vec![(ana.clone(), forgotten), (whole.clone(), counted(60))];
    let loss = lost(true);
    let found = || {
        let (scopes, calls) = (scopes.clone(), vec![(id, Some(record.clone()))]);
        Found { scopes, calls, ..Found::default() }
    };
    let cache = known(loss.clone(), found());
    let (revision, changes) = opened(&cache, (NOW, NOW + TTL)).unwrap();
    assert_eq!((revision, &changes.ended, changes.opened.len()), (at(9, 52), &vec![id], 0));
    assert_eq!(changes.ends, [(ana.clone(), Some(3))].into_iter().collect());
    let free = |record: &Option<ScopeRecord>| record.as_ref().map(ScopeRecord::unread);
    let freed: Vec<_> = changes.scopes.iter().map(|(name, is)| (&*name.level, free(is))).collect();
    assert_eq!(freed, [("team", Some(0)), ("user", Some(0))]);
    let open = Loss { closed: false, covered: [(5, 60)].into(), ..loss.clone() };
    assert_eq!(changes.team.and_then(|team| team.loss), Some(open));
    // The restored counts may lack what unclaimed calls hold.
    let cache = known(Loss { unjudged: true, ..loss.clone() }, found());
    let (_, changes) = opened(&cache, (NOW, NOW + TTL)).unwrap();
    let open = Loss { closed: false, ..loss.clone() };
    assert_eq!(changes.team.and_then(|team| team.loss), Some(open));
    // What the calls of an older copy stand for, they stand for.
    let before = Loss { unjudged: true, covered: [(3, 7)].into(), ..loss };
    let (_, changes) = opened(&known(before.clone(), found()), (NOW, NOW + TTL)).unwrap();
    let open = Loss { closed: false, unjudged: false, ..before };
    assert_eq!(changes.team.and_then(|team| team.loss), Some(open));
}

#[test]
fn an_open_team_is_judged_again_when_something_came_late() {
    let judged = |unjudged, scopes| {
        let cache = known(Loss { unjudged, ..lost(false) }, Found { scopes, ..Found::default() });
        opened(&cache, (NOW, NOW + TTL)).is_some()
    };
    assert!(!judged(false, vec![]) && judged(true, vec![]));
    let [whole, _] = names();
    assert!(judged(false, vec![(whole, counted(60))]));
}

#[test]
fn a_scope_restored_to_an_open_team_is_unjudged() {
    let [whole, _] = names();
    let some = memory(|some| some.scopes = [(whole.clone(), counted(60))].into());
    for (closed, unjudged) in [(true, false), (true, true), (false, false)] {
        let some = Memory { unjudged, ..some.clone() };
        let found =
            || Found { scopes: vec![(whole.clone(), ScopeRecord::default())], ..Found::default() };
        let changes = restored(&some, &known(lost(closed), found())).unwrap();
        assert_eq!(
            changes.scopes.get(&whole).and_then(Option::as_ref).map(ScopeRecord::unread),
            Some(1)
        );
        let is_unjudged = changes.team.and_then(|team| team.loss).map(|loss| loss.unjudged);
        assert_eq!(is_unjudged, (!closed || unjudged).then_some(true), "so it was before");
        let over = Loss { noticed_at: NOW - 86_400 * SECOND - 1, ..lost(closed) };
        assert!(restored(&some, &known(over, found())).is_none(), "its days are over");
    }
}

/// A call that has ended, or that another call stands for, is neither.
#[test]
fn a_lost_call_is_claimed_or_restored() {
    let (id, record) = call();
    let left = ReservationRecord { unread: true, ..record.clone() };
    let covers = Loss { covered: [(5, 60)].into(), ..lost(true) };
    let restores = |loss: &Loss,
                    (admitted, record): (u64, &ReservationRecord),
                    is_there: bool,
                    has_ended: bool| {
        let there = is_there.then(|| record.clone());
        let found = Found {
            scopes: vec![(names()[0].clone(), ScopeRecord::default())],
            calls: vec![(id, there)],
            restored: vec![(id, has_ended)],
            ..Found::default()
        };
        let some = memory(|some| some.calls = [(id, claimed(admitted, record))].into());
        let changes = restored(&some, &known(loss.clone(), found));
        changes.map(|changes| changes.opened.get(&id).cloned().unwrap())
            == Some(record.clone().claimed_in(9))
    };
    let lacks = lost(true);
    assert!(restores(&lacks, (50, &record), true, false), "it is there");
    assert!(!restores(&lacks, (50, &record), false, false), "it has ended in what is there");
    assert!(restores(&lacks, (51, &record), false, false));
    assert!(!restores(&lacks, (51, &record), false, true), "its end was restored");
    assert!(restores(&lacks, (51, &left), false, true), "its answer is being read all the same");
    assert!(!restores(&covers, (60, &record), false, false), "another stands for it");
    assert!(restores(&covers, (61, &record), false, false));
}

/// A call that only keeps its slots does not end with its row.
#[test]
fn a_lost_row_is_restored_once_and_ends_its_call() {
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
        let some =
            memory(|some| some.rows = [Written::bare(vec![at(5, number)], row.clone())].into());
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
    let (user, model) = (row.summary.user.clone(), row.summary.model.clone());
    CellName { day: row.day.clone(), user, model }
}

#[test]
fn what_is_restored_is_asked_for_by_name() {
    let ([whole, _], (id, record), row) = (names(), call(), row());
    let top_up = TopUpRecord { scope: whole.clone(), credits: 5 };
    let some = memory(|some| {
        some.scopes = [(whole.clone(), counted(60))].into();
        some.calls = [(id, claimed(51, &record))].into();
        some.rows = [Written::bare(vec![at(5, 51)], row.clone())].into();
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
fn a_step_expects_the_records_its_server_had() {
    let rules = Ledger::new().rules;
    let of = |replication_id| TeamRecord { replication_id, ..TeamRecord::default() };
    let expected = Expected::Revision(at(9, 52));
    for (team, replication_id) in [(None, 3), (Some(of(4)), 4)] {
        let changes = Changes { team, ended: vec![call().0], ..Changes::default() };
        let ended = changes.ended.clone();
        let step = writing((expected, &of(3)), at(9, 53), changes, (NOW, &rules));
        assert_eq!(
            (step.expected, step.makes, step.replication_id),
            (expected, at(9, 53), replication_id)
        );
        assert_eq!((step.from, step.until, step.deadline), (NOW, NOW + SECOND, NOW + TTL));
        assert_eq!(step.changes.ended, ended);
    }
}

/// A call that may have been swept holds what another call held.
#[test]
fn a_call_that_lost_its_place_is_believed_when_late() {
    let [whole, _] = names();
    let (id, record) = call();
    let record = ReservationRecord { scopes: vec![whole.clone()], ..record.claimed_in(9) };
    let covered = |ending| {
        let record = ReservationRecord { ending, ..record.clone() };
        let mut held = ScopeRecord::default();
        held.reserve(&record.windows, record.price);
        held.seal(&[(5, 60)].into(), &[].into());
        let scopes = vec![(whole.clone(), held)];
        let calls = vec![(id, Some(record))];
        let cache = known(lost(true), Found { scopes, calls, ..Found::default() });
        let (_, changes) = opened(&cache, (NOW, NOW + TTL)).unwrap();
        assert!(changes.opened.contains_key(&id), "it is open");
        changes.team.and_then(|team| team.loss).unwrap().covers(at(5, 55))
    };
    assert!(
        covered(None) && covered(Some(Ending::from(5, 61))) && !covered(Some(Ending::from(5, 52)))
    );
}

/// A keeper that has an empty scope of the team, and answers changes with this.
fn refusing(closed: bool, verdict: Verdict) -> Scripted {
    Scripted::with(empty_scope(closed), verdict)
}

fn empty_scope(closed: bool) -> Found {
    let [whole, _] = names();
    let team = TeamRecord { loss: Some(lost(closed)), ..TeamRecord::default() };
    let scopes = vec![(whole, ScopeRecord::default())];
    Found { revision: Some(at(9, 52)), team, scopes, ..Found::default() }
}

/// A team with known records that the keeper lacks.
fn to_restore() -> Arc<Team> {
    let [whole, _] = names();
    let team = knowing(Found {
        revision: Some(at(5, 60)),
        scopes: vec![(whole, counted(60))],
        ..Found::default()
    });
    team.cache().remember();
    team.cache().learn(empty_scope(true), 0, (NOW, NOW));
    team
}

#[test]
fn what_is_known_is_restored_once() {
    let (keeper, team) = (refusing(true, Verdict::Done), to_restore());
    keeper.run(restore(&keeper.context(), &team)).unwrap();
    let steps = keeper.steps();
    assert_eq!((steps.len(), steps[0].expected), (1, Expected::Revision(at(9, 52))));
    assert_eq!([steps[0].makes.epoch, steps[0].makes.number], [9, 53]);
    assert!(team.cache().memory.is_none());
    let [whole, _] = names();
    assert_eq!(team.cache().scope(&whole).map(ScopeRecord::unread), Some(1));
}

/// Readings do not count.
#[test]
fn a_restore_gives_up_after_many_refusals() {
    for verdict in [Verdict::NotWritten, Verdict::OtherTime, Verdict::OthersTurn] {
        let keeper = Scripted::new(move |step| {
            let is_reading = step.expected == Expected::Anything;
            let found = (is_reading || verdict == Verdict::NotWritten).then(|| empty_scope(true));
            Ok(Reply { found, ..replied(if is_reading { Verdict::NotWritten } else { verdict }) })
        });
        let team = to_restore();
        team.cache().forget_some(|| true);
        let outcome = keeper.run(restore(&keeper.context(), &team));
        assert!(matches!(outcome, Err(Outage::Lost)), "{verdict:?}");
        let wants: Vec<_> = keeper.writes().iter().map(|step| step.wants_turn).collect();
        let expected: Vec<_> = (0..ATTEMPTS).map(|refused| refused >= REFUSED_MAX).collect();
        assert_eq!(wants, expected, "{verdict:?}");
        assert!(team.cache().memory.is_some(), "it is yet to be restored");
    }
}

#[test]
fn a_restore_that_meets_another_server_takes_over_first() {
    let keeper = Scripted::new(|step| {
        let is_reading = step.expected == Expected::Anything;
        let found = is_reading.then(|| empty_scope(true));
        Ok(Reply {
            found,
            ..replied(if is_reading { Verdict::NotWritten } else { Verdict::OtherPrimary })
        })
    });
    let team = to_restore();
    assert!(keeper.run(restore(&keeper.context(), &team)).is_err());
    let steps = keeper.steps();
    let readings = steps.iter().filter(|step| step.expected == Expected::Anything).count();
    assert_eq!((steps.len() - readings, readings), (ATTEMPTS, ATTEMPTS), "one takeover each");
}

/// The team opens no earlier, by the keeper's time in the last answer.
#[test]
fn a_team_opens_when_others_had_their_time() {
    for (told_at, opens) in [(NOW - 2, false), (NOW - 1, false), (NOW, true), (NOW + 1, true)] {
        let keeper = Scripted::new(move |step| {
            let found = step.changes.is_nothing().then(|| empty_scope(true));
            let verdict = if found.is_some() { Verdict::NotWritten } else { Verdict::Done };
            Ok(Reply { at: told_at, found, ..replied(verdict) })
        });
        let team = knowing(empty_scope(true));
        let outcome = keeper.run(open(&keeper.context(), &team, NOW));
        assert_eq!((outcome.is_ok(), keeper.writes().len()), (opens, usize::from(opens)));
        assert_eq!(team.cache().team().is_closed(), !opens);
    }
}

#[test]
fn an_open_team_is_left_as_it_is() {
    let (keeper, team) = (refusing(false, Verdict::Done), knowing(empty_scope(false)));
    keeper.run(open(&keeper.context(), &team, NOW)).unwrap();
    let steps = keeper.steps();
    assert!(steps.len() == 1 && steps[0].wanted.all, "all of it was looked at");
    assert_eq!(team.cache().revision(), Some(at(9, 52)));
}

#[test]
fn opening_is_given_up_when_others_stay_first() {
    let (keeper, team) = (refusing(true, Verdict::NotWritten), knowing(empty_scope(true)));
    let outcome = keeper.run(open(&keeper.context(), &team, NOW));
    assert!(matches!(outcome, Err(Outage::Lost)));
    assert_eq!(keeper.steps().len(), 2 * ATTEMPTS);
    assert!(team.cache().team().is_closed());
}

/// Other processes noticed it, and have time to restore again.
#[test]
fn a_team_lost_again_is_not_opened() {
    let again = Found { revision: Some(at(11, 53)), ..empty_scope(true) };
    let (keeper, team) = (Scripted::with(again, Verdict::Done), knowing(empty_scope(true)));
    keeper.run(open(&keeper.context(), &team, NOW)).unwrap();
    assert_eq!(keeper.writes().len(), 0);
}

#[test]
fn opening_takes_over_from_another_server_first() {
    for (verdict, reads) in [(Verdict::OtherPrimary, 2), (Verdict::NotWritten, 1)] {
        let (keeper, team) = (refusing(true, verdict), knowing(empty_scope(true)));
        assert!(keeper.run(open(&keeper.context(), &team, NOW)).is_err());
        let readings = keeper.steps().iter().filter(|step| step.changes.is_nothing()).count();
        assert_eq!(readings, reads * ATTEMPTS, "{verdict:?}");
    }
}
