//! Settings of the upstream: address, shared keys, timeouts.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::{breaker, queue, reconcile};
use crate::permits::Allowance;
use crate::secret::Secret;

/// The upstream as configured. A reload replaces it as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The address, such as `https://firemoon.studio/api`: without `/v1/{model}` and without a
    /// trailing slash.
    pub base_url: Uri,
    /// The shared keys, at least one.
    pub keys: Vec<KeySettings>,
    /// Limits of the account over all keys.
    pub limits: Allowance,
    /// Settings of the queue.
    pub queue: queue::Settings,
    /// How the balance is compared with the ledger; `None` does not compare.
    pub reconcile: Option<reconcile::Settings>,
    /// When the breaker opens; `None` for never.
    pub breaker: Option<breaker::Settings>,
    /// The HTTP version.
    pub protocol: Protocol,
    /// Certificates to trust instead of the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time from the last byte sent to the last byte received.
    pub answer_timeout: Duration,
    /// How long an idle connection is kept. Must be shorter than the upstream keeps it.
    pub idle_timeout: Duration,
    /// The largest answer that is accepted, in bytes.
    pub answer_bytes_max: u64,
}

/// One shared key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySettings {
    /// The name in logs, metrics and the console.
    pub name: String,
    /// The key itself.
    pub secret: Secret,
    /// The weight relative to the other keys.
    pub weight: u32,
    /// Own limits.
    pub limits: Allowance,
}

/// HTTP version towards the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// What TLS negotiates; HTTP/1.1 without TLS.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
}

/// Timeouts of the parts of a call, and the largest answer.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time to get a connection, or a stream on one, TLS included.
    pub connect: Duration,
    /// Time from the first byte sent to the last received.
    pub answer: Duration,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// The largest answer, in bytes.
    pub answer_bytes_max: u64,
}
