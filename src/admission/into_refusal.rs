//! The ledger's no, as a refusal.

use std::time::Duration;

use jiff::Timestamp;

use crate::credits::Credits;
use crate::ledger::LimitStatus;
use crate::refusal::{Bound, Refusal};
use crate::team::LimitKind;

/// Turns the limit that refused a call into what the caller is told.
#[must_use]
pub fn refusal(
    standings: Vec<LimitStatus>,
    binding: usize,
    retry_at: Option<Timestamp>,
    at: Timestamp,
    price: Credits,
) -> Refusal {
    let Some(limit) = standings.get(binding).cloned() else { return Refusal::Internal };
    let kind = limit.kind;
    let retry_after = retry_at.map(|moment| at.duration_until(moment).try_into().unwrap_or(Duration::ZERO));
    let bound = Box::new(Bound { limit, standings, price, reset_at: retry_at, retry_after });
    match kind {
        LimitKind::RequestsPerSecond | LimitKind::RequestsPerMinute | LimitKind::RequestsPerHour => {
            Refusal::RateLimited(bound)
        }
        LimitKind::RequestsPerDay | LimitKind::RequestsPerMonth => Refusal::QuotaExhausted(bound),
        LimitKind::CreditsPerDay | LimitKind::CreditsPerMonth | LimitKind::CreditsTotal => {
            Refusal::BudgetExhausted(bound)
        }
        LimitKind::Concurrent => Refusal::TooManyConcurrent(bound),
    }
}
