//! How a loss is noticed, reported and noted.
use std::sync::atomic::Ordering;

use super::*;
use crate::ledger::Phase;
use crate::ledger::keeper::own::InDoubt;
use crate::ledger::keeper::scripted::{Scripted, at, found, knowing, new_team, replied, returned};
use crate::ledger::keeper::step::Due;
use crate::ledger::machine::memory_records::{self, NOW};
use crate::ledger::machine::{Ended, name_of_step};

/// The steps of a process that knows a team at change 50 of epoch 5 and reads this.
fn compared(keeper: &Scripted, team: &Arc<Team>, found: Found) {
    let step = Step::reading(NOW, Wanted::default(), Vec::new(), NOW);
    keeper.run(handle_reply(&keeper.context(), team, &step, returned(found))).unwrap();
}

fn keeper(verdict: Verdict) -> Scripted {
    Scripted::new(move |_| Ok(replied(verdict)))
}

#[test]
fn a_team_closes_when_its_deadlines_or_ends_are_lost() {
    let due = |is_lost| Some(Due { is_lost, ..Due::default() });
    for (ends_are_lost, due, closes) in [
        (false, due(false), false),
        (false, None, false),
        (true, None, true),
        (true, due(false), true),
        (false, due(true), true),
    ] {
        let (keeper, team) = (keeper(Verdict::Done), knowing(found(at(5, 50), None)));
        compared(&keeper, &team, Found { ends_are_lost, due, ..found(at(5, 51), None) });
        assert_eq!(keeper.steps().len(), usize::from(closes));
        assert_eq!(team.cache().is_closed(), closes);
    }
}

/// A team without records, or one that was never seen, begins none either.
#[test]
fn a_loss_that_others_noticed_begins_no_second_epoch() {
    let noticed = Loss::noticed(Some(at(5, 50)), None, NOW);
    let (keeper, team) = (keeper(Verdict::Done), knowing(found(at(5, 50), None)));
    compared(&keeper, &team, Found { ends_are_lost: true, ..found(at(9, 51), Some(noticed)) });
    compared(&keeper, &new_team(), Found { ends_are_lost: true, ..Found::default() });
    assert_eq!(keeper.steps().len(), 0);
    assert_eq!(keeper.events(), ["lost", "doubted"]);
    assert_eq!(team.cache().revision(), Some(at(9, 51)));
}

#[test]
fn a_loss_is_reported_once_until_the_team_returns() {
    // Other processes write first each time, so nothing of the team is known from then on.
    let (keeper, team) = (keeper(Verdict::NotWritten), knowing(found(at(5, 50), None)));
    let loses = || {
        let left = (None, TeamRecord::default());
        keeper.run(note_loss(&keeper.context(), &team, left, false)).unwrap();
        keeper.events().iter().filter(|event| *event == "lost" || *event == "doubted").count()
    };
    assert_eq!([loses(), loses(), loses()], [2, 0, 0]);
    team.cache().learn(found(at(9, 51), None), 0, (NOW, NOW));
    assert_eq!([loses(), loses()], [2, 0]);
}

/// The step that closes a team with these surviving and these known records, at this time.
fn closing(left: Option<Revision>, known: Revision, now: i64, record: TeamRecord) -> Step {
    let (keeper, team) = (keeper(Verdict::Done), knowing(found(known, None)));
    keeper.now.store(now, Ordering::Relaxed);
    keeper.replication_id.store(4, Ordering::Relaxed);
    team.cache().remember();
    keeper.run(close(&keeper.context(), &team, (left, record))).unwrap();
    keeper.steps().pop().unwrap()
}

#[test]
fn a_closed_team_outlives_those_who_must_restore_it() {
    let least = lives::least(NOW, &keeper(Verdict::Done).rules);
    for until in [7, lives::FOR_EVER] {
        let record = TeamRecord { until, rows: [3, 4], ..TeamRecord::default() };
        let step = closing(Some(at(5, 50)), at(5, 52), NOW, record.clone());
        let loss = Some(Loss::noticed(Some(at(5, 50)), None, NOW));
        let is = TeamRecord { until: until.max(least), loss, replication_id: 4, ..record };
        assert_eq!(
            (step.changes.team, step.changes.lives_on, step.replication_id),
            (Some(is), true, 4)
        );
    }
}

/// The epoch is later even if the keeper's clock is set back.
#[test]
fn a_loss_begins_a_later_epoch_than_any_known() {
    let makes = |left, known, now| {
        let step = closing(left, known, now, TeamRecord::default());
        (step.expected, [step.makes.epoch, step.makes.number])
    };
    let (now, epoch) = (NOW, NOW.unsigned_abs());
    let left = at(5, 50);
    assert_eq!(makes(Some(left), at(5, 52), now), (Expected::Revision(left), [epoch, 51]));
    assert_eq!(makes(Some(left), at(7, 52), 3), (Expected::Revision(left), [10, 51]));
    assert_eq!(makes(Some(at(9, 50)), at(7, 52), 3).1, [12, 51]);
    let (expected, [epoch, number]) = makes(None, at(7, 52), 3);
    assert!(
        matches!(expected, Expected::Nothing(mark) if mark.name > 0 && mark.left_at == 9),
        "nothing but its mark is left"
    );
    assert_eq!([epoch, number], [13, 0], "it begins without records, so it is odd");
}

#[test]
fn a_closed_team_is_known_once_it_was_written() {
    for (verdict, is_known) in [(Verdict::Done, true), (Verdict::NotWritten, false)] {
        let (keeper, team) = (keeper(verdict), knowing(found(at(5, 50), None)));
        team.cache().remember();
        let left = (Some(at(5, 50)), TeamRecord::default());
        keeper.run(close(&keeper.context(), &team, left)).unwrap();
        let made = keeper.steps().pop().unwrap().makes;
        assert_eq!(team.cache().revision(), is_known.then_some(made));
        assert_eq!(team.cache().team().is_closed(), is_known);
        assert_eq!(keeper.events().contains(&"made".to_owned()), is_known);
    }
}

/// The step is reported when the keeper shows that it was written.
#[test]
fn a_step_in_doubt_counts_once_it_was_found() {
    let (mine, others) = (at(5, 50).next(name_of_step(1, 1)), at(5, 50).next(name_of_step(2, 1)));
    for (is, is_done) in [(mine, true), (mine.next(others.name), true), (others, false)] {
        let (keeper, team) = (keeper(Verdict::Done), knowing(found(at(5, 50), None)));
        let record = TeamRecord { rows: [3, 4], ..TeamRecord::default() };
        let changes = Changes { team: Some(record), ..Changes::default() };
        let swept = vec![Ended::of(&memory_records::team())];
        let (added, crossed) = (Vec::new(), Vec::new());
        team.cache().doubt(InDoubt { makes: mine, changes, added, swept, crossed });
        compared(&keeper, &team, found(is, None));
        assert_eq!(keeper.events().len(), usize::from(is_done));
    }
}

/// The claim spares other processes from guessing the phases of its calls.
#[test]
fn a_process_claims_its_calls_on_a_promoted_server() {
    let mut ledger = memory_records::Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let calls = vec![(id, ledger.kept.calls.remove(&id))];
    for (is, is_claimed) in [
        (found(at(9, 51), Some(Loss::taken_over(at(5, 50), None, NOW, 0))), true),
        (found(at(5, 51), None), false),
    ] {
        let known = Found { calls: calls.clone(), ..found(at(5, 50), None) };
        let (keeper, team) = (keeper(Verdict::Done), knowing(known));
        team.cache().owns_admitted(id);
        compared(&keeper, &team, is);
        assert_eq!(team.cache().left_to_restore().is_some(), is_claimed);
        assert_eq!(keeper.steps().len(), 0, "nothing was lost");
    }
}
