//! Outcome of an admitted call: for its settlement, and for its caller.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::request::Room;

/// Whether the upstream executed a call, which decides the charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionOutcome {
    /// Not a byte was sent.
    NotSent,
    /// The upstream refused it: it was not executed.
    Refused,
    /// It was executed, and its answer is here.
    Delivered,
    /// It was sent, and whether it was executed cannot be known.
    Unknown,
}

/// An answer of the upstream that may be passed on to the caller.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// Its content encoding.
    pub content_encoding: Option<HeaderValue>,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// The body's share of the bounded memory.
    pub room: Arc<Room>,
}
