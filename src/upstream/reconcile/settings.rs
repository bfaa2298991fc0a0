//! Settings of reconciliation.

use std::time::Duration;

use crate::credits::Credits;

/// Settings in the configuration (`upstream.reconcile`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often the balance is read.
    pub every: Duration,
    /// Where the upstream's answer has it: a JSON pointer (RFC 6901).
    pub balance_pointer: String,
    /// How far the upstream's charges may differ from the ledger before that is logged.
    pub drift_max: Credits,
}
