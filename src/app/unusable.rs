//! Why the gateway cannot start, in sentences for the operator.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::ledger::embedded::OpenError;
use crate::store::UnusableSettings;

/// Why the gateway cannot start. The sentences are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// An address is in use, or not ours.
    #[error(
        "{listener} cannot listen on {address}: {error}; `{}` says where it listens",
        listener.key()
    )]
    Address {
        /// The listener.
        listener: Listener,
        /// The address.
        address: SocketAddr,
        /// The error.
        error: io::Error,
    },
    /// A certificate is unusable.
    #[error("listen.tls cannot be used: {0}")]
    Certificate(io::Error),
    /// The embedded ledger's file cannot be opened.
    #[error(transparent)]
    File(#[from] OpenError),
    /// The settings of Redis are unusable.
    #[error("ledger.redis cannot be used: {0}")]
    Redis(#[from] UnusableSettings),
    /// The settings of the webhook are unusable.
    #[error("webhook cannot be used: {0}")]
    Webhook(io::Error),
    /// The settings of traces are unusable.
    #[error("telemetry.otlp cannot be used: {0}")]
    Traces(io::Error),
    /// Settings that change at run time are unusable.
    #[error("{0}")]
    Live(String),
}

/// One of the two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The teams'.
    Team,
    /// The operator's.
    Operator,
}

impl Listener {
    /// The configuration key of its address.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Team => "listen.address",
            Self::Operator => "admin.address",
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Team => "the team listener",
            Self::Operator => "the operator's listener",
        })
    }
}
