//! Identifies repeated calls by their idempotency key and by their model and body. Both are stored
//! only as SHA-256.

use std::fmt;

use http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::model::ModelId;

/// An idempotency key, hashed: callers choose its length, and stores must not reveal it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// Hash of a call's model and its body, byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl KeyHash {
    /// The hash of the header's value.
    #[must_use]
    pub fn of(key: &HeaderValue) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

impl Fingerprint {
    /// Includes the model: the same bytes sent to another model are another call.
    #[must_use]
    pub fn of(model: &ModelId, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(model.as_str());
        // No model id has a line break, so no other pair of model and body makes the same bytes.
        hash.update(b"\n");
        hash.update(body);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {self}")
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fingerprint {self}")
    }
}

fn hexadecimal(hash: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0; 64];
    hex::encode_to_slice(hash, &mut digits).map_err(|_| fmt::Error)?;
    f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn another_model_or_another_byte_is_another_call() {
        let (dev, pro) = (ModelId::parse("flux/dev").unwrap(), ModelId::parse("flux/pro").unwrap());
        let one = Fingerprint::of(&dev, b"{}");
        assert_eq!(one, Fingerprint::of(&dev, b"{}"));
        assert_ne!(one, Fingerprint::of(&pro, b"{}"));
        assert_ne!(one, Fingerprint::of(&dev, b"{} "));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = KeyHash::of(&HeaderValue::from_static("order-4711"));
        assert!(!format!("{key} {key:?}").contains("4711"));
        assert_eq!(key.to_string().len(), 64);
    }
}
