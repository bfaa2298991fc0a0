//! How a limit stands, as operators see it.

use jiff::Timestamp;
use serde::Serialize;

use crate::credits::Credits;
use crate::ledger::Standing;
use crate::team::limit::{Shape, Unit};
use crate::team::{LimitKind, Limits};

/// One limit now.
#[derive(Debug, Serialize)]
pub(super) struct StandingView {
    /// `team:credits_per_month`.
    limit: String,
    max: Amount,
    /// Prepaid credits: how much of `max` was topped up.
    #[serde(skip_serializing_if = "Option::is_none")]
    topped_up: Option<Credits>,
    used: Amount,
    reserved: Amount,
    remaining: Amount,
    /// When the window ends or the bucket is full; `null` for prepaid credits and slots.
    reset: Option<Timestamp>,
    /// It is only counted, and refuses nobody.
    shadow: bool,
}

/// One limit as it is configured.
#[derive(Debug, Serialize)]
pub(super) struct LimitView {
    limit: LimitKind,
    max: Amount,
    shadow: bool,
}

/// Calls are whole numbers, credits decimals.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Amount {
    Requests(u64),
    Credits(Credits),
}

fn amount(kind: LimitKind, number: u64) -> Amount {
    match kind.shape() {
        Shape::Window(_, Unit::Credits) => Amount::Credits(Credits::from_micros(number)),
        Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => Amount::Requests(number),
    }
}

/// Limits as they stand.
pub(super) fn standings(standings: &[Standing]) -> Vec<StandingView> {
    let view = |standing: &Standing| StandingView {
        limit: format!("{}:{}", standing.scope.level(), standing.kind),
        max: amount(standing.kind, standing.max),
        topped_up: standing.topped_up_credits(),
        used: amount(standing.kind, standing.used),
        reserved: amount(standing.kind, standing.reserved),
        remaining: amount(standing.kind, standing.remaining()),
        reset: standing.reset_at,
        shadow: standing.shadow,
    };
    standings.iter().map(view).collect()
}

/// Limits as they are configured.
pub(super) fn configured(limits: &Limits) -> Vec<LimitView> {
    let view = |limit: &crate::team::Limit| LimitView {
        limit: limit.kind,
        max: amount(limit.kind, limit.max),
        shadow: limit.shadow,
    };
    limits.iter().map(view).collect()
}
