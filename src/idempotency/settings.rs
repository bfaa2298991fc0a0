//! Settings of idempotency: how long outcomes are stored, and how many bytes.

use std::time::Duration;

/// The `replay` section of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an outcome is stored.
    pub retention: Duration,
    /// How long a parallel duplicate waits for the call it joined.
    pub join_max: Duration,
    /// The largest answer that is stored with its body, in bytes. A larger one is stored without.
    pub answer_bytes_max: u64,
    /// Most bytes of stored bodies: of one team in Redis, of all teams in memory. The oldest bodies
    /// are dropped; their outcomes stay.
    pub memory_bytes_max: u64,
}
