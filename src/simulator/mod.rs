//! A simulated Firemoon Studio for the demo and the tests: the known behaviour of its API, and
//! every way it may fail.
//!
//! Reading order: [`Settings`] → `models` and `order` (valid requests) → `account` (keys, limits,
//! credits) → `generation` (the paid call) → `history` (the dashboard's views) → `media` (pictures
//! and videos) → `faults` and `spoil` (failures) → `call_log` (the call log that tests read) →
//! `firemoon` (all of it, behind one lock) → `answers` (texts) → `api`, `control` (routes) →
//! `connection`, `server` (sockets).
//!
//! It uses only credits and clock of the gateway, and the gateway uses nothing of it: two sides
//! that share code share mistakes.

mod account;
mod answers;
mod api;
mod call_log;
mod connection;
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

use std::sync::Arc;
use std::time::Duration;

pub use server::{serve, tls};
pub use settings::{
    BalanceShape, Charge, History, KeySettings, Latency, Limits, ListShape, Settings, TEST_KEY,
};

/// A simulated Firemoon: keys, accounts, call log and faults. Clones share it.
#[derive(Clone)]
pub struct Simulator {
    firemoon: Arc<firemoon::Firemoon>,
}

impl Simulator {
    /// A Firemoon with full accounts, an empty call log and no faults.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { firemoon: Arc::new(firemoon::Firemoon::new(settings)) }
    }
}

/// Parses a duration such as `250ms` or `1.5s`.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    faults::duration(text)
}
