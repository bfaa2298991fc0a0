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
/// stub
#[derive(Clone)]
pub struct Operator;
impl Operator {
    /// x
    pub fn new<A, B, C>(_a: A, _b: B, _c: C) -> Self {
        Operator
    }
}
/// stub
#[derive(Clone)]
pub struct Readiness;
impl Readiness {
    /// x
    pub fn new<F>(_f: F) -> Self {
        Readiness
    }
    /// x
    pub fn drain(&self) {}
    /// x
    pub fn ledger_answered(&self) {}
}
/// stub
pub struct Shown {
    /// x
    pub tokens: Vec<Token>,
    /// x
    pub configuration: String,
}
/// stub
pub async fn serve(_l: tokio::net::TcpListener, _o: Operator, _s: tokio_util::sync::CancellationToken) {
    _s.cancelled().await
}
