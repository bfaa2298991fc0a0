//! What the webhook reports to metrics.

/// Outcome of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver accepted it.
    Delivered,
    /// The receiver refused it, or all attempts failed.
    Failed,
    /// A notice never sent: the queue was full, or the process stopped.
    Dropped,
}

impl Delivery {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    /// Name in the metrics.
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
    /// Counts a notice with its outcome.
    fn notice(&self, delivery: Delivery);
}
