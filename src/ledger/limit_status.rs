//! Status of a limit: what is used and reserved.

use jiff::Timestamp;

use super::Scope;
use crate::credits::Credits;
use crate::team::LimitKind;

/// Status of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The level of the limit.
    pub scope: Scope,
    /// The kind of limit.
    pub kind: LimitKind,
    /// How much it allows, in its unit (a bucket: its burst; prepaid credits: with all top-ups).
    pub max: u64,
    /// Prepaid credits: the part of `max` that was topped up. Others: 0.
    pub topped_up: u64,
    /// Used, in its unit. A bucket: tokens taken and not yet refilled, rounded up.
    pub used: u64,
    /// Reserved. Slots: calls in flight, and answers that are still being read (`used` is 0).
    pub reserved: u64,
    /// When the window ends or the bucket is full again; `None` for prepaid credits and slots.
    pub reset_at: Option<Timestamp>,
    /// Refuses nothing.
    pub shadow: bool,
    /// A shadow limit that would have refused this call: to be counted.
    pub shadow_refused: bool,
}

impl LimitStatus {
    /// What is left.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// Credits added by top-ups; `None` unless it is a prepaid budget.
    #[must_use]
    pub fn topped_up_credits(&self) -> Option<Credits> {
        (self.kind == LimitKind::CreditsTotal).then(|| Credits::from_micros(self.topped_up))
    }
}
