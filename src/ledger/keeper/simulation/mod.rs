//! Deterministic simulation test of the ledger: several processes, a keeper in memory, the network
//! between them, and clocks, all driven by one seed. There are no threads, no runtime and no real
//! time: a seed always gives the same history. A checker verifies the promises during the history
//! and at its end.
//!
//! Reading order: `random`, `scenario` (a team's parameters in one history), `bounds` (size and
//! faults), `planted` (bugs that the checker must find), `state` and `store` (the keeper), `copies`
//! (its losses), `network` (the network), `world` (shared state and events), `process` and
//! `background` (a process and its tasks), `caller`, `history` (the scheduler), `faults` (calls
//! and faults), `checker` and `limits` (the checker, with every write), `losses` and `after_loss`
//! (the checker after a loss), `final_checks` and `money` (the checks at the end), and `shrink`
//! (the smallest failing history).
//!
//! Besides random faults, short histories are repeated with a fault in each of their steps, one at
//! a time: see `tests`.
//!
//! To choose the number of histories and the first seed (a million takes an optimised build):
//! `MOONGATE_SIMULATION_HISTORIES=1000000 MOONGATE_SIMULATION_SEED=1 cargo test --release --lib
//! simulation -- --nocapture`

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod after_loss;
mod background;
mod bounds;
mod caller;
mod checker;
mod copies;
mod faults;
mod final_checks;
mod history;
mod limits;
mod losses;
mod money;
mod network;
mod planted;
mod process;
mod random;
mod scenario;
mod shrink;
mod state;
mod store;
mod tests;
mod world;
