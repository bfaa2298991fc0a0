//! Top-ups: credits that are added to a scope's prepaid budget at run time.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::Scope;
use crate::credits::Credits;

/// Id of a top-up, which is added only once. 1 to 128 of `[A-Za-z0-9._-]`.
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

    /// Parses an id; `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        ((1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(plain))
            .then(|| Self(text.into()))
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

/// A top-up of one scope's prepaid budget. It cannot be undone; lower the configured limit instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUp {
    /// The id, chosen by the operator.
    pub id: TopUpId,
    /// The scope.
    pub scope: Scope,
    /// The credits to add.
    pub credits: Credits,
}

/// Result of a top-up, with the sum of all top-ups of the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToppedUp {
    /// Added.
    Now(Credits),
    /// Added before, and nothing changed.
    Before(Credits),
    /// Another top-up, of another scope or amount, has this id. Nothing changed.
    Taken,
    /// The sum would exceed [`Credits::MAX`]. Nothing changed.
    TooMuch,
}

/// A scope's whole prepaid budget: the configured limit plus all top-ups, at most [`Credits::MAX`].
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
        assert!(
            TopUpId::parse(&"x".repeat(128)).is_some()
                && TopUpId::parse(TopUpId::new().as_str()).is_some()
        );
        for wrong in ["", "a b", "a:b", "ä", "a/b", "{a}", &"x".repeat(129)] {
            assert_eq!(TopUpId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn topping_up_the_largest_limit_keeps_it_the_largest() {
        assert_eq!(with_top_ups(5, 7), 12);
        assert_eq!(with_top_ups(Credits::MAX.micros(), 1), Credits::MAX.micros());
    }
}
