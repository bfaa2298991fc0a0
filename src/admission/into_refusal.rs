//! Turns a refusal of the ledger into one for the caller.

use std::time::Duration;

use jiff::Timestamp;

use crate::credits::Credits;
use crate::ledger::LimitStatus;
use crate::refusal::{Bound, Refusal};
use crate::team::LimitKind;

/// The refusal for the limit that refused a call.
#[must_use]
pub fn refusal(
    statuses: Vec<LimitStatus>,
    binding: usize,
    retry_at: Option<Timestamp>,
    at: Timestamp,
    price: Credits,
) -> Refusal {
    let Some(limit) = statuses.get(binding).cloned() else { return Refusal::Internal };
    let kind = limit.kind;
    let retry_after =
        retry_at.map(|moment| at.duration_until(moment).try_into().unwrap_or(Duration::ZERO));
    let bound = Box::new(Bound { limit, statuses, price, reset_at: retry_at, retry_after });
    match kind {
        LimitKind::RequestsPerSecond
        | LimitKind::RequestsPerMinute
        | LimitKind::RequestsPerHour => Refusal::RateLimited(bound),
        LimitKind::RequestsPerDay | LimitKind::RequestsPerMonth => Refusal::QuotaExhausted(bound),
        LimitKind::CreditsPerDay | LimitKind::CreditsPerMonth | LimitKind::CreditsTotal => {
            Refusal::BudgetExhausted(bound)
        }
        LimitKind::Concurrent => Refusal::TooManyConcurrent(bound),
    }
}
