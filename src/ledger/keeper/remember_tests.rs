//! What a process remembers of lost records, and for how long.

use super::*;
use crate::ledger::keeper::memory::AT_ONCE;
use crate::ledger::keeper::own::Written;
use crate::ledger::keeper::step::{Found, TeamRecord};
use crate::ledger::machine::memory_records::{Ledger, NOW, TTL, charged, team, user};
use crate::ledger::machine::{
    Ending, Loss, ReservationRecord, Revision, ScopeName, TopUpRecord, judgement,
};
use crate::ledger::{Phase, Row, Scope, TopUpId};

const fn at(epoch: u64, number: u64) -> Revision {
    Revision::new(epoch, number, 0)
}

fn counts() -> ScopeRecord {
    let mut record = ScopeRecord::default();
    record.set_topped_up(5);
    record
}

/// A process that read this at revision 50 of epoch 5, when calls had been marked seven times.
fn known(found: Found) -> TeamCache {
    let mut cache = TeamCache::default();
    cache.learn(Found { revision: Some(at(5, 50)), ..found }, 7, (NOW, NOW + TTL));
    cache
}

/// The same, after it learned that all of this is lost.
fn remembers(found: Found) -> TeamCache {
    let mut cache = known(found);
    cache.remember();
    cache
}

fn users(number: usize) -> Vec<(ScopeName, ScopeRecord)> {
    let name =
        |number: usize| ScopeName { level: "user".into(), whose: format!("{number:03}").into() };
    (0..number).map(|number| (name(number), counts())).collect()
}

fn row() -> Row {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    ledger.kept.rows.pop().unwrap()
}

/// A call that was read at that revision.
fn claimed(record: ReservationRecord) -> Claimed {
    Claimed { admitted: at(5, 50), seen: at(5, 50), record, voids: Vec::new() }
}

/// The team is read again, open or closed, in the epoch after the loss.
fn begins_again(cache: &mut TeamCache, closed: bool) {
    let team =
        TeamRecord { loss: Some(Loss { closed, ..Loss::default() }), ..TeamRecord::default() };
    cache.learn(Found { revision: Some(at(9, 51)), team, ..Found::default() }, 7, (NOW, NOW + TTL));
}

#[test]
fn counters_and_own_records_are_remembered_and_others_read_again() {
    let mut ledger = Ledger::new();
    let [mine, others] = [(); 2].map(|()| ledger.open(Phase::Waiting, 7));
    let call = |id| ledger.kept.calls.get(&id).cloned();
    let top_up = (TopUpId::new(), TopUpRecord { scope: ScopeName::from(&user("ana")), credits: 5 });
    let reader = ScopeName { level: "account".into(), whose: "ana".into() };
    let mut cache = known(Found {
        scopes: vec![
            (ScopeName::from(&user("ana")), counts()),
            (ScopeName::from(&Scope::Team), ScopeRecord::default()),
            (reader, counts()),
        ],
        calls: vec![(mine, call(mine)), (others, call(others))],
        top_ups: vec![(top_up.0.clone(), Some(top_up.1.clone())), (TopUpId::new(), None)],
        ..Found::default()
    });
    cache.owns_admitted(mine);
    let at_first = at(5, 50);
    // Notes the loss twice before anything else is read.
    for _ in 0..2 {
        cache.remember();
        assert_eq!((cache.revision(), cache.is_closed()), (None, true));
        let memory = cache.memory.as_ref().unwrap();
        assert_eq!((memory.last, memory.marks), (at_first, 7));
        assert_eq!(memory.scopes.keys().collect::<Vec<_>>(), [&ScopeName::from(&user("ana"))]);
        assert_eq!(memory.calls, [(mine, claimed(call(mine).unwrap()))].into());
        assert_eq!(memory.top_ups, [(top_up.0.clone(), (at_first, top_up.1.clone()))].into());
    }
}

#[test]
fn a_remembered_call_says_when_it_was_seen_open() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.remove(&id).unwrap();
    for is_lost in [true, false] {
        let calls = vec![(id, Some(record.clone()))];
        let mut cache = known(Found { calls, ..Found::default() });
        cache.owns_admitted(id);
        cache.change(crate::ledger::keeper::Changes::default(), at(5, 51));
        if is_lost {
            cache.remember()
        } else {
            cache.claim_own()
        }
        let call = Claimed { seen: at(5, 51), ..claimed(record.clone()) };
        assert_eq!(cache.memory.unwrap().calls, [(id, call)].into());
    }
}

#[test]
fn what_is_remembered_is_restored_some_at_a_time() {
    let mut cache = remembers(Found { scopes: users(AT_ONCE + 2), ..Found::default() });
    begins_again(&mut cache, true);
    for (some, is_left) in [(AT_ONCE, true), (2, true), (0, false)] {
        let left = cache.left_to_restore();
        assert_eq!(left.is_some(), is_left);
        let Some(left) = left else { return };
        assert_eq!((left.scopes.len(), left.is_restored()), (some, false));
        cache.note_restored(&left);
    }
    panic!("all of it is restored");
}

/// Whether a call is open may depend on what the scopes count.
#[test]
fn calls_are_restored_after_the_last_scopes() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let call = claimed(ledger.kept.calls.remove(&id).unwrap());
    let mut memory = Memory { calls: [(id, call)].into(), ..Memory::default() };
    memory.scopes.extend(users(AT_ONCE + 1));
    for (step, has_calls) in [(7, false), (8, true)] {
        let some = Memory { taken_out: [step].into(), ..memory.some() };
        assert_eq!(some.calls.contains_key(&id), has_calls);
        memory.forget(&some);
    }
    assert_eq!((memory.taken_out.clone(), memory.some().taken_out), ([7, 8].into(), [7, 8].into()));
}

#[test]
fn each_kind_of_record_is_left_to_restore_by_itself() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.remove(&id).unwrap();
    let top_up = TopUpRecord { scope: ScopeName::from(&user("ana")), credits: 5 };
    let memories = [
        Memory { scopes: users(1).into_iter().collect(), ..Memory::default() },
        Memory { calls: [(id, claimed(record))].into(), ..Memory::default() },
        Memory { rows: [Written::bare(vec![at(5, 50)], row())].into(), ..Memory::default() },
        Memory { top_ups: [(TopUpId::new(), (at(5, 50), top_up))].into(), ..Memory::default() },
    ];
    for memory in memories {
        let mut cache = TeamCache::default();
        cache.memory = Some(Box::new(memory));
        begins_again(&mut cache, true);
        let left = cache.left_to_restore().unwrap();
        assert!(!left.is_restored());
        cache.note_restored(&left);
        assert!(cache.left_to_restore().is_none());
    }
}

#[test]
fn what_came_late_to_an_open_team_awaits_judgement() {
    for (users_left, closed, is_left) in [(1, false, true), (1, true, false), (0, false, false)] {
        let mut cache = remembers(Found { scopes: users(users_left), ..Found::default() });
        begins_again(&mut cache, closed);
        let left = cache.memory.as_ref().map(|memory| memory.some()).unwrap();
        cache.note_restored(&left);
        assert_eq!(cache.left_to_restore().map(|left| left.is_restored()), is_left.then_some(true));
        cache.note_judged();
        assert!(cache.left_to_restore().is_none());
    }
    // A late restore counts as late even if something more follows that is no scope.
    let mut cache = remembers(Found { scopes: users(1), ..Found::default() });
    begins_again(&mut cache, false);
    let left = cache.left_to_restore().unwrap();
    (0..2).for_each(|_| cache.note_restored(&left));
    cache.note_restored(&Memory::default());
    assert!(cache.left_to_restore().is_some());
}

/// The known counts may lack what open calls hold.
#[test]
fn a_loss_before_the_judgement_is_remembered() {
    for (closed, unjudged) in [(false, true), (true, true), (false, false)] {
        let loss = Some(Loss { closed, unjudged, ..Loss::default() });
        let team = TeamRecord { loss, ..TeamRecord::default() };
        let mut cache = remembers(Found { team, scopes: users(1), ..Found::default() });
        let is_unjudged =
            |cache: &TeamCache| cache.memory.as_ref().map(|memory| memory.some().unjudged);
        assert_eq!(is_unjudged(&cache), Some(!closed && unjudged));
        cache.remember();
        assert_eq!(is_unjudged(&cache), Some(!closed && unjudged), "after another loss as well");
    }
}

#[test]
fn what_was_restored_may_be_lost_again() {
    let (mut ledger, row) = (Ledger::new(), row());
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.remove(&id).unwrap();
    let top_up = (
        TopUpId::new(),
        (at(5, 50), TopUpRecord { scope: ScopeName::from(&user("ana")), credits: 5 }),
    );
    let some = Memory {
        calls: [(id, claimed(record.clone()))].into(),
        rows: [Written::bare(vec![at(5, 50)], row.clone())].into(),
        top_ups: [top_up.clone()].into(),
        ..Memory::default()
    };
    let mut cache = remembers(Found::default());
    begins_again(&mut cache, true);
    let open = crate::ledger::keeper::Changes {
        opened: [(id, record)].into_iter().collect(),
        ..Default::default()
    };
    cache.change(open, at(9, 52));
    // The row was written again.
    let later = Row { settled_at: judgement::at(NOW + 1), ..row };
    cache.remember_row(Written::bare(vec![at(9, 52)], later));
    cache.note_restored(&some);
    assert_eq!(cache.own.get(&id).map(|own| own.admitted), Some(at(5, 50)));
    assert_eq!(
        cache.rows.iter().map(|written| written.at.clone()).collect::<Vec<_>>(),
        [[at(9, 52), at(5, 50)]]
    );
    cache.remember();
    let memory = cache.memory.unwrap();
    assert_eq!((memory.calls.len(), memory.rows.len(), memory.top_ups), (1, 1, [top_up].into()));
}

#[test]
fn a_row_of_a_call_sent_since_is_forgotten() {
    let (mut ledger, row) = (Ledger::new(), row());
    let id = ledger.open(Phase::Dispatched, 7);
    let open = ledger.kept.calls.remove(&id).unwrap();
    let left = ReservationRecord { unread: true, ..open.clone() };
    let written = Written {
        at: vec![at(5, 50)],
        ending: Some(Ending::from(4, 9)),
        voids: Vec::new(),
        scopes: Vec::new(),
        row: Row { id, ..row },
    };
    let some = Memory { rows: [written.clone()].into(), ..Memory::default() };
    for (record, is_kept) in [(Some(open.clone()), false), (Some(left), true), (None, true)] {
        let mut cache = remembers(Found::default());
        begins_again(&mut cache, true);
        cache.calls.put(id, record, at(9, 51));
        cache.note_restored(&some);
        assert_eq!(cache.rows.len(), usize::from(is_kept));
    }
    // It was read as open before another step wrote the row.
    let mut cache = remembers(Found::default());
    begins_again(&mut cache, true);
    cache.calls.put(id, Some(open.clone()), at(9, 51));
    cache.learn(Found { revision: Some(at(9, 53)), ..Found::default() }, 7, (NOW, NOW + TTL));
    cache.note_restored(&some);
    assert_eq!(cache.rows.len(), 1);
    // A restored record is known as before.
    let mut cache = remembers(Found::default());
    cache.remember_row(Written { at: vec![at(9, 52)], ending: None, ..written });
    cache.note_restored(&some);
    assert_eq!(cache.rows.back().map(|written| written.ending), Some(Some(Ending::from(4, 9))));
}

/// The call that stands for it ends some time in that epoch, and may be lost with it.
#[test]
fn a_covered_call_is_claimed_after_a_further_loss() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Dispatched, 7);
    let record = ledger.kept.calls.remove(&id).unwrap();
    let remembered = |call: Claimed, covered: u64, noticed_at: i64, restored: bool| {
        let some = Memory { calls: [(id, call)].into(), ..Memory::default() };
        let mut cache = remembers(Found::default());
        let loss = Loss { covered: [(5, covered)].into(), noticed_at, ..Loss::default() };
        let team = TeamRecord { loss: Some(loss), ..TeamRecord::default() };
        let restored = vec![(id, restored)];
        let found = Found { revision: Some(at(9, 51)), team, restored, ..Found::default() };
        cache.learn(found, 7, (NOW, NOW + TTL));
        cache.note_restored(&some);
        cache.remember();
        cache.memory.unwrap().calls.remove(&id)
    };
    let call = |ending| claimed(ReservationRecord { ending, ..record.clone() });
    for (before, after) in [(None, (9, 0)), (Some(Ending::from(5, 52)), (5, 0))] {
        let claim = remembered(call(before), 50, NOW, false);
        assert_eq!(claim, Some(call(Some(Ending::from(after.0, after.1)))));
    }
    assert_eq!(remembered(call(None), 49, NOW, false), None, "nothing stands for it");
    assert_eq!(remembered(call(None), 50, NOW, true), None, "its end was restored");
    let days_later = NOW + 2 * 86_400_000_000;
    assert_eq!(remembered(call(None), 50, days_later, false), None, "both are long over");
    let left = claimed(ReservationRecord { unread: true, ..record.clone() });
    assert_eq!(remembered(left, 50, NOW, false), None, "it has ended");
}

#[test]
fn when_calls_were_last_ended_late_is_remembered() {
    let of = |ended_late_at| TeamRecord { ended_late_at, ..TeamRecord::default() };
    let mut cache = known(Found { team: of(40), ..Found::default() });
    for (then, latest) in [(40, 40), (30, 40), (50, 50)] {
        let is = Found { revision: Some(at(9, 51)), team: of(then), ..Found::default() };
        cache.learn(is, 7, (NOW, NOW + TTL));
        cache.remember();
        assert_eq!(cache.memory.as_ref().map(|memory| memory.ended_late_at), Some(latest));
    }
    assert_eq!(cache.memory.map(|memory| memory.some().ended_late_at), Some(50));
}
