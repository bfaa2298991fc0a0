//! Credits that are held for no call at all.

use super::*;

/// The team was seen last while another call was open, at another price.
#[test]
fn a_cheaper_unclaimed_call_is_not_what_is_held() {
    let (first, mut cheap, dear) = (call("ana", 2, 0), call("ana", 1, 0), call("ana", 4, 0));
    cheap.1.admitted_at = first.1.admitted_at - 1;
    let scopes = holding(&[&first.1, &dear.1]);
    let calls = vec![first.clone(), cheap.clone()];
    let judged = judge(&scopes, calls, (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.ended, [cheap.0], "of two, the one admitted first");
    let prices: Vec<_> = judged.open.values().map(|record| record.price).collect();
    assert_eq!(prices.iter().sum::<u64>(), 6, "{prices:?}");
    assert!(judged.open.contains_key(&first.0) && judged.open.len() == 2);
}

/// A call stands for one that has ended, and a process comes late with one that cost more.
#[test]
fn a_substitute_call_becomes_as_dear_as_what_is_held() {
    let (mut cheap, mut dear) = (call("ana", 2, 0), call("ben", 5, 0));
    [&mut cheap, &mut dear].iter_mut().for_each(|(_, record)| record.scopes.truncate(2));
    let made: Vec<_> = without_records(&holding(&[&cheap.1])).open.into_iter().collect();
    let judged = late(&holding(&[&dear.1]), &made, 5);
    let prices: Vec<_> = judged.open.iter().map(|(id, record)| (*id, record.price)).collect();
    assert_eq!(prices, [(made[0].0, 5)]);
    let other = call("ana", 2, EPOCH);
    assert!(late(&holding(&[&dear.1]), &[other], 5).open.is_empty(), "it stands for none");
}

/// Another call of the user has ended twice, and freed a part of what this one holds.
#[test]
fn credits_that_a_user_holds_for_no_call_are_spent() {
    let mut ana = holding(&[&call("ana", 4, 0).1]).remove(2);
    assert_eq!(ana.0.level, "user");
    ana.1.settle(&windows(), &End { price: 1, charged: 0, counted: false });
    let judged = without_records(std::slice::from_ref(&ana));
    assert!(judged.open.is_empty());
    let spent = &judged.scopes[&ana.0];
    assert_eq!(<[u64; 4]>::from(spent.counts(Period::Day, &windows())), [1, 0, 3, 0]);
}

/// A call is made for another one of the user, whose record is older than the team's.
#[test]
fn credits_for_no_call_are_given_to_one_call() {
    let (mut old, mut now) = (call("ana", 2, 0), call("ana", 5, 0));
    let mut standing: Vec<_> = without_records(&holding(&[&old.1])).open.into_iter().collect();
    now.1.scopes.truncate(1);
    old.1.scopes.truncate(2);
    standing[0].1.scopes.truncate(1);
    // The team holds both calls, and the user one, at its earlier price.
    let mut scopes = holding(&[&old.1]);
    scopes.retain(|(name, _)| name.level == "user");
    scopes.extend(holding(&[&standing[0].1, &now.1]));
    let judged = late(&scopes, &standing, 5);
    let prices: Vec<_> = judged.open.values().map(|record| record.price).collect();
    assert_eq!((prices, judged.open.contains_key(&standing[0].0)), (vec![5], false));
}
