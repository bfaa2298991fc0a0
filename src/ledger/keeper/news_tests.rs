//! What the keeper's records mean for a process that has read them before.
use super::*;
use crate::ledger::keeper::step::TeamRecord;
use crate::ledger::machine::{Loss, Revision};

const fn at(epoch: u64, number: u64, name: u64) -> Revision {
    Revision::new(epoch, number, name)
}

fn found(revision: Revision, loss: Option<Loss>) -> Found {
    Found {
        revision: Some(revision),
        team: TeamRecord { loss, ..TeamRecord::default() },
        ..Found::default()
    }
}

/// A process that has seen this revision, and seven marks.
fn has_seen(revision: Revision) -> TeamCache {
    let mut cache = TeamCache::default();
    cache.learn(found(revision, None), 7, (0, 0));
    cache
}

/// The same process after it noticed a loss, without a read since.
fn has_heard_of_a_loss(revision: Revision) -> TeamCache {
    let mut cache = has_seen(revision);
    cache.remember();
    cache
}

#[test]
fn to_a_process_that_has_seen_nothing_nothing_is_lost() {
    let cache = TeamCache::default();
    assert_eq!(cache.compare(&Found::default(), 0), News::None);
    assert_eq!(
        cache.compare(&found(at(9, 1, 1), Some(Loss::noticed(None, None, 9))), 0),
        News::None
    );
}

#[test]
fn newer_records_lack_nothing_and_diverged_ones_do() {
    let cache = has_seen(at(5, 50, 3));
    let compared = |revision| cache.compare(&found(revision, None), 7);
    assert_eq!([at(5, 50, 3), at(5, 51, 1)].map(compared), [News::None; 2]);
    assert_eq!([at(5, 49, 4), at(5, 50, 2), at(5, 50, 4)].map(compared), [News::Lost; 3]);
    assert_eq!(
        [at(4, 60, 3), at(6, 60, 3)].map(compared),
        [News::Lost; 2],
        "a team that others have begun anew"
    );
    assert_eq!(cache.compare(&Found::default(), 7), News::Lost);
}

#[test]
fn where_marks_are_missing_something_is_lost() {
    let cache = has_seen(at(5, 50, 3));
    let compared = |marks| cache.compare(&found(at(5, 51, 4), None), marks);
    assert_eq!([compared(6), compared(7), compared(8)], [News::Lost, News::None, News::None]);
}

#[test]
fn a_loss_that_others_have_noticed_is_reported_once() {
    let loss = Some(Loss::noticed(Some(at(5, 50, 3)), None, 9));
    let compared = |cache: &TeamCache| cache.compare(&found(at(9, 56, 1), loss.clone()), 7);
    assert_eq!(compared(&has_seen(at(5, 50, 3))), News::LostBefore);
    assert_eq!(compared(&has_heard_of_a_loss(at(5, 50, 3))), News::LostBefore);
    let mut cache = has_seen(at(5, 50, 3));
    cache.learn(found(at(9, 55, 2), loss.clone()), 7, (0, 0));
    assert_eq!(compared(&cache), News::None);
}

#[test]
fn a_promoted_copy_has_lost_only_what_it_lacks() {
    let copy = found(at(9, 51, 1), Some(Loss::taken_over(at(5, 50, 3), None, 9, 7)));
    let older = found(at(9, 51, 1), Some(Loss::taken_over(at(5, 50, 3), None, 9, 6)));
    for before in [has_seen, has_heard_of_a_loss] {
        assert_eq!(before(at(5, 50, 3)).compare(&copy, 7), News::TakenOver);
        assert_eq!(before(at(5, 51, 3)).compare(&copy, 7), News::Lost, "a change");
        assert_eq!(before(at(5, 50, 3)).compare(&older, 7), News::Lost, "a mark");
    }
}
