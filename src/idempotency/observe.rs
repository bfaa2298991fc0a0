//! What the room tells whoever counts it.

/// What was given to a caller in place of a call, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer of a call that had ended.
    Replayed,
    /// The answer of a call that was running, once it had ended.
    Joined,
    /// The outcome of a request, asked for by its id.
    Fetched,
    /// Nothing: the key was used with another body.
    Mismatch,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Replayed, Self::Joined, Self::Fetched, Self::Mismatch];

    /// The name in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Joined => "joined",
            Self::Fetched => "fetched",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Counts replays.
pub trait Observer: Send + Sync + 'static {
    /// One happened.
    fn replay(&self, kind: Kind);
}
