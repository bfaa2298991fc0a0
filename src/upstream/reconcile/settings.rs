//! How the balance is held against the ledger.

use std::time::Duration;

use crate::credits::Credits;

/// As the configuration has it (`upstream.reconcile`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often the balance is read.
    pub every: Duration,
    /// Where it stands in the upstream's answer: a JSON pointer (RFC 6901).
    pub balance_pointer: String,
    /// How much more or less than was spent the upstream may have taken before it is said in the log.
    pub drift_max: Credits,
}
