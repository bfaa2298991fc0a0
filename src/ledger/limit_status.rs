//! How a limit stands: what is spent of it, and what is reserved.

use jiff::Timestamp;

use super::Scope;
use crate::credits::Credits;
use crate::team::LimitKind;

/// How one limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// Whose limit.
    pub scope: Scope,
    /// Which limit.
    pub kind: LimitKind,
    /// How much it allows (a bucket: its burst; prepaid credits: with all top-ups), in its unit.
    pub max: u64,
    /// Prepaid credits: how much of `max` was topped up. Others: 0.
    pub topped_up: u64,
    /// Spent for good, in its unit. A bucket: tokens taken and not yet back, rounded up.
    pub used: u64,
    /// Held by open reservations. Slots: the calls in flight, and the answers that are still being read (`used` is 0).
    pub reserved: u64,
    /// When the window ends, or the bucket is full again; `None` for prepaid credits and slots.
    pub reset_at: Option<Timestamp>,
    /// It refuses nobody.
    pub shadow: bool,
    /// A shadow limit that this call would have passed: to be counted, not refused.
    pub shadow_refused: bool,
}

impl LimitStatus {
    /// What may still be taken.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// How much of a prepaid budget was topped up; `None` for every other limit.
    #[must_use]
    pub fn topped_up_credits(&self) -> Option<Credits> {
        (self.kind == LimitKind::CreditsTotal).then(|| Credits::from_micros(self.topped_up))
    }
}
