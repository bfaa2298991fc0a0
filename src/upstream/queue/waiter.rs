//! One call that waits for a permit: what it wants, what it was told of its place, what it is told in the end.

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
pub(super) struct Wanted {
    pub(super) team: TeamId,
    pub(super) weight: u32,
    /// Until when it waits, once the store has said that it must.
    pub(super) until: Instant,
    /// The upstream turned it back.
    pub(super) turned_back: bool,
}

/// What a waiting call is told in the end.
#[derive(Debug)]
pub(super) enum Heard {
    /// It may be sent with this key; so many more calls have room in its tightest window.
    Granted { key: KeyName, left: Option<u64> },
    /// It may not be sent.
    Refused(Refusal),
    /// The account has no limits any more.
    Free,
}

/// A call as the desk has it.
pub(super) struct Waiter {
    pub(super) wanted: Wanted,
    pub(super) reply: oneshot::Sender<Heard>,
    /// The keys that the store was told it may use; `None` until it was asked.
    pub(super) offered: Option<Arc<[KeyName]>>,
    /// When its place is looked after next.
    pub(super) look_at: Instant,
    /// What the store said of its place last.
    pub(super) told: Option<Told>,
}

/// When a call can pass, as the store said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// When it could pass at the earliest, were nobody to give up before it.
    retry_at: Timestamp,
    store_at: Timestamp,
    heard: Instant,
}

impl Told {
    /// Works out from a place when its turn comes: `ahead` calls take their minutes first.
    pub(super) fn of(ahead: u64, opens_at: Timestamp, store_at: Timestamp, limits: &AccountLimits) -> Self {
        let minutes = limits.account.of(Span::Minute).map_or(0, |calls| ahead / calls.max(1));
        let more = SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(i64::MAX / 60));
        let retry_at = opens_at.checked_add(more).unwrap_or(Timestamp::MAX);
        Self { retry_at, store_at, heard: Instant::now() }
    }

    /// The refusal of a call that cannot wait that long.
    pub(super) fn refusal(&self) -> Refusal {
        let now = self.store_at.checked_add(self.heard.elapsed()).unwrap_or(self.store_at);
        let retry_after = now.duration_until(self.retry_at).try_into().unwrap_or(Duration::ZERO);
        Refusal::SharedRateLimited { retry_at: self.retry_at, retry_after: retry_after.max(Duration::from_secs(1)) }
    }
}
