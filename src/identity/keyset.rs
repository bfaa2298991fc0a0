//! An issuer's key set (RFC 7517): which of its keys can be used, and for which tokens.

use std::fmt;

use serde_json::Value;

use super::jwk::{Fingerprint, Key, Unused};
use super::settings::Algorithm;
use super::strict;
use crate::printable::Printable;

/// The largest key set that is read, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The most keys a set may list.
pub const KEYS_MAX: usize = 200;

/// How many keys of one `kid` are tried for one token; bounds what a token can cost.
const KEYS_TRIED: usize = 4;

/// Why a whole key set was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than [`BYTES_MAX`].
    #[error("the key set is larger than 1 MiB")]
    TooLarge,
    /// No JSON object with a list `keys`, or a member comes twice.
    #[error("this is not a key set")]
    NotAKeySet,
    /// More than [`KEYS_MAX`].
    #[error("the key set lists more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// Nothing could be verified with it. An issuer whose set is emptied by mistake keeps the one it had.
    #[error("none of the keys in the key set can be used; ignored: {0}")]
    NoUsableKey(Ignored),
}

/// The usable keys of one issuer, and which of the others are not used.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    ignored: Ignored,
}

/// The keys of a set that are not used, each by its `kid` and with the reason. Shown as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Vec<(Option<Box<str>>, Unused)>);

/// How many of them are shown.
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

/// The keys that a token may have been signed with.
pub(super) enum Candidates<'a> {
    /// These, in the order of the set; perhaps none that fits the algorithm.
    Some(Vec<&'a Key>),
    /// The set has no key of the name; this one has none, and is the only one of its type. If it did not sign the
    /// token, a newer set might have the key that did.
    Nameless(&'a Key),
    /// The set knows no such key; a newer one might.
    Unknown,
}

impl KeySet {
    /// Reads a key set; keys that cannot be used are left out, with the reason.
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
            let is_new = |key: &Key| !keys.iter().any(|earlier| earlier.fingerprint == key.fingerprint);
            match Key::read(entry).and_then(|key| if is_new(&key) { Ok(key) } else { Err(Unused::Twice) }) {
                Ok(key) => keys.push(key),
                Err(why) => ignored.0.push((entry.get("kid").and_then(Value::as_str).map(Into::into), why)),
            }
        }
        if keys.is_empty() { Err(KeySetError::NoUsableKey(ignored)) } else { Ok(Self { keys, ignored }) }
    }

    /// How many keys can be used.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// Which were listed and left out: unusable, or listed twice.
    #[must_use]
    pub const fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// Whether another set has the same usable keys.
    #[must_use]
    pub fn has_the_keys_of(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.holds(&key.fingerprint))
    }

    /// Whether a key is still in the set.
    pub(super) fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.iter().any(|key| key.fingerprint == *fingerprint)
    }

    /// The keys for a token that says `kid` and this algorithm. Several keys may share a `kid`. A token without one is
    /// accepted only when the set leaves no choice (OpenID Connect Core 1.0, section 10.1).
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

    /// The key that fits an algorithm, has no name, and is the only one of its type: what some issuers publish who have
    /// one key and name it in their tokens only.
    fn nameless(&self, algorithm: Algorithm) -> Option<&Key> {
        let found = self.keys.iter().find(|key| key.kid.is_none() && key.algorithms.contains(&algorithm))?;
        let of_its_type = self.keys.iter().filter(|key| key.family == found.family).count();
        (of_its_type == 1).then_some(found)
    }

    /// What the keys are called, as far as they are called anything.
    pub(super) fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.kid.as_deref())
    }
}

#[cfg(test)]
#[path = "keyset_tests.rs"]
mod tests;
