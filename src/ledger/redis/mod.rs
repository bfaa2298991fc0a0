//! What is kept in Redis: the ledger, and beside it the permits of the shared account, idempotency keys with kept answers, and the
//! register of gateway keys and suspensions.
//!
//! Reading order: `settings` (what it must be told), `client` (how it is reached), over `exchange`, `connection`, `link` and `dial`;
//! `failure` and `breaker` (what to do when it is not), `inspect` (whether it is safe there); then its users: `kept` (the ledger),
//! `permits` with its scripts and `packed`, `replay` with `replay.lua`, `register` with `register.lua`; `keys` (where their things
//! are).
//!
//! All that is sent is safe to repeat: each operation carries an id that the records know.

mod breaker;
mod client;
mod connection;
mod dial;
mod exchange;
mod failure;
mod inspect;
mod kept;
mod keys;
mod link;
mod packed;
mod permits;
mod register;
mod replay;
mod settings;

pub use kept::KeptLedger;
pub use permits::RedisPermits;
pub use register::RedisRegister;
pub use replay::RedisReplays;
pub use settings::{Settings, StoreClock, Topology, UnusableSettings};
