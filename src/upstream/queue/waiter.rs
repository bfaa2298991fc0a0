//! One call that waits for a permit: what it wants, its estimate, and its result.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::permits::{AccountLimits, KeyName, Span};
use crate::refusal::Refusal;
use crate::team::TeamId;

/// A call that wants a permit.
#[derive(Debug)]
pub(super) struct PermitRequest {
    pub(super) team: TeamId,
    pub(super) weight: u32,
    /// When its wait ends, once the store has queued it.
    pub(super) until: Instant,
    /// The upstream turned it back.
    pub(super) turned_back: bool,
}

/// The result of waiting.
#[derive(Debug)]
pub(super) enum WaitResult {
    /// May be sent with this key; `left` more calls fit into the key's tightest window.
    Granted { key: KeyName, left: Option<u64> },
    /// May not be sent.
    Refused(Refusal),
    /// The account has no limits any more.
    Unlimited,
}

/// A waiting call in the permit client.
pub(super) struct Waiter {
    pub(super) request: PermitRequest,
    pub(super) reply: oneshot::Sender<WaitResult>,
    /// The keys last sent to the store; `None` before the first request.
    pub(super) offered: Option<Arc<[KeyName]>>,
    /// When to ask about its position next.
    pub(super) look_at: Instant,
    /// The last estimate of when it can pass.
    pub(super) estimate: Option<Estimate>,
}

/// When a call can pass, by the store's last answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    /// The earliest time it could pass if no call before it gives up.
    retry_at: Timestamp,
    store_at: Timestamp,
    received_at: Instant,
}

impl Estimate {
    /// Computes the estimate: the `ahead` calls take their minutes first.
    pub(super) fn of(
        ahead: u64,
        opens_at: Timestamp,
        store_at: Timestamp,
        limits: &AccountLimits,
    ) -> Self {
        let minutes = limits.account.of(Span::Minute).map_or(0, |calls| ahead / calls.max(1));
        let more = SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(i64::MAX / 60));
        let retry_at = opens_at.checked_add(more).unwrap_or(Timestamp::MAX);
        Self { retry_at, store_at, received_at: Instant::now() }
    }

    /// The refusal of a call that cannot wait that long.
    pub(super) fn refusal(&self) -> Refusal {
        let now = self.store_at.checked_add(self.received_at.elapsed()).unwrap_or(self.store_at);
        let retry_after = now.duration_until(self.retry_at).try_into().unwrap_or(Duration::ZERO);
        Refusal::SharedRateLimited {
            retry_at: self.retry_at,
            retry_after: retry_after.max(Duration::from_secs(1)),
        }
    }
}
