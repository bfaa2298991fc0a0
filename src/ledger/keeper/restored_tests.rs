//! Tests which records are restored, and which are not.
#![allow(clippy::unwrap_used)]
use std::time::Duration;

use super::super::CellName;
use super::super::step::{Found, TeamRecord};
use super::*;
use crate::credits::Credits;
use crate::ledger::machine::windows::{End, Windows};
use crate::ledger::machine::{EndedBy, Loss, ScopeName, ScopeRecord, name_of_step};
use crate::ledger::{
    CallResult, CallSummary, OnUnknown, Outcome, ReservationId, Retention, Row, Scope,
};
use crate::team::limit::Period;

/// The epoch that was lost, and the one that began then.
const BEFORE: u64 = 5;
const EPOCH: u64 = 9;
const NOW: i64 = 1_796_040_000_000_000;

fn rules() -> Rules {
    let (reservation_ttl, retention) = (Duration::from_secs(30), Retention::default());
    Rules { reservation_ttl, retention, on_unknown: OnUnknown::Charge }
}

fn team() -> TeamId {
    TeamId::parse("design").unwrap()
}

fn windows() -> Windows {
    Windows { day: "2026-11-30".to_owned(), month: "2026-11".to_owned() }
}

/// A call that was claimed in the epoch that began after the loss, and has been sent.
fn sent() -> ReservationRecord {
    ReservationRecord {
        dispatched: true,
        turned_back: false,
        unread: false,
        marks: 1,
        claimed: EPOCH,
        sent_in: 0,
        ending: None,
        price: 4,
        windows: windows(),
        admitted_at: NOW - 9,
        deadline: NOW + 9,
        scopes: vec![ScopeName::from(&Scope::Team)],
        summary: CallSummary::default().into(),
    }
}

/// The row of its end, at a change of the epoch that was lost.
fn ended(id: ReservationId, outcome: Outcome, charged: u64) -> Written {
    let row = Row {
        id,
        outcome,
        reserved: Credits::from_micros(4),
        charged: Credits::from_micros(charged),
        day: windows().day,
        month: windows().month,
        admitted_at: judgement::at(NOW - 9),
        settled_at: judgement::at(NOW - 5),
        summary: CallSummary::default().into(),
        result: CallResult::default(),
    };
    Written::bare(vec![Revision::new(BEFORE, 7, 1)], row)
}

/// A call as its process claims it, which admitted it and has seen it open.
fn claimed((admitted, seen): (Revision, Revision), record: ReservationRecord) -> Claimed {
    Claimed { admitted, seen, record, voids: Vec::new() }
}

/// The memory of a process after a loss, with this call open.
fn knowing(id: ReservationId, record: &ReservationRecord) -> TeamCache {
    let loss = Loss { closed: false, ..Loss::noticed(None, None, NOW - 3) };
    let found = Found {
        revision: Some(Revision::new(EPOCH, 3, 2)),
        team: TeamRecord { loss: Some(loss), ..TeamRecord::default() },
        scopes: vec![(ScopeName::from(&Scope::Team), ScopeRecord::default())],
        calls: vec![(id, Some(record.clone()))],
        restored: vec![(id, false)],
        oldest: Some([Vec::new(), Vec::new()]),
        ..Found::default()
    };
    let mut cache = TeamCache::default();
    cache.learn(found, 0, (NOW, NOW));
    cache
}

/// The changes that restore this row after a loss, given these records.
fn restored_after(cache: &TeamCache, written: &Written, loss: &Loss) -> Changes {
    let (rules, none) = (rules(), BTreeSet::new());
    let mut view = View::new(cache, &none, &rules, NOW);
    view.changes.cells.insert(cell_of(&written.row), crate::ledger::Sums::default());
    view.changes.days.insert(windows().day, 1);
    restore_row(&mut view, &team(), written, (loss, &rules, NOW)).unwrap();
    *view.changes
}

/// The changes that restore this row.
fn restored(record: &ReservationRecord, written: &Written) -> Changes {
    restored_after(&knowing(written.row.id, record), written, &Loss::default())
}

fn cell_of(row: &Row) -> CellName {
    CellName {
        day: row.day.clone(),
        user: row.summary.user.clone(),
        model: row.summary.model.clone(),
    }
}

/// A sweep in the lost history released the call; in this one it was sent.
#[test]
fn a_late_sweep_does_not_release_a_call_sent_since() {
    let id = ReservationId::new();
    for outcome in [Outcome::Released, Outcome::Refused] {
        let changes = restored(&sent(), &ended(id, outcome, 0));
        assert!(changes.ended.is_empty() && changes.rows.is_empty(), "{outcome:?}");
        let team = changes.scopes[&ScopeName::from(&Scope::Team)].as_ref().unwrap();
        assert_eq!(
            <[u64; 4]>::from(team.counts(Period::Total, &windows())),
            [0, 1, 0, 4],
            "it holds its credits"
        );
        assert_eq!(changes.restored, [id], "once");
    }
}

/// A sweep in the lost history released a call that has been charged since. Both ends would be in
/// the scopes.
#[test]
fn a_free_end_before_another_end_is_taken_back() {
    let (id, name) = (ReservationId::new(), ScopeName::from(&Scope::Team));
    let restored = |outcome, number, scopes: &[ScopeName], has_ended_again: bool| {
        let written = Written { scopes: scopes.to_vec(), ..ended(id, outcome, 0) };
        let (windows, end) = written.end();
        let mut known = ScopeRecord::default();
        known.reserve(&windows, 4);
        known.settle(&windows, &end);
        known.seal_at(Revision::new(BEFORE, number, 1));
        let mut some = Memory {
            scopes: [(name.clone(), known)].into(),
            rows: [written.clone()].into(),
            ..Memory::default()
        };
        let loss = Loss { closed: false, ..Loss::noticed(None, None, NOW - 3) };
        let found = Found {
            revision: Some(Revision::new(EPOCH, 3, 2)),
            team: TeamRecord { loss: Some(loss), ..TeamRecord::default() },
            scopes: vec![(name.clone(), ScopeRecord::default())],
            calls: vec![(id, None)],
            restored: vec![(id, has_ended_again)],
            cells: vec![(cell_of(&written.row), None)],
            days: vec![(written.row.day.clone(), 1)],
            oldest: Some([Vec::new(), Vec::new()]),
            ..Found::default()
        };
        let mut cache = TeamCache::default();
        cache.learn(found, 0, (NOW, NOW));
        let (_, changes) =
            some_restored(&team(), &mut some, &cache, &rules(), NOW).unwrap().unwrap();
        let team = changes.scopes[&name].clone().unwrap();
        let [_, held, _, credits] = team.counts(Period::Total, &windows).into();
        cache.note_restored(&some);
        ([held, credits], changes.rows.len(), cache.rows.len())
    };
    let of_team = std::slice::from_ref(&name);
    assert_eq!(restored(Outcome::Released, 7, of_team, false), ([0, 0], 1, 1));
    assert_eq!(restored(Outcome::Released, 7, of_team, true), ([1, 4], 0, 0));
    assert_eq!(restored(Outcome::Unknown, 7, of_team, true), ([0, 0], 0, 1), "it costs");
    assert_eq!(restored(Outcome::Released, 6, of_team, true), ([0, 0], 0, 1), "not counted");
    assert_eq!(restored(Outcome::Released, 7, &[], true), ([0, 0], 0, 1), "of another scope");
}

/// It was swept as turned back. After a loss it was claimed and sent, and claimed again after the
/// next one.
#[test]
fn a_late_sweep_does_not_release_a_call_claimed_twice() {
    let id = ReservationId::new();
    let since = |sent_in| ReservationRecord { sent_in, ..sent().claimed_in(EPOCH) };
    let swept = ended(id, Outcome::Refused, 0);
    assert!(restored(&since(BEFORE + 1), &swept).ended.is_empty());
    assert_eq!(restored(&since(BEFORE), &swept).ended, [id], "it was swept later");
}

#[test]
fn a_stale_mark_does_not_apply_after_a_claim() {
    let (id, waits) =
        (ReservationId::new(), ReservationRecord { dispatched: false, claimed: 0, ..sent() });
    for is_there in [true, false] {
        let (mut cache, rules) = (knowing(id, &waits), rules());
        let admitted = Revision::new(BEFORE, 2, 1);
        let call = claimed((admitted, admitted), waits.clone());
        let mut some = Memory::default();
        some.calls.insert(id, call);
        if !is_there {
            cache.calls.put(id, None, cache.revision);
        }
        let (_, changes) = some_restored(&team(), &mut some, &cache, &rules, NOW).unwrap().unwrap();
        let claimed = &changes.opened[&id];
        assert_eq!((claimed.claimed, claimed.phase(), claimed.marks), (EPOCH, waits.phase(), 64));
    }
}

#[test]
fn an_end_in_the_lost_history_ends_the_open_call() {
    let id = ReservationId::new();
    let waits = ReservationRecord { dispatched: false, ..sent() };
    let of_before = ReservationRecord { claimed: BEFORE, ..sent() };
    let swept = ended(id, Outcome::Released, 0);
    // The call was turned back, the answer to its gateway was lost, and then the call was swept: it
    // is not sent again.
    let as_sent = ReservationRecord { claimed: 0, ..sent() }.claimed_in(EPOCH);
    for (record, written) in [
        (&sent(), &ended(id, Outcome::Unknown, 4)),
        (&sent(), &ended(id, Outcome::Unknown, 0)),
        (&waits, &swept),
        (&of_before, &swept),
        (&as_sent, &ended(id, Outcome::Refused, 0)),
    ] {
        let changes = restored(record, written);
        assert_eq!((changes.ended, changes.restored), (vec![id], vec![id]));
        assert_eq!(changes.rows, std::slice::from_ref(&written.row));
    }
}

/// The surviving records have the call's end, although the answer was lost.
#[test]
fn a_row_in_the_copy_is_not_written_twice() {
    let id = ReservationId::new();
    // The call was ended once more after another loss, and that end is lost now.
    let written =
        Written { ending: Some(Ending::from(BEFORE, 7)), ..ended(id, Outcome::Charged, 4) };
    let left = |number| Loss { kept: [(BEFORE, number)].into(), ..Loss::default() };
    let mut gone = knowing(id, &sent());
    gone.calls.put(id, None, gone.revision);
    let rows =
        |cache: &TeamCache, number| restored_after(cache, &written, &left(number)).rows.len();
    assert_eq!(rows(&gone, 7), 0, "a second row of one call");
    assert_eq!(rows(&gone, 6), 1, "what is left had not come to that end");
    assert_eq!(rows(&knowing(id, &sent()), 7), 1, "it has not ended there");
    let step = Revision::new(BEFORE, 7, name_of_step(1, 7));
    let written = Written { voids: vec![step], ..ended(id, Outcome::Charged, 4) };
    for (last, rows) in
        [(step, 0), (step.next(name_of_step(2, 1)), 0), (Revision::new(BEFORE, 8, 1), 1)]
    {
        let loss = Loss::noticed(Some(last), None, NOW - 3);
        assert_eq!(restored_after(&gone, &written, &loss).rows.len(), rows, "{last}");
    }
}

/// The answer to its end was lost, and then the store. The team opened with the records of a
/// process that had seen that end written, so nothing was held for the call.
#[test]
fn a_call_is_back_if_its_end_does_not_count() {
    let (id, name) = (ReservationId::new(), ScopeName::from(&Scope::Team));
    let at = |number| Revision::new(BEFORE, number, name_of_step(1, number));
    let mut before = ScopeRecord::default();
    before.reserve(&windows(), 4);
    let mut after = before.clone();
    after.settle(&windows(), &End { price: 4, charged: 4, counted: true });
    let comes_back = |seen: Revision, voids: Vec<Revision>| {
        let (mut mine, mut seen_record) = (before.clone(), after.clone());
        mine.seal_at(at(6));
        let added = after.added_to(&before, std::iter::empty());
        voids.iter().for_each(|step| mine.void(*step, added.clone()));
        seen_record.seal_at(seen);
        let call = Claimed { voids, ..claimed((at(2), at(6)), sent()) };
        let mut some = Memory {
            scopes: [(name.clone(), mine)].into(),
            calls: [(id, call)].into(),
            ..Memory::default()
        };
        let covered = seen_record.sealed();
        let loss = Loss { closed: false, covered, ..Loss::noticed(None, None, NOW - 3) };
        let mut cache = knowing(id, &sent());
        cache.team.loss = Some(loss);
        cache.scopes.put(name.clone(), seen_record, cache.revision);
        cache.calls.put(id, None, cache.revision);
        let changes = some_restored(&team(), &mut some, &cache, &rules(), NOW).unwrap();
        let Some((_, changes)) = changes else { return (false, [1, 0, 4, 0]) };
        let team = changes.scopes[&name].as_ref().unwrap();
        let counts = <[u64; 4]>::from(team.counts(Period::Total, &windows()));
        (changes.opened.contains_key(&id), counts)
    };
    let (with, without) = (at(7).next(name_of_step(2, 1)), Revision::new(BEFORE, 8, 1));
    assert_eq!(comes_back(with, vec![at(7)]), (true, [0, 1, 0, 4]));
    assert_eq!(
        comes_back(without, vec![at(7)]),
        (false, [1, 0, 4, 0]),
        "another call stands for it"
    );
    assert_eq!(comes_back(with, Vec::new()), (false, [1, 0, 4, 0]), "no step of its own ended it");
}

/// The process was away for longer than an unrenewed call lives.
#[test]
fn a_call_of_an_absent_gateway_may_have_been_swept() {
    let (id, noticed_at) = (ReservationId::new(), NOW - 3);
    let ending = |deadline| {
        let record = ReservationRecord { deadline, claimed: BEFORE, ..sent() };
        let cache = knowing(id, &record);
        let at = |number| Revision::new(BEFORE, number, 1);
        let mut some = Memory::default();
        some.calls.insert(id, claimed((at(2), at(4)), record));
        let (_, changes) =
            some_restored(&team(), &mut some, &cache, &rules(), NOW).unwrap().unwrap();
        let claimed = &changes.opened[&id];
        assert_eq!(claimed.deadline, NOW + 30_000_000, "it is put off");
        claimed.ending
    };
    assert_eq!(ending(noticed_at), None);
    assert_eq!(
        ending(noticed_at - 1),
        Some(Ending { epoch: BEFORE, number: 5, by: EndedBy::Sweep(noticed_at - 1) }),
        "at any time after it was seen open"
    );
}

/// The copy that took over has the call, and was lost as well.
#[test]
fn a_copied_call_may_have_ended_after_the_copy() {
    let at = |number| Revision::new(BEFORE, number, 1);
    let record = ReservationRecord { ending: Some(Ending::from(BEFORE, 9)), ..sent() };
    let call = claimed((at(2), at(8)), record);
    for (kept, is_there, ending) in [
        (&[(BEFORE, 4), (BEFORE + 1, 6)][..], true, 5),
        (&[(BEFORE, 9), (BEFORE + 1, 6)], true, 9),
        (&[(BEFORE, 4)], true, 9),
        (&[(BEFORE, 4), (BEFORE + 1, 6)], false, 9),
    ] {
        let loss = Loss { kept: kept.iter().copied().collect(), ..Loss::default() };
        let found = may_have_ended_since(&call, is_there, (&loss, &[]));
        assert_eq!(found, Some(Ending::from(BEFORE, ending)), "{kept:?}, {is_there}");
    }
}

/// The next epoch began without records, so nobody could sweep the call any more.
#[test]
fn nobody_has_swept_a_call_after_its_epoch_was_lost() {
    let seen = Revision::new(BEFORE, 8, 1);
    let loss = Loss { noticed_at: 100, ..Loss::default() };
    let ended = |deadline, epochs: &[u64], ending| {
        let record = ReservationRecord { deadline, ending, ..sent() };
        may_have_ended_since(&claimed((seen, seen), record), false, (&loss, epochs))
    };
    let swept = |deadline| Some(Ending::swept_after(seen, deadline));
    assert_eq!(ended(50, &[BEFORE, 51, 80], None), swept(50), "it was overdue before that");
    assert_eq!(ended(51, &[BEFORE, 51, 80], None), None);
    assert_eq!(ended(51, &[BEFORE, 50, 51], None), swept(51), "a copy may have the call");
    assert_eq!((ended(99, &[], None), ended(100, &[], None)), (swept(99), None));
}

/// It was claimed with a doubt before, and is away again.
#[test]
fn a_call_may_be_in_doubt_twice() {
    let seen = Revision::new(BEFORE, 8, 1);
    let loss = Loss { noticed_at: 100, ..Loss::default() };
    let ended = |deadline, ending| {
        let record = ReservationRecord { deadline, ending: Some(ending), ..sent() };
        may_have_ended_since(&claimed((seen, seen), record), false, (&loss, &[]))
    };
    let own = Ending::from;
    assert_eq!(ended(50, own(BEFORE - 1, 7)), Some(own(BEFORE - 1, 0)));
    assert_eq!(ended(50, own(BEFORE, 7)), Some(own(BEFORE, 7)));
    assert_eq!(ended(100, own(BEFORE - 1, 7)), Some(own(BEFORE - 1, 7)));
    let swept =
        |epoch, number, deadline| Ending::swept_after(Revision::new(epoch, number, 1), deadline);
    let first = Ending { number: 0, ..swept(BEFORE - 1, 6, 20) };
    assert_eq!(ended(50, swept(BEFORE - 1, 6, 20)), Some(first), "no sweep was earlier");
    assert_eq!(ended(50, swept(BEFORE, 6, 70)), Some(swept(BEFORE, 6, 50)));
}

/// Another process may have seen an earlier or a later one.
#[test]
fn when_calls_were_last_ended_late_is_restored() {
    let cache = knowing(ReservationId::new(), &sent());
    let restored = |ended_late_at| {
        let mut some = Memory { ended_late_at, ..Memory::default() };
        let changes = some_restored(&team(), &mut some, &cache, &rules(), NOW).unwrap();
        changes.map(|(_, changes)| changes.team.unwrap().ended_late_at)
    };
    assert_eq!((restored(0), restored(7)), (None, Some(7)));
}
