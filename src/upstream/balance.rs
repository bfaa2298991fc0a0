//! An account's balance as last read, and how it differs from the ledger.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::credits::{Credits, decimal};

/// A balance, compared with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The balance.
    pub credits: Credits,
    /// How much more the upstream has charged than the ledger.
    pub drift: Drift,
    /// Since when that is counted: this process's first reading, or the last one above the one
    /// before.
    pub since: Timestamp,
    /// When it was read.
    pub at: Timestamp,
}

/// Credits that the upstream has charged beyond the ledger, in millionths; negative when it has
/// charged less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift(pub i64);

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", Credits::from_micros(self.0.unsigned_abs()))
    }
}

/// Serialized as a decimal number, like credits.
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
        let shown =
            |micros| (Drift(micros).to_string(), serde_json::to_string(&Drift(micros)).unwrap());
        for (micros, text) in
            [(0, "0"), (2, "0.000002"), (25_000, "0.025"), (-25_000, "-0.025"), (-5_000_000, "-5")]
        {
            assert_eq!(shown(micros), (text.to_owned(), text.to_owned()));
        }
    }
}
