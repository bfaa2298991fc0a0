//! Listeners, TLS, connection limits and time-outs, drain.
//!
//! Reading order: [`settings`], [`listen`] (one socket per worker), [`accept`] (the loop), [`connection`] (one connection).

pub mod accept;
mod calls;
pub mod connection;
pub mod drain;
pub mod listen;
pub mod settings;
pub mod tls;

pub use accept::{Server, serve};
pub use drain::Drain;
pub use settings::{Settings, TlsFiles};
