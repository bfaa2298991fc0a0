//! Tests which operations share a batch, and how waiting ones end.
use tokio::sync::oneshot;

use super::*;
use crate::ledger::ReservationId;
use crate::ledger::keeper::operation::Response;
use crate::ledger::keeper::scripted::new_team;
use crate::ledger::machine::Loss;

type Answered = oneshot::Receiver<Result<(), Outage>>;

/// An operation that renews this many deadlines, and its answer.
fn renews(calls: usize) -> (Operation, Answered) {
    let (response, answer): (Response<()>, _) = oneshot::channel();
    (Operation::Renew { ids: vec![ReservationId::new(); calls], response }, answer)
}

/// Sizes of the batches of operations that renew this many deadlines each; 0 stands for one whose
/// caller has left.
fn batches(calls: &[usize]) -> Vec<usize> {
    let (team, mut answers, mut lease) = (new_team(), Vec::new(), None);
    for calls in calls {
        let (operation, answer) = renews(*calls);
        answers.extend((*calls > 0).then_some(answer));
        lease = lease.or(team.submit(operation));
    }
    let mut lease = lease.unwrap();
    let batches: Vec<_> = std::iter::from_fn(|| lease.next()).map(|batch| batch.len()).collect();
    drop(lease);
    assert!(team.submit(renews(1).0).is_some(), "the queue is free");
    batches
}

#[test]
fn what_waits_goes_together_up_to_a_bound() {
    assert_eq!(batches(&[1, 2, 3]), [3]);
    assert_eq!(batches(&[1; BATCH_MAX]), [BATCH_MAX]);
    assert_eq!(batches(&[1; BATCH_MAX + 1]), [BATCH_MAX, 1]);
    assert_eq!(batches(&[BATCH_MAX - 28, 28]), [2]);
    assert_eq!(batches(&[BATCH_MAX - 28, 29]), [1, 1]);
    assert_eq!(batches(&[BATCH_MAX - 28, 40]), [1, 1]);
}

#[test]
fn an_operation_larger_than_a_batch_goes_alone() {
    assert_eq!(batches(&[1, 2 * BATCH_MAX, 1]), [1, 1, 1]);
}

#[test]
fn what_was_given_up_is_left_out() {
    let mut calls = [1; BATCH_MAX + 2];
    calls[BATCH_MAX] = 0;
    assert_eq!(batches(&calls), [BATCH_MAX, 1]);
    assert_eq!((batches(&[0, 1, 0]), batches(&[0])), (vec![1], vec![]));
}

#[test]
fn only_the_first_to_wait_must_send() {
    let team = new_team();
    let [(one, _one), (two, _two), (three, _three)] = [(); 3].map(|()| renews(1));
    let mut lease = team.submit(one).unwrap();
    assert!(team.submit(two).is_none(), "the first sends both");
    let batch = lease.next().unwrap();
    assert!(batch.len() == 2 && team.submit(three).is_none(), "the batch is under way");
    assert_eq!(lease.next().map(|batch| batch.len()), Some(1));
}

#[test]
fn a_full_queue_takes_nothing_more() {
    let team = new_team();
    let mut waiting: Vec<_> = (0..QUEUE_MAX)
        .map(|_| {
            let (operation, answer) = renews(1);
            (team.submit(operation), answer)
        })
        .collect();
    assert!(waiting.iter_mut().all(|(_, answer)| answer.try_recv().is_err()), "all of them wait");
    let (operation, mut answer) = renews(1);
    assert!(team.submit(operation).is_none());
    assert!(matches!(answer.try_recv(), Ok(Err(Outage::TimedOut))));
}

#[test]
fn everything_that_waits_fails_with_the_keeper() {
    let team = new_team();
    let [(one, mut answer), (other, mut another)] = [renews(1), renews(1)];
    let mut lease = team.submit(one).unwrap();
    assert!(team.submit(other).is_none());
    team.fail_all(&Outage::Lost);
    assert!(matches!(answer.try_recv(), Ok(Err(Outage::Lost))));
    assert!(matches!(another.try_recv(), Ok(Err(Outage::Lost))));
    assert!(lease.next().is_none());
}

#[test]
fn a_lease_cut_short_fails_what_waits() {
    let team = new_team();
    let (operation, mut answer) = renews(1);
    drop(team.submit(operation));
    assert!(matches!(answer.try_recv(), Ok(Err(Outage::Unreachable(_)))));
    assert!(team.submit(renews(1).0).is_some(), "the next one sends");
}

#[test]
fn a_lease_that_has_ended_fails_nobody() {
    let team = new_team();
    let mut first = team.submit(renews(1).0).unwrap();
    while first.next().is_some() {}
    let (operation, mut answer) = renews(1);
    let mut second = team.submit(operation).unwrap();
    drop(first);
    assert!(answer.try_recv().is_err() && second.next().is_some());
}

#[test]
fn closed_teams_are_listed_by_name() {
    let teams = Teams::default();
    for name in ["shop", "design", "labs"] {
        teams.of(&TeamId::parse(name).unwrap());
    }
    for name in ["shop", "labs"] {
        let team = teams.of(&TeamId::parse(name).unwrap());
        team.cache().team.loss = Some(Loss { closed: true, ..Loss::default() });
    }
    assert_eq!(teams.closed(), ["labs", "shop"].map(|name| TeamId::parse(name).unwrap()));
}
