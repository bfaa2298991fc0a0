//! How long calls wait for the shared account, and how many.

use std::time::Duration;

/// As the configuration has it (`upstream.queue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long one call waits at most, all its waits together.
    pub max_wait: Duration,
    /// The most calls that wait, of all teams, on all replicas.
    pub length_max: u64,
    /// The most calls of one team that wait, on all replicas.
    pub team_length_max: u64,
}
