//! Listeners, TLS, connection limits and time-outs, drain.
//!
//! Reading order: [`settings`], [`listen`] (one socket per worker), [`accept`] (the loop), `shared`
//! (shared by all workers), `places` (how many connections may be open), `log_limiter` (log lines
//! at a limited rate), `connection` (one of them), `calls` (its calls), `read_rate` (how fast
//! answers are read) and `streams` (how an HTTP/2 stream is cut off), `written` and `unconfirmed`
//! (answers that may not have arrived), [`discard`] and `linger` (closing while the caller still
//! sends).

pub mod accept;
mod calls;
#[cfg(test)]
mod calls_tests;
mod connection;
pub mod discard;
pub mod drain;
mod linger;
pub mod listen;
mod log_limiter;
pub mod observe;
mod observed_stream;
mod places;
mod read_rate;
mod reclaim;
pub mod settings;
mod shared;
mod streams;
pub mod tls;
mod unconfirmed;
mod written;

pub use accept::serve;
pub use discard::Discarding;
pub use drain::Drain;
pub use linger::linger;
pub use log_limiter::LogLimiter;
pub use observe::Observer;
pub use settings::{Settings, TlsFiles};
pub use shared::Server;
