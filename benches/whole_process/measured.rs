//! What was measured of each peer, and how busy the machine was meanwhile.

use std::time::Duration;

use crate::cpu::Used;
use crate::load::{Held, Paced};

/// What one window of a closed loop showed.
pub struct Window {
    /// Good answers.
    pub calls: f64,
    /// The length in seconds.
    pub seconds: f64,
    /// What the proxy used; none in the direct run.
    pub proxy: Used,
    /// What redis-server used.
    pub redis: Duration,
    /// Half of the calls took less, in microseconds.
    pub p50: f64,
}

/// Everything that was measured of one peer.
#[derive(Default)]
pub struct Measured {
    /// Saturated windows, one a round.
    pub windows: Vec<Window>,
    /// Windows of one call after another, one a round.
    pub lone: Vec<Window>,
    /// Windows at a fixed rate, one a round.
    pub paced: Vec<Paced>,
    /// Calls in flight.
    pub held: Option<Held>,
    /// The proxy's memory before them, in KiB.
    pub before_held: u64,
}

/// How busy the machine was with other things, as shares of all its cores.
pub struct Noise {
    /// Programs that have nothing to do with this run.
    pub others: f64,
    /// What the hypervisor gave to other machines.
    pub steal: f64,
}
