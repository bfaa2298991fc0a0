//! How large a history may be, and what may go wrong in it: a failing history is run again with less of both.

use std::fmt;

use super::history;
use super::store::Planted;

/// How many callers a history has.
pub(super) const CALLERS: usize = 10;

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Messages are under way for longer than anybody waits.
    Delays,
    /// Requests and answers get lost.
    Losses,
    /// A request arrives twice.
    Repeats,
    /// Nothing of one process gets through for a while.
    Cuts,
    /// A process stands still for a while.
    Pauses,
    /// A process dies, and is started anew.
    Deaths,
    /// The clocks of processes are wrong, drift and jump.
    Clocks,
    /// The keeper's clock jumps.
    KeeperClock,
    /// Callers leave before they are answered.
    Departures,
    /// The store is emptied.
    Flushes,
    /// A replica takes over that lacks the last writes.
    OlderCopies,
    /// The limits change, and processes hear of it one after another.
    Limits,
    /// Some of what a process knows gives way.
    Forgetting,
}

/// What becomes of one step, wherever in a history it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meddling {
    /// Others were first.
    Refused,
    /// It never comes to the keeper.
    Lost,
    /// It is done, and nobody is told.
    AnswerLost,
    /// It is done, and the connection breaks before its answer comes: it is sent again.
    Broken,
}

impl Meddling {
    /// Every kind.
    pub(super) const ALL: [Self; 4] = [Self::Refused, Self::Lost, Self::AnswerLost, Self::Broken];
}

impl Fault {
    /// By these the store loses what was written to it.
    pub(super) const LOSSES: [Self; 2] = [Self::Flushes, Self::OlderCopies];
    /// Every kind.
    pub(super) const ALL: [Self; 13] = [
        Self::Delays,
        Self::Losses,
        Self::Repeats,
        Self::Cuts,
        Self::Pauses,
        Self::Deaths,
        Self::Clocks,
        Self::KeeperClock,
        Self::Departures,
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
    /// How many teams there may be.
    pub(super) teams: usize,
    /// The numbers of those who call, out of [`CALLERS`].
    pub(super) callers: Vec<usize>,
    pub(super) faults: Vec<Fault>,
    /// What becomes of the step of this number, counted from the first of all.
    pub(super) meddling: Option<(Meddling, u64)>,
}

impl Default for Bounds {
    fn default() -> Self {
        let (callers, faults) = ((0..CALLERS).collect(), Fault::ALL.to_vec());
        Self { processes: 3, teams: 2, callers, faults, meddling: None }
    }
}

impl Bounds {
    pub(super) fn allow(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// What becomes of the next step.
    pub(super) fn meddles(&self, steps: &mut u64) -> Option<Meddling> {
        *steps += 1;
        self.meddling.filter(|(_, number)| number == steps).map(|(meddling, _)| meddling)
    }

    /// Smaller ones, the smallest first.
    fn smaller(&self) -> Vec<Self> {
        let (first, second) = self.callers.split_at(self.callers.len() / 2);
        let mut fewer = vec![first.to_vec(), second.to_vec()];
        let but = |one: &usize| self.callers.iter().copied().filter(|other| other != one).collect();
        fewer.extend(self.callers.iter().map(but));
        let mut smaller: Vec<Self> = fewer.into_iter().map(|callers| Self { callers, ..self.clone() }).collect();
        smaller.push(Self { processes: self.processes - 1, ..self.clone() });
        smaller.push(Self { teams: 1, ..self.clone() });
        for fault in &self.faults {
            let faults = self.faults.iter().copied().filter(|other| other != fault).collect();
            smaller.push(Self { faults, ..self.clone() });
        }
        smaller.retain(|bounds| !bounds.callers.is_empty() && bounds.processes > 0 && bounds != self);
        smaller
    }
}

/// A history in which a promise was broken.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) seed: u64,
    pub(super) bounds: Bounds,
    /// Which, and of what.
    pub(super) why: String,
    /// What had happened until then.
    pub(super) story: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, bounds, why, story } = self;
        writeln!(f, "{why}\nseed {seed}, {bounds:?}; MOONGATE_SIMULATION_SEED={seed} runs it again. Its story:")?;
        story.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// The smallest history of this seed that still breaks a promise, with its story.
pub(super) fn shrink(seed: u64, planted: Planted, mut bounds: Bounds) -> Option<Box<Broken>> {
    while let Some(smaller) = bounds.smaller().into_iter().find(|one| history::run(seed, planted, one).is_err()) {
        bounds = smaller;
    }
    history::tell(seed, planted, &bounds).err()
}
