//! Words of HTTP that every room speaks: the answer, its body, the header names that are ours.

pub mod answer;
pub mod delivery;
pub mod write;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderName;

use crate::decimal::Decimal;

pub use answer::{Answer, AnswerBody, Guard, Kept, SLICE, Transport};
pub use delivery::{Deliver, Delivery};
pub use write::HeaderWriter;

/// Writes where the time of a call went: in the gateway itself, waiting for the shared account, and at the upstream.
pub fn server_timing(writer: &mut HeaderWriter<'_>, [own, queued, upstream]: [Duration; 3]) {
    for (name, time) in [("gateway;dur=", own), (", queue;dur=", queued), (", upstream;dur=", upstream)] {
        writer.text(name).decimal(Decimal::millis(time));
    }
    writer.insert(SERVER_TIMING);
}

/// A body of fewer bytes than this is copied out of the buffer that its connection reads into: it may be kept for long,
/// and would keep all of that buffer, so that the connection needs another. A copy costs less than to make one.
const SMALL: usize = 4 * 1024;

/// A body as it comes in, frame by frame. A large one that comes in one frame is never copied, any other once.
#[derive(Debug, Default)]
pub struct Gathered {
    first: Bytes,
    /// All of the body, from the second frame on.
    whole: BytesMut,
    expected: usize,
}

impl Gathered {
    /// For a body that says how long it is: room is made once, and only when it comes in more than one frame.
    #[must_use]
    pub fn expecting(bytes: usize) -> Self {
        Self { expected: bytes, ..Self::default() }
    }

    /// Adds a frame's data.
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

    /// How many bytes there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    /// Whether nothing has come yet.
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
/// `X-Credits-Cost-Original`: of an answer that is given again, what its call cost when it was made.
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
    fn a_body_in_frames_is_whole_again_and_a_large_one_in_one_frame_is_not_copied() {
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
