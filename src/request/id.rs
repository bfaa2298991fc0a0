//! Request id: the caller's own when it is well-formed, otherwise a new one.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use uuid::{NoContext, Timestamp, Uuid};

use crate::ledger::ReservationId;

/// Names one request in answers, logs, rows and at the upstream: 1 to 128 of `[A-Za-z0-9._-]`.
///
/// Stored as a header value, since each call sends it twice: no copy is needed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(HeaderValue);

impl RequestId {
    const BYTES_MAX: usize = 128;

    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        // Ids are not ordered within a millisecond: that would take a lock shared by all workers.
        Uuid::new_v7(Timestamp::now(NoContext)).hyphenated().encode_lower(&mut text);
        Self::of(text).unwrap_or_else(|| Self(HeaderValue::from_static("-")))
    }

    /// One allocation, shared by all clones.
    fn of(text: impl AsRef<[u8]> + Send + 'static) -> Option<Self> {
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok().map(Self)
    }

    /// The id a caller sent, if it is well-formed; else a new one.
    #[must_use]
    pub fn accept(sent: Option<&HeaderValue>) -> Self {
        match sent.and_then(|value| value.to_str().ok()) {
            Some(text) => Self::parse(text).unwrap_or_default(),
            None => Self::new(),
        }
    }

    /// Parses an id; `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if Self::is_plain(text) { Self::of(text.to_owned()) } else { None }
    }

    /// The call whose own id this is, if it has that form. A caller may send such a request id too.
    #[must_use]
    pub fn as_call_id(&self) -> Option<ReservationId> {
        let id: ReservationId = self.as_str().parse().ok()?;
        // Accepts only the form in which call ids are printed.
        (id.to_string() == self.as_str() && id.made_at().is_some()).then_some(id)
    }

    fn is_plain(text: &str) -> bool {
        (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    /// The id as a header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {self}")
    }
}
