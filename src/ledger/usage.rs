//! Usage: totals of a team's calls by day, user and model. Kept longer than the rows.

use std::ops::{AddAssign, RangeInclusive};
use std::time::Duration;

use jiff::civil::Date;

use super::row::{CallResult, Outcome, Row};
use crate::credits::Credits;

/// Most cells of one team and day. Further users and models are counted in one cell named
/// [`OVERFLOW`], so that totals stay right and callers cannot fill the store with invented names.
pub const CELLS_MAX: u64 = 5_000;
/// User and model of the cell for everything beyond [`CELLS_MAX`]; no model has this name.
pub const OVERFLOW: &str = "*";

/// How long records of the past are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows settled longer ago are dropped, about a hundred with each sweep.
    pub rows: Duration,
    /// Most rows of one team. Of more, the oldest of free calls are dropped first, then the oldest
    /// of all. At least [`Retention::ROWS_MIN`].
    pub rows_max: u64,
    /// How long a day's totals are kept after its last new user or model.
    pub usage: Duration,
}

impl Retention {
    /// Least [`Retention::rows_max`]: more than one step can write.
    pub const ROWS_MIN: u64 = 1_000;
}

impl Default for Retention {
    /// 400 days of rows, at most 100,000 of a team; five years of usage.
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self { rows: days(400), rows_max: 100_000, usage: days(1830) }
    }
}

/// Totals of calls. Those of a day add up to what the day's window counts: credits, and all calls
/// but the released ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls that were answered and charged by what they delivered.
    pub charged: u64,
    /// Calls that were never sent.
    pub released: u64,
    /// Calls that the upstream refused.
    pub refused: u64,
    /// Calls with unknown outcome.
    pub unknown: u64,
    /// Credits of charged and unknown calls.
    pub credits: Credits,
    /// Images delivered.
    pub images: u64,
    /// Milliseconds of video delivered.
    pub video_ms: u64,
    /// Milliseconds that charged calls were in the queue.
    pub queue_ms: u64,
    /// Milliseconds that charged calls were at the upstream.
    pub upstream_ms: u64,
}

impl Sums {
    /// Totals of one call. Media and times count only if the call was answered.
    #[must_use]
    pub const fn of(outcome: Outcome, charged: Credits, result: &CallResult) -> Self {
        let none = Self {
            charged: 0,
            released: 0,
            refused: 0,
            unknown: 0,
            credits: charged,
            images: 0,
            video_ms: 0,
            queue_ms: 0,
            upstream_ms: 0,
        };
        match outcome {
            Outcome::Charged => Self {
                charged: 1,
                images: result.images,
                video_ms: result.video_ms,
                queue_ms: result.queue_ms,
                upstream_ms: result.upstream_ms,
                ..none
            },
            Outcome::Released => Self { released: 1, ..none },
            Outcome::Refused => Self { refused: 1, ..none },
            Outcome::Unknown => Self { unknown: 1, ..none },
        }
    }

    /// All calls.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.charged + self.released + self.refused + self.unknown
    }

    /// The numbers as stored. New ones are appended: older records lack them.
    #[must_use]
    pub const fn to_numbers(self) -> [u64; 9] {
        let Self {
            charged,
            released,
            refused,
            unknown,
            credits,
            images,
            video_ms,
            queue_ms,
            upstream_ms,
        } = self;
        [
            charged,
            released,
            unknown,
            credits.micros(),
            images,
            video_ms,
            queue_ms,
            upstream_ms,
            refused,
        ]
    }

    /// Totals from the stored numbers.
    #[must_use]
    pub const fn from_numbers(numbers: [u64; 9]) -> Self {
        let [charged, released, unknown, micros, images, video_ms, queue_ms, upstream_ms, refused] =
            numbers;
        let credits = Credits::from_micros(micros);
        Self {
            charged,
            released,
            refused,
            unknown,
            credits,
            images,
            video_ms,
            queue_ms,
            upstream_ms,
        }
    }
}

impl From<&Row> for Sums {
    fn from(row: &Row) -> Self {
        Self::of(row.outcome, row.charged, &row.result)
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.charged += other.charged;
        self.released += other.released;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.credits = self.credits.plus(other.credits);
        self.images = self.images.saturating_add(other.images);
        self.video_ms = self.video_ms.saturating_add(other.video_ms);
        self.queue_ms = self.queue_ms.saturating_add(other.queue_ms);
        self.upstream_ms = self.upstream_ms.saturating_add(other.upstream_ms);
    }
}

/// Usage of one user and model on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Day in the team's time zone by which the calls were counted.
    pub day: Date,
    /// The user, or [`OVERFLOW`].
    pub user: String,
    /// The model, or [`OVERFLOW`].
    pub model: String,
    /// The totals.
    pub sums: Sums,
}

/// A range of days, both included.
pub type Days = RangeInclusive<Date>;
