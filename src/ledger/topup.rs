//! Top-ups: prepaid credits that are added while running to what a scope may spend in all.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::Scope;
use crate::credits::Credits;

/// Names a top-up: however often it is asked for, it is added once. 1 to 128 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopUpId(Arc<str>);

impl TopUpId {
    /// The longest id, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// Reads an id; `None` when it is not of the form above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        ((1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)).then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TopUpId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TopUpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A top-up of one scope's prepaid budget. It is never taken back: whoever wants less lowers the configured limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUp {
    /// Its name, of the operator's choice.
    pub id: TopUpId,
    /// Whose budget.
    pub scope: Scope,
    /// How much is added.
    pub credits: Credits,
}

/// What a top-up did. Sums are of all top-ups of the scope so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToppedUp {
    /// It was added: the sum after it.
    Now(Credits),
    /// It had been added before, and nothing changed: the sum as it stands.
    Before(Credits),
    /// Another top-up has this id: of another scope, or of another amount. Nothing changed.
    Taken,
    /// The sum would pass [`Credits::MAX`]. Nothing changed.
    TooMuch,
}

/// What a scope may spend in all: the configured limit and all top-ups together, at most [`Credits::MAX`].
pub(super) const fn with_top_ups(max: u64, topped_up: u64) -> u64 {
    Credits::from_micros(max.saturating_add(topped_up)).micros()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_word_of_bounded_length() {
        assert_eq!(TopUpId::parse("invoice-2026.11_a").unwrap().as_str(), "invoice-2026.11_a");
        assert!(TopUpId::parse(&"x".repeat(128)).is_some() && TopUpId::parse(TopUpId::new().as_str()).is_some());
        for wrong in ["", "a b", "a:b", "ä", "a/b", "{a}", &"x".repeat(129)] {
            assert_eq!(TopUpId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_largest_limit_stays_the_largest_when_it_is_topped_up() {
        assert_eq!(with_top_ups(5, 7), 12);
        assert_eq!(with_top_ups(Credits::MAX.micros(), 1), Credits::MAX.micros());
    }
}
