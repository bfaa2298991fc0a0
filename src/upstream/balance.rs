//! What an account's balance was when it was last read, and how far that is from what was spent.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::credits::{Credits, decimal};

/// A reading of an account's balance, held against the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What there was.
    pub credits: Credits,
    /// How much more than was spent the upstream has taken.
    pub drift: Drift,
    /// Since when that is counted: this process's first reading, or the last one that was higher than the one before
    /// it.
    pub since: Timestamp,
    /// When it was read.
    pub at: Timestamp,
}

/// Credits that the upstream has taken beyond what was spent, in millionths; negative when it has taken less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift(pub i64);

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", Credits::from_micros(self.0.unsigned_abs()))
    }
}

/// A decimal number, like an amount of credits.
impl Serialize for Drift {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        decimal(self, serializer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_is_a_signed_decimal() {
        let shown = |micros| (Drift(micros).to_string(), serde_json::to_string(&Drift(micros)).unwrap());
        for (micros, text) in [(0, "0"), (2, "0.000002"), (25_000, "0.025"), (-25_000, "-0.025"), (-5_000_000, "-5")] {
            assert_eq!(shown(micros), (text.to_owned(), text.to_owned()));
        }
    }
}
