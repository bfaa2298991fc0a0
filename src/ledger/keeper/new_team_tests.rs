//! A team that this process has never seen: it is trusted, made, or found to be lost.
use super::tests::{accepts, admits, keeper, knows, prepares, quotes, takes};
use super::*;
use crate::ledger::keeper::scripted::{at, found, knowing, new_team, replied, returned};
use crate::ledger::keeper::step::Due;
use crate::ledger::machine::ScopeRecord;
use crate::ledger::machine::memory_records::NOW;

/// A team that was never seen needs it, unless an operator accepts the records.
#[test]
fn a_team_that_was_seen_needs_no_trust() {
    let remembers = knowing(found(at(5, 50), None));
    remembers.cache().remember();
    for (team, needs) in [(new_team(), true), (knows(0).0, false), (remembers, false)] {
        assert_eq!(Attempt::new(&quotes()).must_trust(&team), needs);
        assert!(Attempt::new(&accepts()).must_trust(&team));
    }
}

#[test]
fn a_team_is_trusted_only_when_the_keeper_says_so() {
    for (trust, is_held) in
        [(TrustState::Trusted, false), (TrustState::TooNew, false), (TrustState::Held, true)]
    {
        let (mut keeper, team) = (keeper(Verdict::Done), new_team());
        keeper.trust = trust;
        let outcome = keeper.run(Attempt::new(&quotes()).trust(&keeper.context(), &team));
        assert_eq!(outcome.is_ok(), trust == TrustState::Trusted);
        assert_eq!(team.cache().is_held, is_held);
    }
}

/// The reply of a keeper without records of a team.
fn nothing(step: &Step) -> Reply {
    let scopes = step.wanted.scopes.iter().map(|name| (name.clone(), ScopeRecord::default()));
    let due = Some(Due::default());
    returned(Found { scopes: scopes.collect(), due, ..Found::default() })
}

#[test]
fn a_new_team_is_made_by_its_first_batch() {
    let (keeper, batch, team) = (keeper(Verdict::Done), admits(), new_team());
    let mut attempt = Attempt::new(&batch);
    assert!(takes(&mut attempt, (&keeper, &team), &batch, nothing).unwrap().is_none());
    assert_eq!(keeper.events(), ["mark 1", "may it be made"]);
    // Odd, since it begins without records.
    let epoch = NOW.unsigned_abs() + 1;
    // The first has the name that was given to the revision itself.
    for name in 3..6 {
        let step = prepares(&mut attempt, &keeper, &team, &batch).0.unwrap();
        assert_eq!(
            (step.expected, step.reads),
            (Expected::Nothing(LeftMark { name: 1, left_at: 9 }), true)
        );
        assert_eq!(step.makes, Revision::new(epoch, 0, name), "each step has its own");
    }
    let carried = takes(&mut attempt, (&keeper, &team), &batch, |_| replied(Verdict::Done));
    assert!(carried.unwrap().is_some());
    assert_eq!(keeper.events(), ["made"]);
    assert_eq!(team.cache().revision(), Some(Revision::new(epoch, 0, 6)));
}

/// Emptied since it was found new, it is asked about again.
#[test]
fn a_new_team_that_is_refused_is_found_out_again() {
    let (keeper, batch, team) = (keeper(Verdict::Done), admits(), new_team());
    let mut attempt = Attempt::new(&batch);
    for mark in ["mark 1", "mark 4"] {
        assert!(takes(&mut attempt, (&keeper, &team), &batch, nothing).unwrap().is_none());
        assert_eq!(keeper.events(), [mark, "may it be made"]);
    }
}

/// Another process may have made it since it was read: it is read once more.
#[test]
fn a_team_the_keeper_had_before_is_lost() {
    let batch = quotes();
    let (mut keeper, team) = (keeper(Verdict::Done), new_team());
    keeper.may_be_made = false;
    let mut attempt = Attempt::new(&batch);
    assert!(takes(&mut attempt, (&keeper, &team), &batch, nothing).unwrap().is_none());
    assert_eq!(keeper.events(), ["mark 1", "may it be made"]);
    assert!(takes(&mut attempt, (&keeper, &team), &batch, nothing).unwrap().is_none());
    let events = keeper.events();
    assert!(events.contains(&"lost".to_owned()) && team.cache().is_closed(), "{events:?}");
}

#[test]
fn a_known_team_of_which_nothing_is_left_is_lost() {
    let (keeper, batch) = (keeper(Verdict::Done), quotes());
    let (known, _) = knows(0);
    let remembers = knows(0).0;
    remembers.cache().remember();
    for team in [known, remembers] {
        takes(&mut Attempt::new(&batch), (&keeper, &team), &batch, nothing).unwrap();
        assert!(!keeper.events().contains(&"may it be made".to_owned()));
        assert!(team.cache().team().is_closed());
    }
}
