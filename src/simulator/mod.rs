//! A simulated Firemoon Studio, for the demo and the tests: what its API is known to do, and every way it may fail.
//!
//! Reading order: what can be chosen ([`Settings`]) → `models` and `order` (what may be asked) → `account` (who may
//! ask, and how much) → `generation` (the paid call) → `history` (the dashboard's views) → `media` (pictures and
//! videos) → `faults` and `spoil` (what goes wrong) → `books` (what a test reads afterwards) → `firemoon` (all of it,
//! behind one lock) → `answers` (every word said) → `api`, `control` (the routes) → `wire`, `server` (the sockets).
//!
//! Of the gateway it uses the credits and the clock, and the gateway's own path uses nothing of it: two sides that
//! share code share mistakes.

mod account;
mod answers;
mod api;
mod books;
mod control;
mod faults;
mod firemoon;
mod generation;
mod history;
mod media;
mod models;
mod order;
mod server;
mod settings;
mod spoil;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use server::{serve, tls};
pub use settings::{BalanceShape, Charge, History, KeySettings, Latency, Limits, ListShape, Settings};

/// One simulated Firemoon: its keys, accounts, books and faults. Clones are the same one.
#[derive(Clone)]
pub struct Simulator {
    firemoon: Arc<firemoon::Firemoon>,
}

impl Simulator {
    /// A Firemoon with full accounts, empty books and no faults.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { firemoon: Arc::new(firemoon::Firemoon::new(settings)) }
    }
}

/// Reads a duration such as `250ms` or `1.5s`.
///
/// # Errors
/// A text that says what was wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    faults::duration(text)
}
