//! What an attempt at a batch sends, and how it handles the reply.
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::*;
use crate::ledger::keeper::lives;
use crate::ledger::keeper::scripted::{Scripted, at, found, knowing, new_team, replied, returned};
use crate::ledger::keeper::step::{Changes, Due, TeamRecord};
use crate::ledger::machine::memory_records::{Ledger, NOW, SECOND, TTL, call, of};
use crate::ledger::machine::{Ended, Loss, ScopeName, ScopeRecord, memory_records, name_of_step};
use crate::ledger::{Phase, Scope};

pub(super) fn keeper(verdict: Verdict) -> Scripted {
    Scripted::new(move |_| Ok(replied(verdict)))
}

/// A batch of one operation. Nobody waits for its answer.
pub(super) fn quotes() -> Batch {
    let admission = Box::new(call([of(Scope::Team, [])], 7));
    vec![Operation::Quote { admission, response: oneshot::channel().0 }]
}

pub(super) fn admits() -> Batch {
    let admission = Box::new(call([of(Scope::Team, [])], 7));
    vec![Operation::Admit { admission, response: oneshot::channel().0 }]
}

pub(super) fn accepts() -> Batch {
    vec![Operation::Accept { response: oneshot::channel().0 }]
}

pub(super) fn renews(id: ReservationId) -> Batch {
    vec![Operation::Renew { ids: vec![id], response: oneshot::channel().0 }]
}

fn dispatches(id: ReservationId) -> Batch {
    vec![Operation::Dispatch { id, response: oneshot::channel().0 }]
}

/// Everything that such a batch reads, of a team on this server, with an open call.
pub(super) fn whole(replication_id: u64) -> (Found, ReservationId) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let until = lives::least(NOW, &ledger.rules);
    let whole = Found {
        team: TeamRecord { until, replication_id, ..TeamRecord::default() },
        scopes: vec![(ScopeName::from(&Scope::Team), ScopeRecord::default())],
        calls: vec![(id, ledger.kept.calls.remove(&id))],
        due: Some(Due::default()),
        ..found(at(5, 50), None)
    };
    (whole, id)
}

/// A process that has read all of it.
pub(super) fn knows(replication_id: u64) -> (Arc<Team>, ReservationId) {
    let (whole, id) = whole(replication_id);
    let team = new_team();
    team.cache().learn(whole, 0, (NOW, NOW + TTL));
    (team, id)
}

pub(super) fn prepares(
    attempt: &mut Attempt,
    keeper: &Scripted,
    team: &Arc<Team>,
    batch: &Batch,
) -> (Option<Box<Step>>, Option<Box<Work>>) {
    attempt.prepare(&keeper.context(), team, batch)
}

/// The result of an attempt that gets this reply to its prepared step.
pub(super) fn takes(
    attempt: &mut Attempt,
    (keeper, team): (&Scripted, &Arc<Team>),
    batch: &Batch,
    reply: impl FnOnce(&Step) -> Reply,
) -> Result<Option<Carried>, Outage> {
    let (step, work) = prepares(attempt, keeper, team, batch);
    let step = step.unwrap();
    let reply = reply(&step);
    keeper.run(attempt.take(&keeper.context(), team, batch, (step, work), reply))
}

/// An operator does not wait for that, and opens a team that waits only for the operator.
#[test]
fn a_closed_team_opens_after_a_time_or_by_hand() {
    let since = NOW - SECOND;
    let opens = |now, hold, batch| {
        let is = found(at(5, 50), Some(Loss::noticed(None, None, since)));
        let mut keeper = Scripted::new(move |step| {
            let found = step.changes.is_nothing().then(|| is.clone());
            let verdict = if found.is_some() { Verdict::NotWritten } else { Verdict::Done };
            Ok(Reply { at: now, found, ..replied(verdict) })
        });
        keeper.loss.hold = hold;
        keeper.now.store(now, Ordering::Relaxed);
        let team = knowing(found(at(5, 50), Some(Loss::noticed(None, None, since))));
        let mut attempt = Attempt { fresh: true, ..Attempt::new(&batch) };
        let outcome = keeper.run(attempt.open(&keeper.context(), &team));
        let is_open = !team.cache().team().is_closed();
        assert_eq!((outcome.is_ok(), attempt.fresh), (is_open, !is_open));
        (is_open, keeper.steps().len())
    };
    assert_eq!(opens(NOW - 1, false, quotes()), (false, 0));
    assert_eq!(opens(NOW, false, quotes()), (true, 2));
    assert_eq!(opens(NOW + 1, false, quotes()), (true, 2));
    assert_eq!(opens(NOW + 1, true, quotes()), (false, 0), "an operator must accept it");
    for hold in [false, true] {
        assert_eq!(opens(NOW - 1, hold, accepts()), (true, 2));
    }
}

#[test]
fn what_may_have_changed_is_read_first() {
    let keeper = keeper(Verdict::Done);
    let closed = knowing(found(at(5, 50), Some(Loss::noticed(None, None, NOW))));
    for (team, is_old, is_read) in [
        (knows(0).0, false, false),
        (knows(0).0, true, true),
        (closed, false, true),
        (new_team(), false, true),
    ] {
        let mut attempt = Attempt { is_old, ..Attempt::new(&quotes()) };
        let (step, work) = prepares(&mut attempt, &keeper, &team, &quotes());
        let step = step.unwrap();
        assert_eq!((step.expected == Expected::Anything, work.is_none()), (is_read, is_read));
        assert!(step.reads && step.wanted.scopes.len() == 1 && !attempt.is_old);
        assert_eq!(step.until - step.from, SECOND, "a later renewal does not count");
    }
}

/// Records that were just read are not read again.
#[test]
fn a_batch_that_changes_nothing_is_answered_at_once() {
    let keeper = keeper(Verdict::Done);
    let (team, id) = knows(0);
    for (batch, fresh, is_sent) in [
        (quotes(), true, false),
        (quotes(), false, true),
        (admits(), true, true),
        (dispatches(id), true, true),
        (renews(id), true, true),
    ] {
        let mut attempt = Attempt { fresh, ..Attempt::new(&batch) };
        let (step, work) = prepares(&mut attempt, &keeper, &team, &batch);
        assert_eq!((step.is_some(), work.is_some()), (is_sent, true));
        assert!(step.is_none_or(|step| !step.wanted.due), "nothing is overdue");
    }
}

/// If it is unknown whether it was written, it may be swept, and opened again.
#[test]
fn a_call_is_opened_within_its_first_life_only() {
    let keeper = keeper(Verdict::Done);
    for (since, until) in
        [(None, NOW + SECOND), (Some(NOW - TTL + 5), NOW + 5), (Some(NOW - 5), NOW + SECOND)]
    {
        let mut attempt = Attempt { opens_since: since, ..Attempt::new(&admits()) };
        let step = prepares(&mut attempt, &keeper, &knows(0).0, &admits()).0.unwrap();
        assert_eq!((step.until, attempt.opens_since), (until, since.or(Some(NOW))));
    }
    let mut attempt = Attempt { opens_since: Some(NOW - TTL + 5), ..Attempt::new(&quotes()) };
    let step = prepares(&mut attempt, &keeper, &knows(0).0, &quotes()).0.unwrap();
    assert_eq!(step.until, NOW + SECOND, "it opens nothing");
    let mut attempt = Attempt::new(&quotes());
    prepares(&mut attempt, &keeper, &knows(0).0, &quotes());
    assert_eq!(attempt.opens_since, None);
}

#[test]
fn a_team_learns_its_server_with_its_first_change() {
    let keeper = keeper(Verdict::Done);
    keeper.replication_id.store(4, Ordering::Relaxed);
    for (known, batch, replication_id, is_written) in
        [(0, admits(), 4, Some(4)), (3, admits(), 3, None), (0, quotes(), 0, None)]
    {
        let step = prepares(&mut Attempt::new(&batch), &keeper, &knows(known).0, &batch).0.unwrap();
        assert_eq!(step.replication_id, replication_id);
        assert_eq!(step.changes.team.map(|team| team.replication_id), is_written);
    }
}

#[test]
fn only_a_process_alone_asks_what_is_there_later() {
    let keeper = keeper(Verdict::Done);
    for (is_alone, batch, reads) in [
        (false, admits(), true),
        (true, admits(), false),
        (true, quotes(), true),
        (false, quotes(), true),
    ] {
        let (team, _) = knows(0);
        for _ in 0..if is_alone { 4 } else { 3 } {
            team.cache().change(Changes::default(), at(5, 50));
        }
        let step = prepares(&mut Attempt::new(&batch), &keeper, &team, &batch).0.unwrap();
        assert_eq!((step.reads, step.wanted.scopes.len()), (reads, usize::from(reads)));
    }
}

#[test]
fn a_batch_refused_twice_asks_to_go_first() {
    let (keeper, batch) = (keeper(Verdict::Done), admits());
    let (team, _) = knows(0);
    let mut attempt = Attempt::new(&batch);
    let mut wants = Vec::new();
    for _ in 0..4 {
        let outcome = takes(&mut attempt, (&keeper, &team), &batch, |step| {
            wants.push(step.wants_turn);
            returned(whole(0).0)
        });
        assert!(matches!(outcome, Ok(None)) && attempt.fresh, "it was just read");
    }
    assert_eq!(wants, [false, false, true, true]);
}

/// Another process seems to write for the team now.
#[test]
fn a_process_that_was_not_told_asks_next() {
    let (keeper, batch) = (keeper(Verdict::Done), admits());
    let (team, _) = knows(0);
    (0..4).for_each(|_| team.cache().change(Changes::default(), at(5, 50)));
    let mut attempt = Attempt::new(&batch);
    let outcome = takes(&mut attempt, (&keeper, &team), &batch, |_| replied(Verdict::NotWritten));
    assert!(matches!(outcome, Ok(None)) && !team.cache().is_alone());
    let step = prepares(&mut attempt, &keeper, &team, &batch).0.unwrap();
    assert_eq!(step.expected, Expected::Anything);
}

#[test]
fn a_mark_is_answered_whether_its_call_is_open() {
    for (marked, is_open) in [(Marked::Done, true), (Marked::Gone, false)] {
        let keeper = keeper(Verdict::Done);
        let (team, id) = knows(0);
        let batch = [quotes(), dispatches(id)].into_iter().flatten().collect();
        let carried = takes(&mut Attempt::new(&batch), (&keeper, &team), &batch, |_| Reply {
            marked: vec![marked],
            marks: 8,
            ..replied(Verdict::Done)
        });
        let answers = carried.unwrap().unwrap().work.answers;
        assert!(matches!(answers[1], Answer::IsOpen(open) if open == is_open));
        let cache = team.cache();
        let phase = cache.last_known(id).and_then(|record| record.phase());
        assert_eq!((phase, cache.marks), (is_open.then_some(Phase::Dispatched), 8));
    }
}

/// The first answer was lost. Another process may have written since.
#[test]
fn a_step_that_came_twice_is_carried_through() {
    let (keeper, batch) = (keeper(Verdict::Done), admits());
    let others = name_of_step(9, 1);
    for (has_gone_on, is_carried) in [(false, true), (true, true), (true, false)] {
        let (team, _) = knows(0);
        let carried = takes(&mut Attempt::new(&batch), (&keeper, &team), &batch, |step| {
            let before = if is_carried { step.makes } else { at(5, 50) };
            let revision = if has_gone_on { before.next(others) } else { before };
            returned(Found { revision: Some(revision), ..whole(0).0 })
        });
        assert_eq!(carried.unwrap().is_some(), is_carried);
        assert_eq!(team.cache().revision().map(|is| is.number), Some(51));
        assert!(team.cache().in_doubt.is_empty(), "what was written is known");
    }
    let (team, _) = knows(0);
    let carried = takes(&mut Attempt::new(&quotes()), (&keeper, &team), &quotes(), |step| {
        returned(Found { revision: Some(step.makes), ..whole(0).0 })
    });
    assert!(carried.unwrap().is_none(), "it makes no revision");
}

/// The same if the keeper has lost the phase of a call.
#[test]
fn a_reply_with_fewer_marks_closes_the_team() {
    let (keeper, batch) = (keeper(Verdict::Done), quotes());
    let (team, _) = knows(0);
    team.cache().note_marks(9);
    let reply = |_: &Step| Reply { marks: 8, ..replied(Verdict::Done) };
    let outcome = takes(&mut Attempt::new(&batch), (&keeper, &team), &batch, reply);
    assert!(matches!(outcome, Ok(None)) && team.cache().is_closed());
    assert_eq!(keeper.events(), ["lost", "doubted", "made"]);
}

/// Calls that it ended are reported when the keeper shows that the step was written.
#[test]
fn a_step_without_an_answer_is_in_doubt() {
    let keeper = keeper(Verdict::Done);
    for (batch, is_in_doubt) in [(admits(), true), (quotes(), false)] {
        let (team, _) = knows(0);
        let (step, work) = prepares(&mut Attempt::new(&batch), &keeper, &team, &batch);
        let (mut step, makes) = step.map(|step| (step.clone(), step.makes)).unwrap();
        let swept = vec![Ended::of(&memory_records::team())];
        Attempt::doubt(&team, &mut step, work.map(|work| Box::new(Work { swept, ..*work })));
        let confirmed = team.cache().confirm(makes);
        assert_eq!(confirmed.map(|(swept, _)| swept.len()), is_in_doubt.then_some(1));
    }
}

/// Written, and lost before it came a second time.
#[test]
fn a_refused_end_may_have_been_written_before_a_loss() {
    let (keeper, batch, (team, id)) = (keeper(Verdict::Done), admits(), knows(0));
    team.cache().owns_admitted(id);
    let step = Step {
        expected: Expected::Revision(at(5, 50)),
        makes: at(5, 51),
        changes: Changes { ended: vec![id], ..Changes::default() },
        ..Step::reading(NOW, Wanted::default(), Vec::new(), NOW + TTL)
    };
    let reply = returned(Found::default());
    let mut attempt = Attempt::new(&batch);
    let (_, work) = prepares(&mut Attempt::new(&batch), &keeper, &team, &batch);
    let taken =
        keeper.run(attempt.take(&keeper.context(), &team, &batch, (Box::new(step), work), reply));
    assert!(matches!(taken, Ok(None)));
    let memory = team.cache().left_to_restore();
    assert_eq!(memory.map(|memory| memory.calls[&id].voids.clone()), Some(vec![at(5, 51)]));
}

#[test]
fn a_call_nobody_knows_is_read_before_its_mark() {
    let (keeper, id) = (keeper(Verdict::Done), ReservationId::new());
    let batch = dispatches(id);
    let (step, work) = prepares(&mut Attempt::new(&batch), &keeper, &knows(0).0, &batch);
    let step = step.unwrap();
    assert!(work.is_none() && step.expected == Expected::Anything);
    assert_eq!(step.wanted.calls, [id].into());
}
