//! A process finds a team's records on another server.
use std::sync::atomic::Ordering;

use super::*;
use crate::ledger::keeper::scripted::{Scripted, at, found, knowing, replied};
use crate::ledger::keeper::step::Found;
use crate::ledger::machine::memory_records::NOW;
use crate::ledger::{Phase, machine};

/// A team at change 50 of an epoch, on server 3, after this loss.
fn on_server_3(epoch: u64, loss: Option<Loss>) -> Found {
    let is = found(at(epoch, 50), loss);
    Found { team: TeamRecord { replication_id: 3, rows: [7, 8], ..is.team }, ..is }
}

/// A keeper on this server, which has marked twenty calls, by this clock.
fn keeper(is: Found, replication_id: u64, now: i64, verdict: Verdict) -> Scripted {
    let keeper = Scripted::new(move |step| {
        let found = step.changes.is_nothing().then(|| is.clone());
        let verdict = if found.is_some() { Verdict::NotWritten } else { verdict };
        Ok(crate::ledger::keeper::Reply { at: now, marks: 20, found, ..replied(verdict) })
    });
    keeper.now.store(now, Ordering::Relaxed);
    keeper.replication_id.store(replication_id, Ordering::Relaxed);
    keeper
}

fn takes_over(keeper: &Scripted, team: &Arc<Team>) -> bool {
    keeper.run(take_over(&keeper.context(), team)).is_ok()
}

/// The epoch is later even if the promoted server's clock is behind.
#[test]
fn a_promoted_server_begins_a_later_epoch() {
    let now_as_epoch = NOW.unsigned_abs();
    for (epoch, now, begins) in
        [(5, NOW, now_as_epoch), (5, 3, 8), (now_as_epoch, NOW, now_as_epoch + 4)]
    {
        let is = on_server_3(epoch, None);
        let (keeper, team) = (keeper(is.clone(), 4, now, Verdict::Done), knowing(is));
        assert!(takes_over(&keeper, &team));
        let step = keeper.steps().pop().unwrap();
        assert_eq!(step.expected, Expected::Revision(at(epoch, 50)));
        assert_eq!([step.makes.epoch, step.makes.number, step.replication_id], [begins, 51, 4]);
        let taken = TeamRecord {
            rows: [7, 8],
            replication_id: 4,
            loss: Some(Loss::taken_over(at(epoch, 50), None, now, 20)),
            ..TeamRecord::default()
        };
        assert_eq!(step.changes.team.as_ref(), Some(&taken));
        let cache = team.cache();
        assert_eq!((cache.team(), cache.marks), (&taken, 20));
        assert_eq!(cache.revision(), Some(step.makes));
    }
}

#[test]
fn nobody_takes_over_from_the_server_itself() {
    let is = on_server_3(5, None);
    let (keeper, team) = (keeper(is.clone(), 3, NOW, Verdict::Done), knowing(is));
    assert!(takes_over(&keeper, &team));
    assert_eq!(keeper.writes().len(), 0);
}

#[test]
fn a_closed_team_stays_closed_on_a_promoted_server() {
    let closed = on_server_3(5, Some(Loss::noticed(None, None, 9)));
    let (keeper, team) = (keeper(closed.clone(), 4, NOW, Verdict::Done), knowing(closed));
    assert!(takes_over(&keeper, &team));
    let step = keeper.steps().pop().unwrap();
    assert!(step.changes.team.is_some_and(|team| team.is_closed()));
    assert!(team.cache().memory.is_some(), "what it knows is to be restored again");
}

#[test]
fn a_takeover_is_given_up_when_others_stay_first() {
    let is = on_server_3(5, None);
    let (keeper, team) = (keeper(is.clone(), 4, NOW, Verdict::NotWritten), knowing(is));
    assert!(!takes_over(&keeper, &team));
    assert_eq!(keeper.writes().len(), ATTEMPTS);
    assert_eq!(keeper.events(), vec!["another goes first"; ATTEMPTS]);
    assert_eq!(team.cache().revision(), Some(at(5, 50)), "nothing has changed");
}

#[test]
fn a_process_claims_its_calls_after_a_takeover() {
    let mut ledger = machine::memory_records::Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let calls = vec![(id, ledger.kept.calls.remove(&id))];
    let is = Found { calls, ..on_server_3(5, None) };
    let (keeper, team) = (keeper(is.clone(), 4, NOW, Verdict::Done), knowing(is));
    team.cache().owns_admitted(id);
    assert!(takes_over(&keeper, &team));
    let left = team.cache().left_to_restore().unwrap();
    assert_eq!(left.calls.keys().collect::<Vec<_>>(), [&id]);
}
