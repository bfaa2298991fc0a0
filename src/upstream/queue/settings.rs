//! Bounds of the queue: how long calls wait, and how many.

use std::time::Duration;

/// Settings in the configuration (`upstream.queue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long one call waits at most, in all its waits together.
    pub max_wait: Duration,
    /// The most waiting calls, of all teams on all replicas.
    pub length_max: u64,
    /// The most waiting calls of one team, on all replicas.
    pub team_length_max: u64,
}
