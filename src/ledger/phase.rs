//! How far a reserved call has come: what becomes of it should its replica die.

/// How far a reserved call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was sent to the upstream: left behind, it is released.
    Waiting,
    /// The upstream may have seen it: left behind, it is settled as unknown.
    Dispatched,
    /// The upstream has refused it, or it was not sent after all, and it waits: left behind, it is settled as refused.
    TurnedBack,
}
