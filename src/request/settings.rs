//! Bounds of a well-formed request: sizes and times.

use std::time::Duration;

/// Bounds of every request of the team listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The largest body of a paid call, in bytes (`limits.body_bytes_max`).
    pub body_bytes_max: u64,
    /// The most bytes of bodies held in memory at once, requests and answers together
    /// (`limits.buffered_bytes_max`).
    pub buffered_bytes_max: u64,
    /// How long a whole body may take to arrive (`limits.body_timeout`).
    pub body_timeout: Duration,
}
