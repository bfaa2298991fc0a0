//! An idle connection that a call can use at once, looked up before the call is admitted.

/// Looks up whether a call can be sent as soon as it is admitted. Admission only holds the result
/// and passes it down with the call, so it needs to know nothing of the upstream.
pub trait AtHand: Clone + Send + Sync + 'static {
    /// The connection held for one call; dropped unused, the next call can take it.
    type Connection: Send + 'static;

    /// A connection for the next call; `None`: the call may have to wait.
    fn at_hand(&self) -> Option<Self::Connection>;
}
