//! Limits as the store reported them, extrapolated for the call's own settlement and for time.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Level, LimitStatus, Outcome};
use crate::calendar::Calendar;
use crate::credits::Credits;
use crate::team::Limit;
use crate::team::limit::{Period, Shape, Unit};

/// Limits with the time at which the store reported them, by its clock and by this machine's.
///
/// A call takes seconds to minutes. With the limits as of its admission, a caller would wait for
/// tokens that are back, or count on a window that is over.
#[derive(Clone, Debug)]
pub struct ExtrapolatedLimits {
    statuses: Vec<LimitStatus>,
    at: Timestamp,
    since: Instant,
}

impl ExtrapolatedLimits {
    /// Limits as the store has just reported them; `at` is its time.
    #[must_use]
    pub fn new(statuses: Vec<LimitStatus>, at: Timestamp) -> Self {
        Self { statuses, at, since: Instant::now() }
    }

    /// The limits as of [`Self::at`].
    #[must_use]
    pub fn statuses(&self) -> &[LimitStatus] {
        &self.statuses
    }

    /// The store's time for which the limits hold.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// How long ago the store reported them.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Settles the call whose reservation is in these limits.
    pub fn settle(&mut self, outcome: Outcome, reserved: Credits, charged: Credits) {
        let counts = match outcome {
            Outcome::Released => 0,
            Outcome::Charged | Outcome::Refused | Outcome::Unknown => 1,
        };
        for status in &mut self.statuses {
            let (held, taken) = match status.kind.shape() {
                Shape::Window(_, Unit::Requests) => (1, counts),
                Shape::Window(_, Unit::Credits) => (reserved.micros(), charged.micros()),
                Shape::Slots => (1, 0),
                // A token that was taken is not given back.
                Shape::Bucket(_) => (0, 0),
            };
            status.reserved = status.reserved.saturating_sub(held);
            status.used = status.used.saturating_add(taken);
        }
    }

    /// Extrapolates to now, by this machine's clock. `levels` are those that the store was asked
    /// for.
    pub fn bring_up_to_now(&mut self, levels: &[Level], zone: &TimeZone) {
        let elapsed = jiff::SignedDuration::try_from(self.since.elapsed())
            .unwrap_or(jiff::SignedDuration::ZERO);
        self.bring_up_to(self.at.checked_add(elapsed).unwrap_or(self.at), levels, zone);
    }

    /// Extrapolates to a later time of the store, as if nobody else had called.
    pub fn bring_up_to(&mut self, now: Timestamp, levels: &[Level], zone: &TimeZone) {
        let limits = levels.iter().flat_map(|level| level.limits.iter());
        for (status, limit) in self.statuses.iter_mut().zip(limits) {
            match limit.kind.shape() {
                Shape::Bucket(period) => refill(status, limit, period, now),
                Shape::Window(period, _) => roll_over(status, period, now, zone),
                Shape::Slots => {}
            }
        }
        self.at = now;
    }
}

/// Refills a bucket. Its content follows from when it will be full, exactly to the microsecond.
fn refill(status: &mut LimitStatus, limit: &Limit, period: Duration, now: Timestamp) {
    // A bucket of no calls is never refilled.
    let Some(full_at) = status.reset_at else { return };
    let left =
        u128::try_from(full_at.as_microsecond().saturating_sub(now.as_microsecond())).unwrap_or(0);
    let tokens = (left * u128::from(limit.max)).div_ceil(period.as_micros().max(1));
    // Rounded twice, it can be one token too high, but not if no time has passed.
    status.used = status.used.min(u64::try_from(tokens).unwrap_or(u64::MAX));
    status.reset_at = Some(full_at.max(now));
}

/// Replaces a window that has ended by an unused one.
fn roll_over(status: &mut LimitStatus, period: Period, now: Timestamp, zone: &TimeZone) {
    if status.reset_at.is_none_or(|end| now < end) {
        return;
    }
    let calendar = Calendar::around(now, zone);
    status.reset_at = match period {
        Period::Day => Some(calendar.day.end),
        Period::Month => Some(calendar.month.end),
        Period::Total => return,
    };
    (status.used, status.reserved) = (0, 0);
}
