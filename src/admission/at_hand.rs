//! What a call can be sent over at once, should there be something: looked for before the call is admitted.

/// Knows whether a call can be sent as soon as it is admitted. The way to the upstream is no matter of this room's: it
/// only holds on to what it was given, and hands it on with the call.
pub trait AtHand: Clone + Send + Sync + 'static {
    /// What is held for one call; dropped unused, it is the next call's.
    type Line: Send + 'static;

    /// What the next call can be sent over without waiting. `None`: it may have to wait.
    fn at_hand(&self) -> Option<Self::Line>;
}
