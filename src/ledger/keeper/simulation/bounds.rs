//! How large a history may be, and what may go wrong in it.

use std::fmt;

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
        writeln!(
            f,
            "{why}\nseed {seed}, {bounds:?}; MOONGATE_SIMULATION_SEED={seed} runs it again. Its story:"
        )?;
        story.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
