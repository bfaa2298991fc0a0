//! The ledger, simulated: several processes, a keeper in memory, a network between them and clocks,
//! all drawn from one seed. No thread, no runtime, no sleeping: a seed is a history, the same each
//! time. After each, the promises are counted.
//!
//! Reading order: `random`, `terms` (what holds in one history for a team), `bounds` (what may go
//! wrong in it), `planted` (faults that must be found), `state` and `store` (the keeper), `copies`
//! (what it loses), `wire` (the network), `world` (what all share), `process` and `background`
//! (what it does), `caller`, `history` (who goes on next) and `mishaps` (what befalls it),
//! `promises` and `limits` (counted with every write), `losses` and `aftermath` (what of them holds
//! after one), `reckoning` and `money` (at the end), and `shrink` (the smallest history that fails).
//!
//! Beside what is drawn, short histories are repeated with each of their steps refused or lost, one
//! at a time: see `tests`.
//!
//! As many histories as wanted, from a seed of one's choice (a million takes an optimised build):
//! `MOONGATE_SIMULATION_HISTORIES=1000000 MOONGATE_SIMULATION_SEED=1
//! cargo test --release --lib simulation -- --nocapture`

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod aftermath;
mod background;
mod bounds;
mod caller;
mod copies;
mod history;
mod limits;
mod losses;
mod mishaps;
mod money;
mod planted;
mod process;
mod promises;
mod random;
mod reckoning;
mod shrink;
mod state;
mod store;
mod terms;
mod tests;
mod wire;
mod world;
