//! HTTP vocabulary of all rooms: the answer, its body, our header names.

pub mod answer;
pub mod delivery;
pub mod etag;
pub mod write;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderName;

use crate::decimal::Decimal;

pub use answer::{Answer, AnswerBody, Guard, Release, SLICE, SOCKET_ROOM, Transport};
pub use delivery::{Deliver, Delivery};
pub use write::HeaderWriter;

/// Writes `Server-Timing`: time in the gateway, in the queue for the shared account, and at the
/// upstream.
pub fn server_timing(writer: &mut HeaderWriter<'_>, [own, queued, upstream]: [Duration; 3]) {
    for (name, time) in
        [("gateway;dur=", own), (", queue;dur=", queued), (", upstream;dur=", upstream)]
    {
        writer.text(name).decimal(Decimal::millis(time));
    }
    writer.insert(SERVER_TIMING);
}

/// A smaller body is copied out of its connection's read buffer. It may be kept for long and would
/// pin the whole buffer; a copy costs less than a new buffer.
const SMALL: usize = 4 * 1024;

/// A body as it comes in, frame by frame. A large body in a single frame is never copied, any other
/// is copied once.
#[derive(Debug, Default)]
pub struct Gathered {
    first: Bytes,
    /// The whole body so far, from the second frame on.
    whole: BytesMut,
    expected: usize,
}

impl Gathered {
    /// Buffer for a body of known length: allocates once, and only when there is more than one
    /// frame.
    #[must_use]
    pub fn expecting(bytes: usize) -> Self {
        Self { expected: bytes, ..Self::default() }
    }

    /// Adds a frame.
    pub fn push(&mut self, data: Bytes) {
        if self.is_empty() {
            self.first = data;
            return;
        }
        if self.whole.is_empty() {
            let both = self.first.len() + data.len();
            self.whole.reserve(if self.expected >= both { self.expected } else { both * 2 });
            self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.whole.extend_from_slice(&data);
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    /// Whether no bytes were received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole body.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if !self.whole.is_empty() {
            self.whole.freeze()
        } else if self.first.len() < SMALL {
            Bytes::copy_from_slice(&self.first)
        } else {
            self.first
        }
    }
}

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Call-Id`.
pub const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// `X-API-Key`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Chooses among the teams of a caller who is in several.
pub const X_MOONGATE_TEAM: HeaderName = HeaderName::from_static("x-moongate-team");
/// `X-Error-Source`.
pub const X_ERROR_SOURCE: HeaderName = HeaderName::from_static("x-error-source");
/// `X-RateLimit-Limit`.
pub const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// `X-RateLimit-Remaining`.
pub const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// `X-RateLimit-Reset`.
pub const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// `RateLimit` of draft-ietf-httpapi-ratelimit-headers.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `X-Credits-Cost`.
pub const X_CREDITS_COST: HeaderName = HeaderName::from_static("x-credits-cost");
/// `X-Credits-Cost-Original`: what the call cost whose answer is replayed.
pub const X_CREDITS_COST_ORIGINAL: HeaderName = HeaderName::from_static("x-credits-cost-original");
/// `X-Credits-Remaining`.
pub const X_CREDITS_REMAINING: HeaderName = HeaderName::from_static("x-credits-remaining");
/// `Server-Timing`.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// `traceparent` (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `Idempotency-Key`.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `Idempotency-Replayed`.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_frames_is_joined_without_needless_copies() {
        for expected in [0, 5, 9, 100] {
            let mut gathered = Gathered::expecting(expected);
            for frame in ["", "abc", "", "def", "ghi"] {
                gathered.push(Bytes::from_static(frame.as_bytes()));
            }
            assert_eq!((gathered.len(), &gathered.finish()[..]), (9, &b"abcdefghi"[..]));
        }
        for (bytes, is_copied) in [(SMALL - 1, true), (SMALL, false)] {
            let alone = Bytes::from(vec![1; bytes]);
            let mut gathered = Gathered::expecting(bytes);
            gathered.push(alone.clone());
            let finished = gathered.finish();
            assert_eq!((&finished, finished.as_ptr() != alone.as_ptr()), (&alone, is_copied));
        }
    }
}
