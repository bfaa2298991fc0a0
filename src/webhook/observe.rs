//! What the room tells whoever counts it.

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The webhook took it.
    Delivered,
    /// It did not take it, however often it was tried, or refused it.
    Failed,
    /// It was never told: too many waited, or the process stopped.
    Dropped,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    /// The name in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Counts notices.
pub trait Observer: Send + Sync + 'static {
    /// One came to its end.
    fn notice(&self, delivery: Delivery);
}
