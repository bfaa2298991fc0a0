//! Tests which records a batch reads, and which calls it marks, before it is worked out.

use tokio::sync::oneshot;

use super::*;
use crate::ledger::Phase;
use crate::ledger::keeper::step::Found;
use crate::ledger::keeper::wanted::CellName;
use crate::ledger::machine::memory_records::{Ledger, NOW, call, charged, of as level, user};
use crate::ledger::machine::{ReservationRecord, Revision};

fn seen(calls: Vec<(ReservationId, Option<ReservationRecord>)>) -> TeamCache {
    let mut cache = TeamCache::default();
    let revision = Some(Revision::new(5, 50, 0));
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
fn a_first_look_at_a_team_reads_its_overdue_calls() {
    assert_eq!(
        [wanted(&[], &TeamCache::default()).due, wanted(&[], &seen(vec![])).due],
        [true, false]
    );
}

/// A settlement reads its scopes, too.
#[test]
fn an_admission_reads_its_scopes_and_a_settlement_its_usage() {
    let admission = call([level(Scope::Team, []), level(user("ana"), [])], 7);
    let id = admission.id;
    let record = {
        let mut ledger = Ledger::new();
        ledger.admit(&admission);
        ledger.kept.calls.remove(&id)
    };
    let begins =
        [Operation::Admit { admission: Box::new(admission), response: oneshot::channel().0 }];
    let calls = BTreeSet::from([id]);
    let scopes_and_call = Wanted { calls, scopes: both(), ..Wanted::default() };
    assert_eq!(wanted(&begins, &seen(vec![])), scopes_and_call);
    let ends = [Operation::Settle {
        settlement: Box::new(charged(id, 7)),
        response: oneshot::channel().0,
    }];
    let (cells, days) = ([cell()].into(), [cell().day].into());
    assert_eq!(wanted(&ends, &seen(vec![(id, record)])), Wanted { cells, days, ..scopes_and_call });
}

#[test]
fn known_calls_are_marked_and_unknown_ones_are_read() {
    let mut ledger = Ledger::new();
    let [open, sent, ended] =
        [Phase::Waiting, Phase::Dispatched, Phase::Waiting].map(|is| ledger.open(is, 7));
    let unknown = ReservationId::new();
    let known = |id| ledger.kept.calls.get(&id).cloned();
    let calls = vec![(open, known(open)), (sent, known(sent)), (ended, None)];
    let mut cache = TeamCache::default();
    let revision = Some(Revision::new(5, 50, 0));
    cache.learn(Found { revision, calls, ..Found::default() }, 0, (NOW, NOW));
    let dispatch = |id| Operation::Dispatch { id, response: oneshot::channel().0 };
    let mut operations: Vec<_> = [open, sent, ended, unknown].map(dispatch).into();
    operations.push(Operation::Renew { ids: vec![sent, open], response: oneshot::channel().0 });
    let marks: Vec<_> =
        marks(&operations, &cache).into_iter().map(|mark| (mark.id, mark.from, mark.to)).collect();
    let [open_record, sent_record] = [open, sent].map(|id| known(id).unwrap());
    let dispatched = open_record.clone().marked(Phase::Dispatched);
    let is_so = (sent, sent_record.clone(), sent_record);
    assert_eq!(marks, [(open, open_record, dispatched), is_so]);
    assert_eq!(unknown_marks(&operations, &cache), [unknown].into());
    assert_eq!(renewed(&operations), [sent, open]);
}
