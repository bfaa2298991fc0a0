//! Configured limits as operators see them.

use serde::Serialize;

use crate::ledger::Amount;
use crate::team::{Limit, LimitKind, Limits};

/// One configured limit.
#[derive(Debug, Serialize)]
pub(super) struct ConfiguredLimit {
    limit: LimitKind,
    max: Amount,
    shadow: bool,
}

/// The configured limits.
pub(super) fn configured(limits: &Limits) -> Vec<ConfiguredLimit> {
    let view = |limit: &Limit| ConfiguredLimit {
        limit: limit.kind,
        max: Amount::of(limit.kind, limit.max),
        shadow: limit.shadow,
    };
    limits.iter().map(view).collect()
}
