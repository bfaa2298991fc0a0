//! A limit as it is configured, as operators see it.

use serde::Serialize;

use crate::ledger::Amount;
use crate::team::{Limit, LimitKind, Limits};

/// One limit as it is configured.
#[derive(Debug, Serialize)]
pub(super) struct ConfiguredLimit {
    limit: LimitKind,
    max: Amount,
    shadow: bool,
}

/// Limits as they are configured.
pub(super) fn configured(limits: &Limits) -> Vec<ConfiguredLimit> {
    let view = |limit: &Limit| ConfiguredLimit {
        limit: limit.kind,
        max: Amount::of(limit.kind, limit.max),
        shadow: limit.shadow,
    };
    limits.iter().map(view).collect()
}
