//! Why a gateway cannot start, in sentences for the operator.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::ledger::embedded::OpenError;
use crate::store::UnusableSettings;

/// Why a gateway cannot start. Each sentence is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// An address is taken, or not ours.
    #[error("{listener} cannot listen on {address}: {error}; `{}` says where it listens", listener.key())]
    Address {
        /// Which listener.
        listener: Listener,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A certificate cannot be used.
    #[error("listen.tls cannot be used: {0}")]
    Certificate(io::Error),
    /// The embedded ledger's file cannot be opened.
    #[error(transparent)]
    File(#[from] OpenError),
    /// Redis cannot be reached in the way that was configured, whether it is there or not.
    #[error("ledger.redis cannot be used: {0}")]
    Redis(#[from] UnusableSettings),
    /// The webhook cannot be told in the way that was configured, whether it is there or not.
    #[error("webhook cannot be used: {0}")]
    Webhook(io::Error),
    /// What changes while running cannot be used as it is.
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
    /// The key of the configuration that says where it listens.
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
