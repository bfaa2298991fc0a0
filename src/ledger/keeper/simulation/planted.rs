//! Planted bugs in the keeper or a process, to prove that the checker finds them.

/// A planted bug, which the checker must find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Planted {
    #[default]
    Nothing,
    /// The keeper writes at any revision.
    NoComparison,
    /// The keeper writes rows before it compares.
    RowsOutside,
    /// The keeper does not check that an overdue call still is overdue.
    OverdueUnchecked,
    /// The keeper does not check the step's times.
    TimeUnchecked,
    /// The keeper marks a call in any state.
    MarksUnchecked,
    /// The keeper writes restores at any revision.
    RestoresUncompared,
    /// A team opens without waiting for other processes.
    OpensAtOnce,
    /// Holds of unclaimed calls are freed.
    ForgetsUnclaimed,
    /// If several processes restore a scope, the last one wins.
    LastIsBelieved,
    /// A promoted copy has the replication id of its original.
    SameReplicationId,
    /// Late restores count as judged.
    LeavesUnjudged,
    /// The keeper returns the first team's counts for every team.
    TeamsMixed,
    /// A change of limits resets the counts.
    ChangesReset,
    /// A process takes an evicted record for an empty one.
    ForgottenIsNothing,
}
