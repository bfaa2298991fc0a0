//! Where calls go, with whose key, and how long they may take.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::{breaker, queue, reconcile};
use crate::permits::Allowance;
use crate::secret::Secret;

/// The upstream, as the configuration describes it. Replaced whole by a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `https://firemoon.studio/api`: scheme, authority, and the path before `/v1/{model}`, without a slash at its end.
    pub base_url: Uri,
    /// The shared keys, at least one.
    pub keys: Vec<KeySettings>,
    /// What the account allows, all keys together.
    pub limits: Allowance,
    /// How calls wait for it.
    pub queue: queue::Settings,
    /// How its balance is held against the ledger; `None`: not at all.
    pub reconcile: Option<reconcile::Settings>,
    /// When calls are refused because it fails; `None`: never.
    pub breaker: Option<breaker::Settings>,
    /// Which HTTP is spoken.
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
    /// Its name in logs, metrics and the console.
    pub name: String,
    /// The key itself.
    pub secret: Secret,
    /// Its share of the calls.
    pub weight: u32,
    /// What it allows by itself.
    pub limits: Allowance,
}

/// Which version of HTTP the upstream is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// What TLS negotiates; HTTP/1.1 without TLS.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
}

/// How long the parts of a call may take, and how large its answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// To find a connection, or a place on one, or to open one, TLS included.
    pub connect: Duration,
    /// From the first byte sent to the last received.
    pub answer: Duration,
    /// To keep an idle connection.
    pub idle: Duration,
    /// The largest answer, in bytes.
    pub answer_bytes_max: u64,
}
