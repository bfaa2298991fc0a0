//! The histories, and the faults that they must find.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::thread;

use super::bounds::{Bounds, CALLERS, shrink};
use super::history;
use super::store::Planted;

/// How many histories are run unless somebody says otherwise.
const HISTORIES: u64 = 10_000;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// The first seed of so many of which the history breaks a promise.
fn first_broken(seeds: impl Iterator<Item = u64>, planted: Planted) -> Option<u64> {
    let bounds = Bounds::default();
    seeds.into_iter().find(|seed| history::run(*seed, planted, &bounds).is_err())
}

#[test]
fn every_promise_holds_in_every_history() {
    let seed: u64 = setting("MOONGATE_SIMULATION_SEED").unwrap_or(1);
    let one_only = setting::<u64>("MOONGATE_SIMULATION_SEED").map(|_| 1);
    let count = setting("MOONGATE_SIMULATION_HISTORIES").or(one_only).unwrap_or(HISTORIES);
    // Histories know nothing of each other: each core takes its share.
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let broken = thread::scope(|scope| {
        let share = |first| {
            let seeds =
                (first..count).step_by(usize::try_from(workers).unwrap_or(1)).map(move |n| seed.wrapping_add(n));
            scope.spawn(move || first_broken(seeds, Planted::Nothing))
        };
        let shares: Vec<_> = (0..workers.min(count)).map(share).collect();
        shares.into_iter().filter_map(|share| share.join().unwrap()).min()
    });
    if let Some(seed) = broken {
        panic!("{}", shrink(seed, Planted::Nothing, Bounds::default()).unwrap());
    }
}

#[test]
fn a_history_is_the_same_whenever_it_is_run() {
    for seed in 1..20 {
        let stories = [(); 2].map(|()| history::story(seed, &Bounds::default()));
        assert!(stories[0] == stories[1] && stories[0].len() > 10, "seed {seed}");
    }
}

#[test]
fn the_histories_come_to_what_they_are_for() {
    let mut seen = BTreeMap::new();
    (0..400).for_each(|seed| history::look(seed, &Bounds::default(), &mut seen));
    println!("{seen:#?}");
    let all = [
        "others were first",
        "the time was another",
        "a mark found something else",
        "a mark found nothing",
        "a waiting call was swept",
        "a dispatched call was swept",
        "a call that was turned back was swept",
        "a scope was forgotten",
        "rows gave way",
        "a day ended",
        "a limit refused",
        "it had ended before",
        "a top-up came twice",
        "there was no answer",
        "the store was emptied",
        "an older copy took over",
        "everything was restored in time",
        "everybody was heard, and nobody knew of everything",
        "somebody was heard too late",
        "others went on with an older copy",
        "a call was made that stands for another",
        "a row was restored",
    ];
    let missing: Vec<_> = all.into_iter().filter(|what| !seen.contains_key(what)).collect();
    assert!(missing.is_empty(), "{missing:?} is never seen");
}

fn is_found_out(planted: Planted) {
    let seed = first_broken(0..HISTORIES, planted).unwrap_or_else(|| panic!("{planted:?} is not found out"));
    let broken = shrink(seed, planted, Bounds::default()).unwrap();
    println!("{planted:?}: {broken}");
    assert!(!broken.why.is_empty() && broken.bounds.callers.len() <= CALLERS);
}

#[test]
fn a_keeper_that_does_not_compare_is_found_out() {
    is_found_out(Planted::NoComparison);
}

#[test]
fn a_keeper_that_writes_before_it_compares_is_found_out() {
    is_found_out(Planted::RowsOutside);
}

#[test]
fn a_keeper_that_ends_calls_without_looking_whether_they_are_overdue_is_found_out() {
    is_found_out(Planted::OverdueUnchecked);
}

#[test]
fn a_keeper_that_marks_calls_whatever_is_kept_of_them_is_found_out() {
    is_found_out(Planted::MarksUnchecked);
}

#[test]
fn a_restore_that_is_not_compared_is_found_out() {
    is_found_out(Planted::RestoresUncompared);
}

#[test]
fn a_team_that_opens_without_waiting_for_the_others_is_found_out() {
    is_found_out(Planted::OpensAtOnce);
}

#[test]
fn a_restore_that_gives_back_what_nobody_claims_is_found_out() {
    is_found_out(Planted::ForgetsUnclaimed);
}

#[test]
fn a_restore_that_believes_the_last_to_come_is_found_out() {
    is_found_out(Planted::LastIsBelieved);
}

#[test]
fn a_copy_that_passes_for_the_server_that_it_is_a_copy_of_is_found_out() {
    is_found_out(Planted::SameReign);
}

#[test]
fn a_keeper_that_does_not_look_at_its_time_is_found_out() {
    is_found_out(Planted::TimeUnchecked);
}
