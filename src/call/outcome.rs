//! What became of an admitted call: for the money, and for its caller.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::request::Room;

/// What became of a call, for the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionOutcome {
    /// Not a byte was sent.
    NotSent,
    /// The upstream refused it: it was not executed.
    Refused,
    /// It was executed, and here is what came of it.
    Delivered,
    /// It was sent, and nobody knows.
    Unknown,
}

/// An answer that may be passed on.
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
    /// The room the body takes in memory.
    pub room: Arc<Room>,
}
