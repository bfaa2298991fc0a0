//! What idempotency reports to metrics.

/// What a caller got instead of a new call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer of a call that had ended.
    Replayed,
    /// The answer of a call that was running and has ended since.
    Joined,
    /// The outcome of a request, asked for by its id.
    Fetched,
    /// A refusal: the key was used with another body.
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
