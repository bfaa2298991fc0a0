//! Faults that are put into the keeper or a process, to see that the promises find them.

/// A fault that is put into the keeper, to see that it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Planted {
    #[default]
    Nothing,
    /// It writes whatever the revision is.
    NoComparison,
    /// It writes rows before it compares.
    RowsOutside,
    /// It does not look whether a call that is ended as overdue is still that.
    OverdueUnchecked,
    /// It does not look at its time.
    TimeUnchecked,
    /// A mark is made whatever is kept of the call.
    MarksUnchecked,
    /// What is restored is written whatever the revision is.
    RestoresUncompared,
    /// A team opens without waiting for the others.
    OpensAtOnce,
    /// What calls held that nobody claims is given back.
    ForgetsUnclaimed,
    /// Of a scope that several restore, the last to come is believed.
    LastIsBelieved,
    /// A copy that takes over passes for the server that it is a copy of.
    SameReplicationId,
    /// What was restored late is taken for judged.
    LeavesUnjudged,
    /// Of every team it tells what the first one counts.
    TeamsMixed,
    /// Limits that change begin to count anew.
    ChangesReset,
    /// What a process has forgotten it takes for nothing.
    ForgottenIsNothing,
}
