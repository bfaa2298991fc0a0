//! Bounds of a history: its size, and the faults that may be injected.

use std::fmt;

/// Number of callers of a history.
pub(super) const CALLERS: usize = 10;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Messages take longer than their senders wait.
    Delays,
    /// Requests and answers are lost.
    Losses,
    /// A request arrives twice.
    Repeats,
    /// One process is partitioned from the keeper for a while.
    Partitions,
    /// A process is paused for a while.
    Pauses,
    /// A process crashes and restarts.
    Crashes,
    /// Clocks of processes are wrong, drift and jump.
    Clocks,
    /// The keeper's clock jumps.
    KeeperClock,
    /// Callers leave before the answer.
    Leaving,
    /// The store is emptied.
    Flushes,
    /// A replica without the last writes is promoted.
    OlderCopies,
    /// The limits change, and processes learn of it one after another.
    Limits,
    /// A process evicts some records from its cache.
    Forgetting,
}

/// A fault injected into one step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Injection {
    /// Refused as if others had written first.
    Refused,
    /// Does not reach the keeper.
    Lost,
    /// Applied, and its answer is lost.
    AnswerLost,
    /// Applied, and the connection breaks before the answer: it is sent again.
    Broken,
}

impl Injection {
    /// Every kind.
    pub(super) const ALL: [Self; 4] = [Self::Refused, Self::Lost, Self::AnswerLost, Self::Broken];
}

impl Fault {
    /// Faults by which the store loses writes.
    pub(super) const LOSSES: [Self; 2] = [Self::Flushes, Self::OlderCopies];
    /// Every kind.
    pub(super) const ALL: [Self; 13] = [
        Self::Delays,
        Self::Losses,
        Self::Repeats,
        Self::Partitions,
        Self::Pauses,
        Self::Crashes,
        Self::Clocks,
        Self::KeeperClock,
        Self::Leaving,
        Self::Flushes,
        Self::OlderCopies,
        Self::Limits,
        Self::Forgetting,
    ];
}

/// The bounds of one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) processes: usize,
    /// Number of teams.
    pub(super) teams: usize,
    /// Numbers of the active callers, out of [`CALLERS`].
    pub(super) callers: Vec<usize>,
    pub(super) faults: Vec<Fault>,
    /// The fault injected into the step of this number, counted from the history's first.
    pub(super) injection: Option<(Injection, u64)>,
}

impl Default for Bounds {
    fn default() -> Self {
        let (callers, faults) = ((0..CALLERS).collect(), Fault::ALL.to_vec());
        Self { processes: 3, teams: 2, callers, faults, injection: None }
    }
}

impl Bounds {
    pub(super) fn allow(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// The fault injected into the next step.
    pub(super) fn injects(&self, steps: &mut u64) -> Option<Injection> {
        *steps += 1;
        self.injection.filter(|(_, number)| number == steps).map(|(injection, _)| injection)
    }
}

/// A history that violates a promise.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) seed: u64,
    pub(super) bounds: Bounds,
    /// The promise, and how it is violated.
    pub(super) why: String,
    /// The events until then.
    pub(super) log: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, bounds, why, log } = self;
        writeln!(
            f,
            "{why}\nseed {seed}, {bounds:?}; MOONGATE_SIMULATION_SEED={seed} runs it \
             again. Its story:"
        )?;
        log.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
