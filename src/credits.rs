//! Credits: money in integer millionths, shown as decimals.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::decimal::Decimal;

const MICROS_PER_CREDIT: u64 = 1_000_000;
const DECIMAL_PLACES: usize = 6;

/// Money of the shared account in millionths of a credit. Never negative, never a float.
///
/// Every amount is at most [`Credits::MAX`], so that sums of several stay exact in the ledger's
/// scripts too, whose numbers are doubles (exact up to 2^53).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credits(u64);

impl Credits {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// One billion credits: the largest price, budget or sum.
    pub const MAX: Self = Self(1_000_000_000 * MICROS_PER_CREDIT);

    /// An amount of millionths, capped at [`Credits::MAX`].
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        if micros > Self::MAX.0 { Self::MAX } else { Self(micros) }
    }

    /// The amount in millionths.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The amount as a float, for gauges and charts only, never for a decision.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn for_display(self) -> f64 {
        self.0 as f64 / MICROS_PER_CREDIT as f64
    }

    /// The amount as a decimal: `0.025`.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        Decimal::short(self.0, DECIMAL_PLACES)
    }

    /// The price of `count` things at this price each, capped at [`Credits::MAX`].
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self::from_micros(self.0.saturating_mul(count))
    }

    /// The sum, capped at [`Credits::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self::from_micros(self.0.saturating_add(other.0))
    }

    /// The difference, or zero when `other` is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Credits {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decimal())
    }
}

impl fmt::Debug for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} credits")
    }
}

/// Why a text is not an amount of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCredits {
    /// Something other than digits with at most one decimal point.
    #[error("credits are a decimal number such as 0.025")]
    NotADecimal,
    /// More than six decimal places.
    #[error("credits have at most six decimal places")]
    TooFine,
    /// More than [`Credits::MAX`].
    #[error("credits are at most 1000000000")]
    TooMany,
}

impl FromStr for Credits {
    type Err = NotCredits;

    fn from_str(text: &str) -> Result<Self, NotCredits> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(NotCredits::NotADecimal);
        }
        let significant = fraction.trim_end_matches('0');
        if significant.len() > DECIMAL_PLACES {
            return Err(NotCredits::TooFine);
        }
        let whole: u64 = whole.parse().map_err(|_| NotCredits::TooMany)?;
        let micros: u64 =
            format!("{significant:0<6}").parse().map_err(|_| NotCredits::NotADecimal)?;
        let total = whole.checked_mul(MICROS_PER_CREDIT).and_then(|sum| sum.checked_add(micros));
        match total {
            Some(total) if total <= Self::MAX.0 => Ok(Self(total)),
            _ => Err(NotCredits::TooMany),
        }
    }
}

/// Serialized as a JSON number with decimal digits, `0.000002` and not `2e-6`: as raw JSON, since a
/// double would be written in its shortest form.
impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        decimal(self, serializer)
    }
}

/// Serializes something that displays as a decimal number as that number.
///
/// # Errors
/// Errors of the serializer.
pub fn decimal<S: Serializer>(shown: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    let number = RawValue::from_string(shown.to_string()).map_err(serde::ser::Error::custom)?;
    number.serialize(serializer)
}

/// Parsed from a decimal in quotes, or from a number with at most six places.
impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Credits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of credits such as 0.025 or \"0.025\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Credits, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Credits, E> {
                self.visit_str(&whole.to_string())
            }

            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Credits, E> {
                self.visit_str(&whole.to_string())
            }

            /// The shortest decimal that reads back as the same double is the one in the file.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Credits, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_reads_and_writes_back_exactly() {
        for text in ["0", "0.025", "1.5", "400", "0.000001", "1000000000"] {
            let credits: Credits = text.parse().expect(text);
            assert_eq!(credits.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_decimal_amount_is_refused() {
        for (text, why) in [
            ("", NotCredits::NotADecimal),
            ("-1", NotCredits::NotADecimal),
            ("+1", NotCredits::NotADecimal),
            ("1e3", NotCredits::NotADecimal),
            (".5", NotCredits::NotADecimal),
            ("1.", NotCredits::NotADecimal),
            ("0.0000001", NotCredits::TooFine),
            ("1000000000.000001", NotCredits::TooMany),
            ("99999999999999999999999", NotCredits::TooMany),
        ] {
            assert_eq!(text.parse::<Credits>(), Err(why), "{text}");
        }
    }

    #[test]
    fn json_numbers_and_strings_mean_the_same_amount() {
        for json in ["0.025", "\"0.025\""] {
            let credits: Credits = serde_json::from_str(json).expect(json);
            assert_eq!(credits.micros(), 25_000);
        }
        for (micros, text) in
            [(25_000, "0.025"), (2, "0.000002"), (9_999_999, "9.999999"), (400_000_000, "400")]
        {
            assert_eq!(
                serde_json::to_string(&Credits::from_micros(micros)).expect("a number"),
                text
            );
        }
    }
}
