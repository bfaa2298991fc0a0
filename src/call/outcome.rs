//! Outcome of an admitted call: for its settlement, and for its caller.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::request::AnswerPermit;

/// Whether the upstream executed a call, which decides the charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionOutcome {
    /// No byte was sent.
    NotSent,
    /// The upstream refused it: it was not executed.
    Refused,
    /// Executed, and its answer is here.
    Delivered,
    /// Sent, and whether it was executed cannot be known.
    Unknown,
}

/// An answer of the upstream that may be passed on to the caller.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The status.
    pub status: StatusCode,
    /// The content type.
    pub content_type: Option<HeaderValue>,
    /// The content encoding.
    pub content_encoding: Option<HeaderValue>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The body's share of the bounded memory.
    pub answer_permit: Arc<AnswerPermit>,
}
