//! Sends paid calls to Firemoon with a shared key.
//!
//! Reading order: [`settings`], [`configured`] (built from them), [`access`] (whether a call can be
//! sent at once), [`queue`] (when, and with which key), [`swap_credential`] (one attempt),
//! [`forward`] (the request), [`classify`] (the answer), [`reconcile`] (the balance against the
//! ledger), [`breaker`] (circuit breaker), then the client: [`origin`] with `head`, `dial`,
//! `http2_connection`, `connection`, `pool`, [`reserved_connection`], [`client`].

pub mod access;
pub mod balance;
pub mod breaker;
pub mod classify;
pub mod client;
pub mod configured;
mod connection;
mod dial;
pub mod forward;
mod head;
mod http2_connection;
pub mod keys;
pub mod observe;
pub mod origin;
mod pool;
pub mod queue;
pub mod reconcile;
pub mod reserved_connection;
pub mod settings;
pub mod swap_credential;
pub mod tripwire;
pub mod unpaid;

pub use access::UpstreamAccess;
pub use breaker::{Breaker, BreakerLayer};
pub use client::UpstreamClient;
pub use configured::Upstream;
pub use forward::Forward;
pub use keys::KeyPool;
pub use observe::Observer;
pub use origin::Origin;
pub use queue::{PermitClient, Queue};
pub use reserved_connection::ReservedConnection;
pub use settings::{Bounds, Settings};
pub use swap_credential::SwapCredential;
