//! An issuer's key set (RFC 7517): its usable keys, and which of them fit a token.

use std::fmt;

use serde_json::Value;

use super::jwk::{Fingerprint, Key, Unused};
use super::settings::Algorithm;
use super::strict;
use crate::printable::Printable;

/// Largest key set in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// Most keys in a set.
pub const KEYS_MAX: usize = 200;

/// Most keys of one `kid` that are tried for a token, which bounds its cost.
const KEYS_TRIED: usize = 4;

/// Why a key set was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than [`BYTES_MAX`].
    #[error("the key set is larger than 1 MiB")]
    TooLarge,
    /// No JSON object with a list `keys`, or one with duplicate members.
    #[error("this is not a key set")]
    NotAKeySet,
    /// More than [`KEYS_MAX`].
    #[error("the key set lists more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// Has no usable key. An issuer whose set was emptied by mistake keeps its last one.
    #[error("none of the keys in the key set can be used; ignored: {0}")]
    NoUsableKey(Ignored),
}

/// Usable keys of one issuer, and the ignored ones.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    ignored: Ignored,
}

/// Ignored keys, each with its `kid` and the reason. Displayed as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Vec<(Option<Box<str>>, Unused)>);

/// Most of them that are displayed.
const SHOWN_MAX: usize = 8;

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kid, why)) in self.0.iter().take(SHOWN_MAX).enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            match kid {
                Some(kid) => write!(f, "\"{}\": {why}", Printable::short(kid))?,
                None => write!(f, "one without a kid: {why}")?,
            }
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 if self.0.is_empty() => f.write_str("none"),
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Keys that may have signed a token.
pub(super) enum Candidates<'a> {
    /// Candidate keys, in the order of the set; perhaps none for the algorithm.
    Some(Vec<&'a Key>),
    /// The set does not have the named key, but a key without a name, the only one of its type. If
    /// that did not sign the token, a newer set might have the key that did.
    Nameless(&'a Key),
    /// The set does not have the key; a newer set might.
    Unknown,
}

impl KeySet {
    /// Parses a key set. Unusable keys are ignored with a reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let mut members = strict::object(bytes).ok_or(KeySetError::NotAKeySet)?;
        let Some(Value::Array(listed)) = members.remove("keys") else {
            return Err(KeySetError::NotAKeySet);
        };
        if listed.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(listed.len());
        let mut ignored = Ignored::default();
        for entry in &listed {
            let is_new =
                |key: &Key| !keys.iter().any(|earlier| earlier.fingerprint == key.fingerprint);
            match Key::read(entry)
                .and_then(|key| if is_new(&key) { Ok(key) } else { Err(Unused::Twice) })
            {
                Ok(key) => keys.push(key),
                Err(why) => {
                    ignored.0.push((entry.get("kid").and_then(Value::as_str).map(Into::into), why))
                }
            }
        }
        if keys.is_empty() {
            Err(KeySetError::NoUsableKey(ignored))
        } else {
            Ok(Self { keys, ignored })
        }
    }

    /// Number of usable keys.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// Ignored keys: unusable, or in the set twice.
    #[must_use]
    pub const fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// Whether another set has the same usable keys.
    #[must_use]
    pub fn has_the_keys_of(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|key| other.holds(&key.fingerprint))
    }

    /// Whether a key is still in the set.
    pub(super) fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.iter().any(|key| key.fingerprint == *fingerprint)
    }

    /// Keys for a token with this `kid` and algorithm. Several keys may share a `kid`. A token
    /// without one is accepted only if there is a single candidate (OpenID Connect Core 1.0,
    /// section 10.1).
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm);
        let Some(kid) = kid else {
            let fitting: Vec<&Key> = self.keys.iter().filter(fits).collect();
            return match fitting.len() {
                0 => Candidates::Unknown,
                1 => Candidates::Some(fitting),
                _ => Candidates::Some(Vec::new()),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        match named.peek() {
            Some(_) => Candidates::Some(named.filter(fits).take(KEYS_TRIED).collect()),
            None => self.nameless(algorithm).map_or(Candidates::Unknown, Candidates::Nameless),
        }
    }

    /// The key for an algorithm that has no name and is the only one of its type. Some issuers with
    /// a single key name it only in their tokens.
    fn nameless(&self, algorithm: Algorithm) -> Option<&Key> {
        let found = self
            .keys
            .iter()
            .find(|key| key.kid.is_none() && key.algorithms.contains(&algorithm))?;
        let of_its_type = self.keys.iter().filter(|key| key.family == found.family).count();
        (of_its_type == 1).then_some(found)
    }

    /// Names of the keys that have one.
    pub(super) fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.kid.as_deref())
    }
}

#[cfg(test)]
#[path = "keyset_tests.rs"]
mod tests;
