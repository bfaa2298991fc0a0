//! Phase of a reserved call, which decides how a sweep ends it.

/// Phase of a reserved call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not sent to the upstream yet. An abandoned call is released.
    Waiting,
    /// The upstream may have seen it. Abandoned, it is settled as unknown.
    Dispatched,
    /// The upstream rejected it, or it was not sent after all, and it waits again. Abandoned, it is
    /// settled as refused.
    TurnedBack,
}
