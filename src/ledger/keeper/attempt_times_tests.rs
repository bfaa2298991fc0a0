//! Steps that come too early or too late, and what depends on the keeper's time.
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::tests::{admits, keeper, knows, prepares, quotes, renews, takes, whole};
use super::*;
use crate::ledger::Scope;
use crate::ledger::keeper::scripted::{Scripted, new_team, replied, returned};
use crate::ledger::keeper::work::under_way;
use crate::ledger::machine::bucket::Bucket;
use crate::ledger::machine::memory_records::{Ledger, NOW, SECOND, TTL, call, of};
use crate::ledger::machine::{ScopeName, ScopeRecord};
use crate::team::{Limit, LimitKind};

/// This process may know an older time than the one at which the bucket was written.
#[test]
fn a_bucket_is_turned_back_only_after_a_reading() {
    let keeper = keeper(Verdict::Done);
    let limit = Limit { burst: 5, ..Limit::new(LimitKind::RequestsPerSecond, 5) };
    let admission = Box::new(call([of(Scope::Team, [limit])], 7));
    let batch = vec![Operation::Admit { admission, response: oneshot::channel().0 }];
    let (whole, _) = whole(0);
    let mut record = ScopeRecord::default();
    let later = Bucket::default().drained(5, NOW + SECOND / 2).with_one_taken(1_000_000);
    record.set_bucket(1_000_000, later);
    let team = new_team();
    let scopes = vec![(ScopeName::from(&Scope::Team), record)];
    team.cache().learn(Found { scopes, ..whole }, 0, (NOW, NOW + TTL));
    for fresh in [false, true] {
        let mut attempt = Attempt { fresh, ..Attempt::new(&batch) };
        let (step, work) = prepares(&mut attempt, &keeper, &team, &batch);
        assert_eq!((step.unwrap().is_made(), work.is_some()), (fresh, fresh));
    }
}

/// One that came too early may have been sent twice, and be written later: the next step of the
/// batch moves the revision, so that it is not.
#[test]
fn a_step_that_comes_too_late_has_opened_nothing() {
    let (keeper, batch) = (keeper(Verdict::Done), admits());
    for (since, late, left) in
        [(None, SECOND, None), (None, -1, Some(NOW)), (Some(NOW - 5), SECOND, Some(NOW - 5))]
    {
        let (team, mut attempt) =
            (knows(0).0, Attempt { opens_since: since, ..Attempt::new(&batch) });
        let reply = |_: &Step| Reply { at: NOW + late, ..replied(Verdict::OtherTime) };
        let outcome = takes(&mut attempt, (&keeper, &team), &batch, reply);
        assert!(matches!(outcome, Ok(None)));
        assert_eq!(attempt.opens_since, left, "an earlier one may have");
        assert_eq!(team.cache().in_doubt.len(), 1);
        attempt.fresh = true;
        let (step, _) = prepares(&mut attempt, &keeper, &team, &quotes());
        assert!(step.unwrap().changes.touched);
    }
}

#[test]
fn after_a_reading_at_another_time_nothing_is_moved() {
    let (keeper, team) = (keeper(Verdict::Done), knows(0).0);
    let mut attempt = Attempt::new(&quotes());
    let reply = |_: &Step| replied(Verdict::OtherTime);
    let outcome = takes(&mut attempt, (&keeper, &team), &quotes(), reply);
    assert!(matches!(outcome, Ok(None)));
    let (step, _) = prepares(&mut attempt, &keeper, &team, &quotes());
    assert!(!step.unwrap().changes.touched && team.cache().in_doubt.is_empty());
}

/// Not by a step that was not sent, or that comes outside its times.
#[test]
fn deadlines_are_put_off_by_steps_that_come_in_time() {
    let second = under_way(&Ledger::new().rules);
    for (verdict, late, is_put_off) in [
        (Verdict::NotWritten, 0, true),
        (Verdict::Done, second - 1, true),
        (Verdict::NotWritten, second, false),
        (Verdict::OtherTime, -1, false),
        (Verdict::OtherPrimary, 0, false),
    ] {
        let is = whole(0).0;
        let keeper = Scripted::new(move |_| Ok(returned(is.clone())));
        let (team, id) = knows(0);
        let before = team.cache().last_known(id).unwrap().deadline;
        keeper.now.store(NOW + 7, Ordering::Relaxed);
        let batch = renews(id);
        let reply = |step: &Step| Reply { at: step.from + late, ..replied(verdict) };
        takes(&mut Attempt::new(&batch), (&keeper, &team), &batch, reply).unwrap();
        let after = team.cache().last_known(id).unwrap().deadline;
        assert_eq!(after != before, is_put_off, "{verdict:?}, {late} µs late");
    }
}
