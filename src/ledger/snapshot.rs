//! How limits stood when the store told, and how they stand now: with what the call's own end and the clock have
//! changed since.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Level, LimitStatus, Outcome};
use crate::calendar::Calendar;
use crate::credits::Credits;
use crate::team::Limit;
use crate::team::limit::{Period, Shape, Unit};

/// Standings, and when the store told them: by its clock and by this machine's.
///
/// Between a call's admission and its answer lie seconds to minutes. A caller told how the limits stood at the
/// beginning would wait for tokens that are back, or count on a window that is over.
#[derive(Clone, Debug)]
pub struct Snapshot {
    standings: Vec<LimitStatus>,
    at: Timestamp,
    since: Instant,
}

impl Snapshot {
    /// What the store has told just now; `at` is its time.
    #[must_use]
    pub fn new(standings: Vec<LimitStatus>, at: Timestamp) -> Self {
        Self { standings, at, since: Instant::now() }
    }

    /// How the limits stand, as of [`Self::at`].
    #[must_use]
    pub fn standings(&self) -> &[LimitStatus] {
        &self.standings
    }

    /// The store's time for which the standings hold.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// How long ago the store told them.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The call whose reservation is in these standings has ended.
    pub fn settle(&mut self, outcome: Outcome, reserved: Credits, charged: Credits) {
        let counts = match outcome {
            Outcome::Released => 0,
            Outcome::Charged | Outcome::Refused | Outcome::Unknown => 1,
        };
        for standing in &mut self.standings {
            let (held, taken) = match standing.kind.shape() {
                Shape::Window(_, Unit::Requests) => (1, counts),
                Shape::Window(_, Unit::Credits) => (reserved.micros(), charged.micros()),
                Shape::Slots => (1, 0),
                // A token that was taken is not put back.
                Shape::Bucket(_) => (0, 0),
            };
            standing.reserved = standing.reserved.saturating_sub(held);
            standing.used = standing.used.saturating_add(taken);
        }
    }

    /// Brings the standings up to now by this machine's clock. `levels` are those that the store was asked about.
    pub fn bring_up_to_now(&mut self, levels: &[Level], zone: &TimeZone) {
        let elapsed = jiff::SignedDuration::try_from(self.since.elapsed()).unwrap_or(jiff::SignedDuration::ZERO);
        self.bring_up_to(self.at.checked_add(elapsed).unwrap_or(self.at), levels, zone);
    }

    /// Brings the standings up to a later time of the store, as if nobody else had called since.
    pub fn bring_up_to(&mut self, now: Timestamp, levels: &[Level], zone: &TimeZone) {
        let limits = levels.iter().flat_map(|level| level.limits.iter());
        for (standing, limit) in self.standings.iter_mut().zip(limits) {
            match limit.kind.shape() {
                Shape::Bucket(period) => refill(standing, limit, period, now),
                Shape::Window(period, _) => roll_over(standing, period, now, zone),
                Shape::Slots => {}
            }
        }
        self.at = now;
    }
}

/// The bucket has leaked meanwhile. What it holds is known from when it is full: exact to the microsecond.
fn refill(standing: &mut LimitStatus, limit: &Limit, period: Duration, now: Timestamp) {
    // A bucket of no calls never leaks.
    let Some(full_at) = standing.reset_at else { return };
    let left = u128::try_from(full_at.as_microsecond().saturating_sub(now.as_microsecond())).unwrap_or(0);
    let tokens = (left * u128::from(limit.max)).div_ceil(period.as_micros().max(1));
    // Rounded twice it can be one token too much, never when no time has passed.
    standing.used = standing.used.min(u64::try_from(tokens).unwrap_or(u64::MAX));
    standing.reset_at = Some(full_at.max(now));
}

/// A window that has ended gives way to one in which nothing was used.
fn roll_over(standing: &mut LimitStatus, period: Period, now: Timestamp, zone: &TimeZone) {
    if standing.reset_at.is_none_or(|end| now < end) {
        return;
    }
    let calendar = Calendar::around(now, zone);
    standing.reset_at = match period {
        Period::Day => Some(calendar.day.end),
        Period::Month => Some(calendar.month.end),
        Period::Total => return,
    };
    (standing.used, standing.reserved) = (0, 0);
}
