//! Listeners, TLS, connection limits and time-outs, drain.
//!
//! Reading order: [`settings`], [`listen`] (one socket per worker), [`accept`] (the loop), `shared` (what those of all
//! workers share), `room` (how many connections there may be), `sparsely` (how often the log says so), `connection`
//! (one of them), `calls` (what is known of it), `pace` (how fast its answers are read) and `streams` (how one is cut
//! off), `written` and `unconfirmed` (its answers, until it is known that they arrived), [`discard`] and `linger` (how
//! a caller that still sends gets its answer).

pub mod accept;
mod calls;
#[cfg(test)]
mod calls_tests;
mod connection;
pub mod discard;
pub mod drain;
mod heard;
mod lent;
mod linger;
pub mod listen;
pub mod observe;
mod pace;
mod room;
pub mod settings;
mod shared;
mod sparsely;
mod streams;
pub mod tls;
mod unconfirmed;
mod written;

pub use accept::serve;
pub use discard::Discarding;
pub use drain::Drain;
pub use linger::linger;
pub use observe::Observer;
pub use settings::{Settings, TlsFiles};
pub use shared::Server;
pub use sparsely::Sparsely;
