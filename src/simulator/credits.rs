//! Money inside the simulator: whole millionths of a credit, written as decimals outside.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// An amount of credits in millionths. Signed, because an account that is charged only after the work is done
/// can be overdrawn by calls that run at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(i64);

/// Millionths in one credit.
const UNIT: i64 = 1_000_000;

impl Credits {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// An amount given in millionths of a credit.
    #[must_use]
    pub const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    pub(super) fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(i64::from(count)))
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / UNIT.unsigned_abs(), self.0.unsigned_abs() % UNIT.unsigned_abs());
        if part == 0 {
            return write!(out, "{sign}{whole}");
        }
        let digits = format!("{part:06}");
        write!(out, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A JSON number. The shortest decimal of a double is exact for every amount below nine thousand million credits.
impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_precision_loss)] // see above
        serializer.serialize_f64(self.0 as f64 / UNIT as f64)
    }
}

/// Reads `12`, `0.025`, `-3.5`: at most six places. The error says what was wrong.
impl FromStr for Credits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an amount of credits with at most six decimal places");
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(part) || part.len() > 6 {
            return Err(wrong());
        }
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        let part: i64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
        let millionths = whole.checked_mul(UNIT).and_then(|whole| whole.checked_add(part)).ok_or_else(wrong)?;
        Ok(Self(if negative { -millionths } else { millionths }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn decimals_survive_the_way_in_and_out() {
        for text in ["0", "12", "0.025", "0.000001", "100.5", "-3.25"] {
            assert_eq!(text.parse::<Credits>().unwrap().to_string(), text);
        }
        assert_eq!(serde_json::to_string(&"0.025".parse::<Credits>().unwrap().times(3)).unwrap(), "0.075");
    }

    #[test]
    fn anything_but_a_decimal_of_six_places_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "0.0000001", "1,5", "+1", "99999999999999999999"] {
            assert!(text.parse::<Credits>().is_err(), "{text}");
        }
    }
}
