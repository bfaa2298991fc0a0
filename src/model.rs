//! A model's id, which has a price and which model rules match.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A model's id: 1 to 4 segments of `[A-Za-z0-9][A-Za-z0-9._-]*` joined by `/`, at most 128 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(Arc<str>);

impl ModelId {
    const BYTES_MAX: usize = 128;
    const SEGMENTS_MAX: usize = 4;

    /// Parses an id; `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut segments = 0;
        let mut is_one_more = |segment| {
            segments += 1;
            segments <= Self::SEGMENTS_MAX && is_segment(segment)
        };
        let well_formed = text.len() <= Self::BYTES_MAX
            && text.as_bytes().split(|byte| *byte == b'/').all(&mut is_one_more);
        well_formed.then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_segment(segment: &[u8]) -> bool {
    let mut bytes = segment.iter();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model {}", self.0)
    }
}

impl Serialize for ModelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_is_one_to_four_plain_segments() {
        for good in ["nano-banana", "flux/dev", "a/b/c/d", "kling/kling-2-1-master", "v1.5_x"] {
            assert!(ModelId::parse(good).is_some(), "{good}");
        }
        let too_long = "a".repeat(129);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a/b/c/d/e",
            "-a",
            ".",
            "..",
            "a/..",
            "a b",
            "a%2fb",
            "é",
            &too_long,
        ] {
            assert!(ModelId::parse(bad).is_none(), "{bad}");
        }
    }
}
