//! The operator's listener: health, metrics, and what an operator may see and do.

use std::net::SocketAddr;

/// The operator's listener, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens (`admin.address`).
    pub address: SocketAddr,
    /// Who may use `/admin/v1` (`admin.tokens`).
    pub tokens: Vec<Token>,
}

/// One operator's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name in the audit lines.
    pub name: String,
    /// The SHA-256 of the token.
    pub sha256: [u8; 32],
}
