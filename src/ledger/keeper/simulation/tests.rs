//! Runs the histories, and checks that they find the planted bugs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr;
use std::thread;

use super::bounds::{Bounds, Broken, CALLERS, Injection};
use super::history;
use super::planted::Planted;
use super::shrink::shrink;

/// Default number of histories.
const HISTORIES: u64 = 10_000;

/// Seeds that have violated a promise before. The causes:
///
/// - A step that makes a team came again after the store was emptied, and made its revision twice:
///   78040.
/// - A call that waits in a promoted copy, and was sent in what that lacks, was swept for nothing:
///   43996, 77626, 77851, 91574, 93103, 102865.
/// - So was one in what was lost; it was claimed and sent after that, and the sweep's row ended it
///   for nothing: 78451, 82457.
/// - A call that may have ended, since its own end was not answered before a loss, took the place
///   of another's hold: 22743, 34025, 215708.
/// - The checker knew only the last row of a call that had ended in two histories, 102503 and
///   117561, and took a user for kept who was forgotten and came again in the batch that ended its
///   last call, 229888.
/// - A call that was turned back, swept and claimed as sent was taken for sent after that sweep,
///   and ended twice: 101749.
/// - A row stood in the copy that took over, and its writer, who was not answered, wrote a second
///   one: 93831.
/// - The checker knew only the gateway that made a call as one who could speak for it; all others
///   who had seen it died before they could restore what they knew: 58807, 68899, 97810, 165515,
///   238204.
/// - A call that had ended before a loss ended again after it, and what others had seen of its
///   first end came later: what another call holds was freed: 1458376, 1699605.
/// - A call was renewed after its deadline, when others had swept it, and took the place of another
///   after a loss: 1323533.
/// - A call was swept in a later epoch than the one that admitted it, and was taken for open after
///   a loss: 1450892, 1635712.
/// - Two processes began epochs of the same number, since the clock was set back: what one counted
///   was lost: 1018681.
/// - A user's record was older than the team's, and what only the team held was freed: 1550045.
/// - The clock was set back, so that a call swept after a loss was not known as from before it, and
///   had two rows: 1748097.
/// - What came late was yet to be judged when the store was lost again; what it lacked was taken
///   for ended: 1324450.
/// - The checker counted a call whose process had died, though another call may have its hold, that
///   had ended and whose process was not told: 1716305.
/// - A step that ended a call was sent twice, written, and lost before the second sending was
///   refused; after the loss the call took the place of another: 2288316.
/// - The checker did not know that a process may read of a call instead of being answered:
///   2289684.
/// - Late calls that may have ended had no room beside one that stands for another: 2835006.
/// - The checker took the moment for which a step is worked out for that at which it is written:
///   1410489.
/// - A renewal came late, or from a process whose clock was wrong, and the call was swept before
///   the deadline that its process knew: 2471557, 2658716.
/// - A call that the promoted copy lacked was taken for one that may have ended there: 3216731.
/// - A call for which another stood was forgotten by its process; that other one was lost in turn,
///   and a call that had ended took its hold: 4168520.
/// - A call was swept in a promoted copy, whose clock had been set back since it was admitted; the
///   row of its end in what that lacks was written beside the sweep's: 5015627, 5430789.
/// - A step was refused when it came again, after another had followed it; its process forgot the
///   rows of the calls that it had swept: 5155303, 5504105, 5675962.
/// - A call whose process was away while the store was emptied twice was taken for one that may
///   have ended in between, where nobody knew it: 5182688, 5597556, 5743872.
/// - A call that was sent after a loss, and claimed after a second one, was taken for one that had
///   been turned back and swept before the first: 20071356.
/// - Where calls had ended twice, what a month and all time lacked for another call was added after
///   each of two losses, and one of these came back later: 20432239.
/// - An old renewal that was sent twice set a deadline back, and a sweep came before its call's
///   process thought possible: 20764419.
/// - A call that was sent after a loss was taken for one that had ended before it, when what others
///   knew came late: 30709518, 30853232.
/// - A process remembered the row of its own call, whose step was not answered, and claimed the
///   call as well: 30713737, 40370550.
/// - A call ended again after a loss, and its first end came late: it freed what another call held,
///   which was taken for ended: 40520225. Both ends were taken back where both came again:
///   60301961, 60342674, 60611814.
/// - A call that was held in addition was not known any more as one that may have ended: its row
///   was written beside the one in an older copy: 70334554. That mended 60999041 as well.
/// - A step was not answered, and once another process had written too, or after a second loss,
///   nobody could tell whether it had been written: 30778573, 60604164, 70294713, 70802651,
///   80261644. Of the first way to tell it: others may have ended the calls that such a step opened
///   (90795489), a copy may include the step after all (100807522, 110882509), and so may what was
///   counted before another epoch (130489529).
/// - Simpler rules were tried: for calls that others may have swept, 110283441; for calls that
///   stand for dearer ones, 140887417.
const ONCE_BROKEN: [u64; 94] = [
    22743, 34025, 43996, 58807, 68899, 77626, 77851, 78040, 78451, 82457, 91574, 93103, 93831,
    97810, 101_749, 102_503, 102_865, 117_561, 165_515, 215_708, 229_888, 238_204, 1_018_681,
    1_323_533, 1_324_450, 1_410_489, 1_450_892, 1_458_376, 1_550_045, 1_635_712, 1_699_605,
    1_716_305, 1_748_097, 2_288_316, 2_289_684, 2_471_557, 2_658_716, 2_778_206, 2_800_052,
    2_835_006, 3_076_551, 3_216_731, 4_168_520, 5_015_627, 5_155_303, 5_182_688, 5_430_789,
    5_504_105, 5_597_556, 5_675_962, 5_743_872, 1_243_860, 5_244_503, 5_262_545, 5_673_354,
    6_096_977, 7_110_743, 7_131_539, 7_290_717, 8_132_726, 8_351_551, 8_869_599, 8_968_288,
    8_868_233, 10_042_012, 10_095_598, 10_264_909, 11_568_274, 12_178_363, 20_071_356, 20_161_939,
    20_432_239, 20_764_419, 30_709_518, 30_713_737, 30_853_232, 40_370_550, 40_520_225, 60_301_961,
    60_342_674, 60_611_814, 60_999_041, 70_334_554, 30_778_573, 60_604_164, 70_294_713, 70_802_651,
    80_261_644, 90_795_489, 100807522, 110283441, 110882509, 130489529, 140887417,
];

/// Most failing seeds that are reported of each core's share.
const REPORTED_MAX: usize = 16;

/// Seeds of the short histories with a fault in every step.
const SHORT: Range<u64> = 1..25;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// The failing seeds.
fn broken(seeds: impl Iterator<Item = u64>, planted: Planted) -> impl Iterator<Item = u64> {
    seeds.filter(move |seed| history::run(*seed, planted, &Bounds::default()).is_err())
}

#[test]
fn every_promise_holds_in_every_history() {
    let seed: u64 = setting("MOONGATE_SIMULATION_SEED").unwrap_or(1);
    let one_only = setting::<u64>("MOONGATE_SIMULATION_SEED").map(|_| 1);
    let count = setting("MOONGATE_SIMULATION_HISTORIES").or(one_only).unwrap_or(HISTORIES);
    // Histories are independent: each core runs its share.
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let broken: BTreeSet<u64> = thread::scope(|scope| {
        let share = |first| {
            let seeds = (first..count)
                .step_by(usize::try_from(workers).unwrap_or(1))
                .map(move |n| seed.wrapping_add(n));
            scope.spawn(move || {
                broken(seeds, Planted::Nothing).take(REPORTED_MAX).collect::<Vec<_>>()
            })
        };
        let shares: Vec<_> = (0..workers.min(count)).map(share).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    });
    if let Some(seed) = broken.first() {
        let why = history::run(*seed, Planted::Nothing, &Bounds::default()).unwrap_err();
        let smallest = shrink(*seed, Planted::Nothing, Bounds::default()).unwrap();
        panic!(
            "a promise is broken with the seeds {broken:?}, with the first of them: {why}\n\
             In its smallest history: {smallest}"
        );
    }
}

#[test]
fn what_once_broke_a_promise_breaks_none() {
    let broken: Vec<u64> = broken(ONCE_BROKEN.into_iter(), Planted::Nothing).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn a_history_is_the_same_whenever_it_is_run() {
    for seed in 1..20 {
        let stories = [(); 2].map(|()| history::log(seed, &Bounds::default()));
        assert!(stories[0] == stories[1] && stories[0].len() > 10, "seed {seed}");
    }
}

#[test]
fn the_histories_come_to_what_they_are_for() {
    let mut seen = BTreeMap::new();
    (0..400).for_each(|seed| history::add_coverage(seed, &Bounds::default(), &mut seen));
    println!("{seen:#?}");
    let all = [
        "a step was refused",
        "a step came outside its times",
        "a mark found another phase",
        "a mark found no call",
        "a waiting call was swept",
        "a call that may have been sent was swept",
        "a dispatched call was swept",
        "a call that was turned back was swept",
        "a scope was forgotten",
        "rows were dropped",
        "a day ended",
        "a limit refused",
        "a call had ended before",
        "a top-up came twice",
        "there was no answer",
        "the store was emptied",
        "an older copy took over",
        "everything was restored in time",
        "whether a lost step was written is unknown",
        "a process restored too late",
        "processes continued with an older copy",
        "two teams called",
        "a call was admitted under changed limits",
        "a call was made that stands for another",
        "a row was restored",
    ];
    let missing: Vec<_> = all.into_iter().filter(|what| !seen.contains_key(what)).collect();
    assert!(missing.is_empty(), "{missing:?} is never seen");
}

/// Every bug that can be planted, and the first seed that is tried for it. Does not compile if one
/// is missing.
const fn all_planted() -> [(Planted, u64); 14] {
    match Planted::Nothing {
        Planted::Nothing
        | Planted::NoComparison
        | Planted::RowsOutside
        | Planted::OverdueUnchecked
        | Planted::TimeUnchecked
        | Planted::MarksUnchecked
        | Planted::RestoresUncompared
        | Planted::OpensAtOnce
        | Planted::ForgetsUnclaimed
        | Planted::LastIsBelieved
        | Planted::SameReplicationId
        | Planted::LeavesUnjudged
        | Planted::TeamsMixed
        | Planted::ChangesReset
        | Planted::ForgottenIsNothing => {}
    }
    [
        (Planted::NoComparison, 0),
        (Planted::RowsOutside, 0),
        (Planted::OverdueUnchecked, 0),
        (Planted::TimeUnchecked, 0),
        (Planted::MarksUnchecked, 0),
        (Planted::RestoresUncompared, 0),
        (Planted::OpensAtOnce, 0),
        (Planted::ForgetsUnclaimed, 0),
        (Planted::LastIsBelieved, 0),
        (Planted::SameReplicationId, 0),
        (Planted::LeavesUnjudged, 0),
        (Planted::TeamsMixed, 0),
        (Planted::ChangesReset, 0),
        (Planted::ForgottenIsNothing, 0),
    ]
}

#[test]
fn every_planted_fault_is_found_out() {
    for (planted, from) in all_planted() {
        let seed = broken(from..from + HISTORIES, planted)
            .next()
            .unwrap_or_else(|| panic!("{planted:?} is not found out"));
        let broken = shrink(seed, planted, Bounds::default()).unwrap();
        println!("{planted:?}: {broken}");
        assert!(!broken.why.is_empty() && broken.bounds.callers.len() <= CALLERS);
    }
}

/// A short history without random faults.
fn short() -> Bounds {
    Bounds {
        processes: 2,
        teams: 1,
        callers: (0..4).collect(),
        faults: Vec::new(),
        injection: None,
    }
}

/// Injects this fault into each step of the short histories, one at a time. Returns the number of
/// steps and the first violation.
fn inject_each(injection: Injection, planted: Planted) -> (u64, Option<Box<Broken>>) {
    let mut run_injected = 0;
    for seed in SHORT {
        for number in 1.. {
            let bounds = Bounds { injection: Some((injection, number)), ..short() };
            match history::run_injected(seed, planted, &bounds) {
                Ok(steps) if steps < number => break,
                Ok(_) => run_injected += 1,
                Err(broken) => return (run_injected, Some(broken)),
            }
        }
    }
    (run_injected, None)
}

/// Each step is refused, lost, or loses its answer, one at a time.
#[test]
fn every_promise_holds_whichever_step_fails() {
    for injection in Injection::ALL {
        let (run_injected, broken) = inject_each(injection, Planted::Nothing);
        assert!(broken.is_none(), "{injection:?}: {}", broken.unwrap());
        println!("{injection:?}: {run_injected} steps, one at a time");
        assert!(run_injected > 200, "{injection:?} befalls {run_injected} steps");
    }
}

#[test]
fn a_keeper_without_comparison_fails_on_a_repeated_step() {
    assert!(inject_each(Injection::Broken, Planted::NoComparison).1.is_some());
}

#[test]
fn a_keeper_that_writes_before_comparing_fails_on_refused_steps() {
    assert!(inject_each(Injection::Refused, Planted::RowsOutside).1.is_some());
}
