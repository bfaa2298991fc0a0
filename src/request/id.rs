//! The request id: accepted from the caller when it is plain, made here when it is not.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use uuid::Uuid;

/// Names one request in answers, logs, rows and at the upstream: 1 to 128 of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    const BYTES_MAX: usize = 128;

    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text: &str = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self(text.into())
    }

    /// The id a caller sent, when it is of the form above; else a new one.
    #[must_use]
    pub fn accept(sent: Option<&HeaderValue>) -> Self {
        match sent.and_then(|value| value.to_str().ok()) {
            Some(text) => Self::parse(text).unwrap_or_default(),
            None => Self::new(),
        }
    }

    /// An id that was made or accepted before; `None` for a text that can be none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_plain(text).then(|| Self(text.into()))
    }

    fn is_plain(text: &str) -> bool {
        (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}", self.0)
    }
}
