//! Calls that may have ended in the lost history, when the team opens and when they come late.

use super::*;

/// What these calls hold, as it was seen at a change of the epoch that was lost.
fn seen_at(number: u64, calls: &[&ReservationRecord]) -> Vec<(ScopeName, ScopeRecord)> {
    let mut scopes = holding(calls);
    scopes
        .iter_mut()
        .for_each(|(_, record)| record.seal(&[(EPOCH - 1, number)].into(), &[].into()));
    scopes
}

/// A call that its gateway has tried to end with the tenth change of the epoch that was lost, and
/// was not answered.
fn ending(user: &str, price: u64) -> (ReservationId, ReservationRecord) {
    let (id, record) = call(user, price, EPOCH);
    (id, ReservationRecord { ending: Some(Ending::from(EPOCH - 1, 10)), ..record })
}

/// Judges these calls when the team opens, or when something was restored late.
fn judged_at(
    is_late: bool,
    scopes: &[(ScopeName, ScopeRecord)],
    calls: &[&(ReservationId, ReservationRecord)],
) -> Judged {
    let calls: Vec<_> = calls.iter().copied().cloned().collect();
    if is_late {
        late(scopes, &calls, 5)
    } else {
        judge(scopes, calls, (EPOCH, earlier(&Kept::new())), (8, 9))
    }
}

#[test]
fn a_doubtful_call_stays_held_if_scopes_predate_its_end() {
    let mine = ending("ana", 5);
    let scopes = seen_at(9, &[&mine.1]);
    let judged = judge(&scopes, vec![mine.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!((judged.open, judged.scopes), ([mine].into(), BTreeMap::new()));
}

#[test]
fn a_doubtful_call_has_ended_if_later_holds_are_claimed() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, EPOCH));
    for is_late in [false, true] {
        let judged = judged_at(is_late, &seen_at(10, &[&other.1]), &[&mine, &other]);
        assert_eq!((&judged.ended, judged.open.contains_key(&mine.0)), (&vec![mine.0], false));
        assert!(judged.scopes.is_empty());
    }
}

/// The call was open in a later epoch, in which others may have ended it.
#[test]
fn a_later_epoch_may_have_ended_a_doubtful_call() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, EPOCH));
    // A store that was emptied counts anew.
    for (number, has_ended) in [(10, true), (9, false)] {
        let mut scopes = holding(&[&other.1]);
        let epochs = [(EPOCH - 2, 99), (EPOCH - 1, 9), (EPOCH, number)].into();
        scopes.iter_mut().for_each(|(_, record)| record.seal(&epochs, &[].into()));
        let judged = judge(
            &scopes,
            vec![mine.clone(), other.clone()],
            (EPOCH, earlier(&Kept::new())),
            (8, 9),
        );
        assert_eq!(judged.ended == [mine.0], has_ended);
        assert_eq!(judged.open.len(), if has_ended { 1 } else { 2 });
    }
}

/// Nobody but its own process, which claims it, can have brought the call there.
#[test]
fn an_epoch_begun_empty_has_ended_no_call() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, EPOCH));
    for (empty, copied) in [(EPOCH + 1, EPOCH + 2), (EPOCH + 3, EPOCH + 4)] {
        for is_kept in [false, true] {
            let mut scopes = holding(&[&other.1]);
            let kept = Kept::from_iter(is_kept.then_some((empty, 20)));
            let seen = [(EPOCH - 1, 9), (if is_kept { copied } else { empty }, 20)].into();
            scopes.iter_mut().for_each(|(_, record)| record.seal(&seen, &[].into()));
            let calls = vec![mine.clone(), other.clone()];
            let judged = judge(&scopes, calls, (EPOCH, earlier(&kept)), (8, 9));
            assert_eq!((judged.open.len(), judged.ended.len()), (2, 0));
        }
    }
}

/// Its key's and its user's records may be older.
#[test]
fn the_team_tells_whether_a_call_may_have_ended() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, EPOCH));
    let mut scopes = seen_at(9, &[&other.1]);
    let of_team = seen_at(10, &[&other.1]).into_iter().find(|(name, _)| name.level == "team");
    scopes.retain(|(name, _)| name.level != "team");
    scopes.extend(of_team);
    let judged = judge(&scopes, vec![mine.clone(), other], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(judged.ended, [mine.0]);
}

/// The call was admitted after the copy that took over, where another has ended a second time.
#[test]
fn a_copy_without_a_doubtful_call_has_not_ended_it() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, EPOCH));
    let mut scopes = holding(&[&other.1]);
    let epochs = [(EPOCH - 1, 9), (EPOCH, 20)].into();
    scopes.iter_mut().for_each(|(_, record)| record.seal(&epochs, &[].into()));
    for (kept, late, has_ended) in
        [(8, false, false), (9, false, true), (8, true, false), (9, true, true)]
    {
        let (kept, calls) = ([(EPOCH - 1, kept)].into(), vec![mine.clone(), other.clone()]);
        let judged = if late {
            let revision = Revision::new(EPOCH, 5, 0);
            judge_late(&scopes, &calls, (revision, earlier(&kept)), (8, 9))
        } else {
            judge(&scopes, calls, (EPOCH, earlier(&kept)), (8, 9))
        };
        assert_eq!(judged.ended == [mine.0], has_ended);
    }
}

#[test]
fn a_doubtful_call_displaces_no_known_call() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, 0));
    let scopes = seen_at(10, &[&other.1]);
    for is_late in [false, true] {
        let judged = judged_at(is_late, &scopes, &[&mine, &other]);
        assert_eq!((judged.ended, judged.placed), (vec![mine.0], Vec::new()));
        assert!(judged.scopes.is_empty());
    }
}

/// The result says so.
#[test]
fn a_doubtful_call_stays_open_for_an_unowned_hold() {
    let (mine, other) = (ending("ana", 5), call("ana", 5, 0));
    let scopes = seen_at(10, &[&mine.1, &other.1]);
    let judged = judge(&scopes, vec![mine.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!(
        (judged.open.get(&mine.0), judged.open.len()),
        (Some(&mine.1), 2),
        "a call stands for the other"
    );
    assert!(!judged.placed.is_empty() && judged.scopes.is_empty());
    let judged = late(&scopes, std::slice::from_ref(&mine), 5);
    assert_eq!(
        (judged.open.len(), judged.placed),
        (1, vec![mine.0]),
        "likewise, and it is open as before"
    );
    assert!(judged.scopes.is_empty());
}

/// What is held for one call cost more, so it may be another one.
#[test]
fn a_doubtful_call_is_held_beside_a_dearer_hold() {
    let (mine, dear) = (ending("ana", 1), call("ana", 4, 0));
    let scopes = seen_at(10, &[&dear.1]);
    let judged = judge(&scopes, vec![mine.clone()], (EPOCH, earlier(&Kept::new())), (8, 9));
    assert_eq!((judged.open.len(), &judged.open[&mine.0]), (2, &mine.1));
    assert!(judged.placed.is_empty());
    assert_eq!(held_in_all(&scopes, &judged), [0, 2, 0, 5]);
}

/// One of them has ended, and nobody knows which.
#[test]
fn of_two_doubtful_calls_in_one_place_one_stays() {
    let (one, two) = (ending("ana", 5), ending("ana", 4));
    let scopes = seen_at(10, &[&one.1]);
    for is_late in [false, true] {
        let judged = judged_at(is_late, &scopes, &[&one, &two]);
        assert_eq!((judged.placed, judged.ended), (vec![one.0], vec![two.0]));
    }
}
