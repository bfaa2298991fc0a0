//! The team listener, as the configuration describes it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The team listener. Read once, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens (`listen.address`).
    pub address: SocketAddr,
    /// Certificate and key files, both PEM, when it speaks TLS (`listen.tls`).
    pub tls: Option<TlsFiles>,
    /// Worker threads, each with its own listening socket; 0 means one per core (`listen.workers`).
    pub workers: usize,
    /// The most connections open at once, over all workers (`limits.connections_max`).
    pub connections_max: usize,
    /// How long a request's head may take to arrive; the first is counted from the connection's
    /// start (`limits.header_timeout`).
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests (`limits.idle_timeout`).
    pub idle_timeout: Duration,
    /// Least rate at which a caller must read an answer, in bytes a second
    /// (`limits.read_rate_min`).
    pub read_rate_min: u64,
    /// Time over which that rate is measured (`limits.read_window`).
    pub read_window: Duration,
    /// How long a body may take to arrive, also one that is discarded (`limits.body_timeout`).
    pub body_timeout: Duration,
    /// The largest body that is ever read (`limits.body_bytes_max`).
    pub body_bytes_max: u64,
    /// The most bytes all headers together may have (`limits.header_bytes_max`).
    pub header_bytes_max: usize,
    /// The most calls at once on one HTTP/2 connection (`limits.streams_per_connection_max`).
    pub streams_per_connection_max: u32,
}

/// Where a listener's certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

#[cfg(test)]
impl Settings {
    /// The values in config/moongate.yaml.
    pub(super) fn example() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            workers: 1,
            connections_max: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            read_rate_min: 16 << 10,
            read_window: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            body_bytes_max: 4_500_000,
            header_bytes_max: 64 << 10,
            streams_per_connection_max: 128,
        }
    }
}
