//! Warning threshold of a budget, as a share of it.

use std::fmt;
use std::str::FromStr;

use crate::credits::Credits;

/// A share in millionths, above zero and at most the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// A text is not a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is more than 0 and at most 1, such as 0.8, with at most six decimal places")]
pub struct NotAShare;

impl Share {
    /// The whole.
    pub const WHOLE: Self = Self(1_000_000);

    /// The share in millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// A share of so many millionths.
    #[must_use]
    pub fn from_millionths(millionths: u64) -> Option<Self> {
        let share = u32::try_from(millionths).map(Self).ok()?;
        (share.0 > 0 && share <= Self::WHOLE).then_some(share)
    }

    /// The share of an amount, rounded up, so at least 1 unless the amount is 0.
    #[must_use]
    pub fn of(self, amount: u64) -> u64 {
        let exact = (u128::from(amount) * u128::from(self.0)).div_ceil(u128::from(Self::WHOLE.0));
        u64::try_from(exact).unwrap_or(u64::MAX)
    }
}

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        // Parsed like credits: a decimal with at most six places.
        let millionths = text.parse::<Credits>().map_err(|_| NotAShare)?.micros();
        Self::from_millionths(millionths).ok_or(NotAShare)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Credits::from_micros(self.0.into()).fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_decimal_above_zero_up_to_one() {
        for good in ["0.8", "1", "0.000001", "0.5"] {
            assert_eq!(good.parse::<Share>().unwrap().to_string(), good);
        }
        for bad in ["0", "1.000001", "80", "-0.8", "80%", "0.0000001", ""] {
            assert_eq!(bad.parse::<Share>(), Err(NotAShare), "{bad}");
        }
    }

    #[test]
    fn a_share_of_an_amount_is_rounded_up() {
        let share = |text: &str| text.parse::<Share>().unwrap();
        assert_eq!((share("0.8").of(10), share("0.8").of(9), share("0.000001").of(1)), (8, 8, 1));
        assert_eq!((share("0.5").of(0), share("1").of(u64::MAX)), (0, u64::MAX));
    }
}
