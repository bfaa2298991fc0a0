//! How long, and how much of what was answered, is remembered.

use std::time::Duration;

/// The `replay` section of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an outcome is remembered.
    pub retention: Duration,
    /// How long a parallel duplicate waits for the call it joined.
    pub join_max: Duration,
    /// The largest answer that is kept whole, in bytes; of a larger one the outcome is kept.
    pub answer_bytes_max: u64,
    /// The most bytes of answers kept at once: of one team in Redis, of all teams in memory. The
    /// oldest give way; their outcomes stay.
    pub memory_bytes_max: u64,
}
