//! What becomes of the amounts that calls hold which no replica claims after a loss.
#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use super::super::earlier::Kept;
use super::super::standing::stands_for_another;
use super::*;
use crate::ledger::usage::OVERFLOW;
use crate::ledger::{CallSummary, Scope};
use crate::team::limit::Period;
use crate::team::{KeyId, UserId};

#[path = "unclaimed_credits_tests.rs"]
mod credits;
#[path = "unclaimed_doubtful_tests.rs"]
mod doubtful;

const EPOCH: u64 = 8;

const fn earlier(kept: &Kept) -> Earlier<'_> {
    Earlier { kept, ended_late_at: 0 }
}

fn windows() -> Windows {
    Windows { day: "2026-11-29".to_owned(), month: "2026-11".to_owned() }
}

fn names(user: &str) -> Vec<ScopeName> {
    [
        Scope::Team,
        Scope::User(UserId::parse(user).unwrap()),
        Scope::Key(KeyId::parse("k7Qp2mZr9aBc").unwrap()),
    ]
    .iter()
    .map(ScopeName::from)
    .collect()
}

fn call(user: &str, price: u64, claimed: u64) -> (ReservationId, ReservationRecord) {
    let record = ReservationRecord {
        dispatched: false,
        turned_back: false,
        unread: false,
        marks: 0,
        claimed,
        sent_in: 0,
        ending: None,
        price,
        windows: windows(),
        admitted_at: 1,
        deadline: 2,
        scopes: names(user),
        summary: CallSummary::default().into(),
    };
    (ReservationId::new(), record)
}

fn holding(calls: &[&ReservationRecord]) -> Vec<(ScopeName, ScopeRecord)> {
    let mut scopes: BTreeMap<ScopeName, ScopeRecord> = BTreeMap::new();
    for call in calls {
        for name in &call.scopes {
            scopes.entry(name.clone()).or_default().reserve(&call.windows, call.price);
        }
    }
    scopes.into_iter().collect()
}

fn left(scopes: &[(ScopeName, ScopeRecord)], judged: &Judged) -> Vec<[u64; 4]> {
    let mut scopes: BTreeMap<ScopeName, ScopeRecord> = scopes.iter().cloned().collect();
    scopes.extend(judged.scopes.clone());
    for record in judged.open.values() {
        for name in &record.scopes {
            let end = End { price: record.price, charged: record.price, counted: true };
            scopes.entry(name.clone()).or_default().settle(&record.windows, &end);
        }
    }
    scopes.values().map(|record| record.counts(Period::Day, &windows()).into()).collect()
}

#[test]
fn what_claimed_calls_hold_is_accounted_for() {
    let (mine, old) = (call("ana", 5, EPOCH), call("ben", 3, 0));
    let scopes = holding(&[&mine.1]);
    let judged =
        judge(&scopes, vec![mine.clone(), old.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.open.keys().collect::<Vec<_>>(), [&mine.0]);
    assert_eq!(judged.ended, [old.0], "nothing is held for it: it has ended in what was lost");
}

#[test]
fn an_unclaimed_record_stays_while_something_is_held_for_it() {
    let old = call("ben", 3, 0);
    let judged =
        judge(&holding(&[&old.1]), vec![old.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.open, [old].into());
}

#[test]
fn of_answers_being_read_only_claimed_ones_keep_slots() {
    let mut scopes = holding(&[]);
    let [mine, lost, gone] = [("ana", EPOCH), ("ben", 0), ("ben", 0)].map(|(user, claimed)| {
        let (id, record) = call(user, 5, claimed);
        (id, record.keeping_slots(2))
    });
    let mut of: BTreeMap<ScopeName, ScopeRecord> = BTreeMap::new();
    for (_, record) in [&mine, &lost, &gone] {
        record.scopes.iter().for_each(|name| of.entry(name.clone()).or_default().keep_slot());
    }
    scopes.extend(of);
    let judged =
        judge(&scopes, vec![mine.clone(), lost.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.open, [mine].into(), "nothing is held, so no call stands for the others");
    assert_eq!(judged.ended, [lost.0]);
    let slots: BTreeMap<_, _> =
        judged.scopes.iter().map(|(name, record)| (&*name.level, record.slots())).collect();
    assert_eq!(slots, [("team", 1), ("key", 1), ("user", 0)].into(), "ana's are as they were");
}

#[test]
fn holds_without_records_get_substitute_calls() {
    let (mine, [one, two, three]) =
        (call("ana", 5, EPOCH), [("ana", 4), ("ben", 3), ("ben", 6)].map(|(u, p)| call(u, p, 0)));
    let scopes = holding(&[&mine.1, &one.1, &two.1, &three.1]);
    let judged = judge(&scopes, vec![mine.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.open.len(), 4);
    let made: Vec<_> =
        judged.open.iter().filter(|(id, _)| **id != mine.0).map(|(_, record)| record).collect();
    assert!(made.iter().all(|record| record.dispatched
        && record.claimed == EPOCH
        && record.summary.model == OVERFLOW));
    let of = |user: &str| {
        made.iter()
            .filter(|record| record.summary.user == user)
            .map(|record| record.price)
            .sum::<u64>()
    };
    assert_eq!((of("ana"), of("ben")), (4, 9));
    // All of it is spent once they have ended, in every scope.
    assert!(
        left(&scopes, &judged)
            .iter()
            .all(|[_, reserved, _, credits]| (*reserved, *credits) == (0, 0))
    );
    assert_eq!(left(&scopes, &judged).iter().map(|sums| sums[2]).sum::<u64>(), 3 * 18);
}

fn key(id: &str) -> ScopeName {
    ScopeName::from(&Scope::Key(KeyId::parse(id).unwrap()))
}

/// Judges scopes that hold something of calls without a record.
fn without_records(scopes: &[(ScopeName, ScopeRecord)]) -> Judged {
    judge(scopes, Vec::new(), (EPOCH, earlier(&Kept::new())), (8, 9))
}

/// Judges a late restore, at the change of this number.
fn late(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: &[(ReservationId, ReservationRecord)],
    number: u64,
) -> Judged {
    judge_late(scopes, calls, (Revision::new(EPOCH, number, 0), earlier(&Kept::new())), (8, 9))
}

#[test]
fn of_unclaimed_records_the_one_admitted_last_stays() {
    let (early, mut last) = (call("ben", 3, 0), call("ben", 3, 0));
    last.1.admitted_at = early.1.admitted_at + 1;
    let judged = judge(
        &holding(&[&last.1]),
        vec![early.clone(), last.clone()],
        (EPOCH, earlier(&Kept::new())),
        (8, 9),
    );
    assert_eq!((judged.open, judged.ended), ([last].into(), vec![early.0]));
}

#[test]
fn a_record_stays_only_if_call_and_credits_are_held() {
    let (one, two, dear) = (call("ben", 2, 0), call("ben", 2, 0), call("ben", 9, 0));
    let scopes = holding(&[&call("ben", 2, 0).1]);
    let calls = vec![one.clone(), two.clone()];
    let judged = judge(&scopes, calls, (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!((judged.open, judged.ended), ([one].into(), vec![two.0]));
    let scopes = holding(&[&call("ben", 5, 0).1]);
    let judged = judge(&scopes, vec![dear.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.ended, [dear.0], "a call is held, but not its credits");
    assert_eq!(judged.open.values().map(|record| record.price).collect::<Vec<_>>(), [5]);
}

/// What calls hold together, in the team.
fn held_in_all(scopes: &[(ScopeName, ScopeRecord)], judged: &Judged) -> [u64; 4] {
    let team = scopes.iter().find(|(name, _)| name.level == "team").unwrap();
    judged.scopes.get(&team.0).unwrap_or(&team.1).counts(Period::Day, &windows()).into()
}

/// The gateway may have ended the call in the lost history, and may come later.
#[test]
fn an_unclaimed_call_that_stays_may_have_ended() {
    let (mine, other) = (call("ana", 5, EPOCH), call("ben", 3, 0));
    let scopes = holding(&[&mine.1, &other.1]);
    let calls = vec![mine.clone(), other.clone()];
    let judged = judge(&scopes, calls, (EPOCH, earlier(&[(EPOCH - 1, 40)].into())), (8, 9));
    let endings = [&mine, &other].map(|(id, _)| judged.open[id].ending);
    assert_eq!(endings, [None, Some(Ending::from(EPOCH - 1, 41))]);
}

/// A user's record is older than the team's.
#[test]
fn substitute_calls_hold_every_credit_of_the_team() {
    let (mut now, old) = (call("ana", 5, 0).1, call("ana", 2, 0).1);
    let mut scopes = holding(&[&old]);
    now.scopes.truncate(1);
    let of_team = holding(&[&now]).remove(0);
    scopes.retain(|(name, _)| *name != of_team.0);
    scopes.push(of_team);
    let judged = without_records(&scopes);
    assert_eq!(judged.open.values().map(|made| made.price).collect::<Vec<_>>(), [5]);
}

#[test]
fn what_only_a_key_holds_is_in_no_substitute_call() {
    let (held, mut key_only) = (call("ana", 5, 0).1, call("ana", 4, 0).1);
    key_only.scopes.drain(..2);
    let mut scopes = holding(&[&held, &key_only]);
    let one_call = End { price: 0, charged: 0, counted: false };
    let of_key = scopes.iter_mut().find(|(name, _)| name.level == "key").unwrap();
    of_key.1.settle(&windows(), &one_call);
    let judged = without_records(&scopes);
    assert_eq!(judged.open.values().map(|made| made.price).collect::<Vec<_>>(), [5]);
}

#[test]
fn calls_of_two_judgements_have_ids_of_their_own() {
    let scopes = holding(&[&call("ana", 5, 0).1, &call("ben", 5, 0).1]);
    let next = judge(&scopes, Vec::new(), (EPOCH + 1, earlier(&Kept::new())), (8, 9));
    let all: Vec<_> =
        [without_records(&scopes), next, late(&scopes, &[], 5), late(&scopes, &[], 6)]
            .into_iter()
            .flat_map(|judged| judged.open)
            .collect();
    let different: BTreeSet<_> = all.iter().map(|(id, _)| id).collect();
    assert_eq!((all.len(), different.len()), (8, 8), "{all:?}");
    assert!(all.iter().all(|(id, record)| stands_for_another(*id, record)));
}

#[test]
fn each_substitute_call_holds_the_key_that_holds_for_it() {
    let (one, mut other) = (call("ana", 0, 0), call("ana", 0, 0));
    let second = key("k8Qp2mZr9aBc");
    *other.1.scopes.last_mut().unwrap() = second.clone();
    let judged = without_records(&holding(&[&one.1, &other.1]));
    let of: Vec<_> = judged.open.values().map(|record| record.scopes.last().unwrap()).collect();
    assert_eq!(of, [&key("k7Qp2mZr9aBc"), &second], "free calls are calls as well");
    assert!(judged.scopes.is_empty());
    // The first key alone holds something on another day.
    other.1.price = 4;
    let mut scopes = holding(&[&other.1]);
    let mut before = ScopeRecord::default();
    let yesterday = Windows { day: "2026-11-28".to_owned(), ..windows() };
    before.reserve(&yesterday, 9);
    scopes.insert(0, (key("k7Qp2mZr9aBc"), before));
    let judged = without_records(&scopes);
    assert_eq!(
        judged.open.values().map(|record| record.scopes.last().unwrap()).collect::<Vec<_>>(),
        [&second]
    );
    let spent = judged.scopes.get(&key("k7Qp2mZr9aBc")).unwrap();
    assert_eq!(
        (judged.scopes.len(), <[u64; 4]>::from(spent.counts(Period::Day, &yesterday))),
        (1, [1, 0, 9, 0])
    );
}

#[test]
fn what_only_a_key_holds_is_spent_exactly() {
    for (prices, spent) in [(vec![4, 4, 3], [3, 0, 11, 0]), (vec![0], [1, 0, 0, 0])] {
        let mut held = ScopeRecord::default();
        prices.iter().for_each(|price| held.reserve(&windows(), *price));
        let judged = without_records(&[(key("k7Qp2mZr9aBc"), held)]);
        assert!(judged.open.is_empty());
        let record = judged.scopes.values().next().unwrap();
        assert_eq!(<[u64; 4]>::from(record.counts(Period::Total, &windows())), spent);
    }
}

#[test]
fn a_late_hold_the_team_has_gets_a_substitute_call() {
    let (id, record) = call("ana", 4, 0);
    let scopes = holding(&[&record]);
    // An answer that is still being read holds no credits.
    let judged = late(&scopes, &[(id, record.clone().keeping_slots(9))], 5);
    let made: Vec<_> =
        judged.open.values().map(|made| (&*made.summary.user, made.price, &made.scopes)).collect();
    assert_eq!(made, [("ana", 4, &record.scopes)]);
    assert!(late(&scopes, &[(id, record)], 5).is_nothing(), "it is held by an open call");
}

#[test]
fn a_late_hold_the_team_lacks_is_spent() {
    let of = |name: &ScopeName, price| {
        let mut record = ScopeRecord::default();
        record.reserve(&windows(), price);
        (name.clone(), record)
    };
    let ana = names("ana");
    let (id, mut free) = call("ben", 0, 0);
    free.scopes.truncate(1);
    // The team holds too little, or credits of a call that another has taken.
    for (team, calls) in [(3, vec![]), (5, vec![(id, free)])] {
        let judged = late(&[of(&ana[0], team), of(&ana[1], 4)], &calls, 5);
        let made: Vec<_> = judged.open.values().map(|made| &*made.summary.user).collect();
        assert_eq!(made, vec![OVERFLOW; 1 - calls.len()], "for the user's own nothing is opened");
        let spent = judged.scopes.get(&ana[1]).unwrap();
        assert_eq!(<[u64; 4]>::from(spent.counts(Period::Day, &windows())), [1, 0, 4, 0]);
    }
}

#[test]
fn where_all_has_ended_nothing_is_to_be_judged() {
    let (id, record) = call("ana", 4, 0);
    let mut scopes = holding(&[&record]);
    for (_, scope) in &mut scopes {
        scope.settle(&windows(), &End { price: 4, charged: 4, counted: true });
    }
    assert!(late(&scopes, &[], 5).is_nothing() && without_records(&scopes).is_nothing());
    let opens = Judged { open: [(id, record)].into(), ..Judged::default() };
    let ends = Judged { ended: vec![id], ..Judged::default() };
    let spends = Judged { scopes: scopes.into_iter().collect(), ..Judged::default() };
    assert!([opens, ends, spends].iter().all(|judged| !judged.is_nothing()));
}
