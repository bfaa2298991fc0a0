//! Usage: what a team's calls came to, day by day, user by user, model by model. Kept longer than the rows it sums.

use std::ops::{AddAssign, RangeInclusive};
use std::time::Duration;

use jiff::civil::Date;

use super::row::{CallResult, Outcome, Row};
use crate::credits::Credits;

/// The most cells of one team and day. What more users and models do that day is counted in one cell named
/// [`OVERFLOW`], so that no sum is ever wrong, and no caller can fill the store by inventing names.
pub const CELLS_MAX: u64 = 5_000;
/// The user and the model of what is beyond [`CELLS_MAX`]; no model has this name.
pub const OVERFLOW: &str = "*";

/// How long the past is kept, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows that were settled longer ago are dropped, about a hundred with each sweep.
    pub rows: Duration,
    /// The most rows of one team: of more, the oldest of calls that cost nothing give way, then the oldest of all. At
    /// least [`Retention::ROWS_LEAST`].
    pub rows_max: u64,
    /// How long the sums of a day are kept after its last new user or model.
    pub usage: Duration,
}

impl Retention {
    /// The least that [`Retention::rows_max`] may be: more than one step can write.
    pub const ROWS_LEAST: u64 = 1_000;
}

impl Default for Retention {
    /// 400 days of rows, at most 100,000 of a team; five years of sums.
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self { rows: days(400), rows_max: 100_000, usage: days(1830) }
    }
}

/// What calls came to. The sum of a day's is what the day's window counts: all calls but the released, and credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls that were answered and charged by what came back.
    pub charged: u64,
    /// Calls that were never sent.
    pub released: u64,
    /// Calls that the upstream refused.
    pub refused: u64,
    /// Calls of which nobody knows what became.
    pub unknown: u64,
    /// Credits charged, of charged and of unknown calls.
    pub credits: Credits,
    /// Images that came back.
    pub images: u64,
    /// Milliseconds of video that came back.
    pub video_ms: u64,
    /// Milliseconds that charged calls waited for the shared account.
    pub queue_ms: u64,
    /// Milliseconds that charged calls took at the upstream.
    pub upstream_ms: u64,
}

impl Sums {
    /// What one call comes to. Media and times count where the call was answered: of others there are none.
    #[must_use]
    pub const fn of(outcome: Outcome, charged: Credits, came: &CallResult) -> Self {
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
                images: came.images,
                video_ms: came.video_ms,
                queue_ms: came.queue_ms,
                upstream_ms: came.upstream_ms,
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

    /// The numbers as the stores keep them. New ones come last: what was written before them has none.
    #[must_use]
    pub const fn to_numbers(self) -> [u64; 9] {
        let Self { charged, released, refused, unknown, credits, images, video_ms, queue_ms, upstream_ms } = self;
        [charged, released, unknown, credits.micros(), images, video_ms, queue_ms, upstream_ms, refused]
    }

    /// The sums from what a store kept.
    #[must_use]
    pub const fn from_numbers(numbers: [u64; 9]) -> Self {
        let [charged, released, unknown, micros, images, video_ms, queue_ms, upstream_ms, refused] = numbers;
        let credits = Credits::from_micros(micros);
        Self { charged, released, refused, unknown, credits, images, video_ms, queue_ms, upstream_ms }
    }
}

impl From<&Row> for Sums {
    fn from(row: &Row) -> Self {
        Self::of(row.outcome, row.charged, &row.came)
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

/// What one user's calls of one model came to on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The day whose window admitted them, in the team's zone.
    pub day: Date,
    /// The user, or [`OVERFLOW`].
    pub user: String,
    /// The model, or [`OVERFLOW`].
    pub model: String,
    /// What they came to.
    pub sums: Sums,
}

/// A stretch of days, the first and the last.
pub type Days = RangeInclusive<Date>;
