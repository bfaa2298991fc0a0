//! A token bucket in whole numbers: how full it is, and when a call fits again, exact to the
//! microsecond.

use std::cmp::{Ordering, max_by_key};

use serde::{Deserialize, Serialize};

/// A bucket as it is kept; the default is an untouched one.
///
/// The level counts taken tokens that have not leaked back, times the period in microseconds: in
/// that unit `max` leaks per microsecond, and nothing is ever rounded. It does not depend on the
/// limit, so a changed limit keeps what was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Bucket {
    pub(super) level: u64,
    /// When the level was computed, in microseconds of Unix time.
    pub(super) since: i64,
}

/// A bucket at one moment under one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Drained {
    bucket: Bucket,
    rate: u64,
    now: i64,
    /// The bucket was last written with a wrong clock, so its time should be written again.
    pub(in crate::ledger) corrected: bool,
}

impl Bucket {
    /// The bucket at a moment, leaking `rate` tokens a period.
    ///
    /// While the clock is behind the last token's time nothing leaks. If it is behind by more than
    /// the whole bucket takes to leak, the earlier time was wrong, and leaking goes on from now.
    pub(in crate::ledger) fn drained(self, rate: u64, now: i64) -> Drained {
        let leaked = u128::from(self.since.abs_diff(now)) * u128::from(rate);
        let level = u128::from(self.level);
        let (bucket, corrected) = match now.cmp(&self.since) {
            Ordering::Less if leaked > level => (Self { since: now, ..self }, self.level > 0),
            Ordering::Less | Ordering::Equal => (self, false),
            Ordering::Greater => {
                let left = u64::try_from(level.saturating_sub(leaked)).unwrap_or(u64::MAX);
                (Self { level: left, since: now }, false)
            }
        };
        Drained { bucket, rate, now, corrected }
    }

    /// The one of two buckets that was written later.
    pub(super) fn later(self, other: Self) -> Self {
        max_by_key(self, other, |bucket| (bucket.since, bucket.level))
    }
}

impl Drained {
    /// Tokens taken that have not leaked back, rounded up.
    pub(in crate::ledger) const fn used(&self, period: u64) -> u64 {
        self.bucket.level.div_ceil(period)
    }

    /// When it is full again, in microseconds of Unix time; `None` at a rate of zero: never.
    pub(in crate::ledger) fn full_at(&self) -> Option<i64> {
        if self.bucket.level == 0 { Some(self.now) } else { self.leaked_at(self.bucket.level) }
    }

    /// When a token may be taken: `Ok` now, otherwise the earliest time, `None` for never.
    pub(in crate::ledger) fn fits(&self, period: u64, burst: u64) -> Result<(), Option<i64>> {
        if self.rate == 0 || burst == 0 {
            return Err(None);
        }
        let over =
            self.bucket.level.saturating_add(period).saturating_sub(burst.saturating_mul(period));
        if over == 0 { Ok(()) } else { Err(self.leaked_at(over)) }
    }

    /// The bucket with one token more taken from it.
    pub(in crate::ledger) const fn with_one_taken(self, period: u64) -> Bucket {
        Bucket { level: self.bucket.level.saturating_add(period), since: self.bucket.since }
    }

    /// The bucket to keep when no token was taken.
    pub(in crate::ledger) const fn bucket(self) -> Bucket {
        self.bucket
    }

    fn leaked_at(&self, amount: u64) -> Option<i64> {
        let micros = amount.checked_next_multiple_of(self.rate)?.checked_div(self.rate)?;
        Some(self.bucket.since.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const MINUTE: u64 = 60_000_000;

    fn taken(tokens: u64, at: i64) -> Bucket {
        (0..tokens).fold(Bucket { level: 0, since: at }, |bucket, _| {
            bucket.drained(6, at).with_one_taken(MINUTE)
        })
    }

    #[test]
    fn a_token_is_back_exactly_when_its_time_has_come() {
        let full = taken(6, 0);
        assert_eq!(full.drained(6, 0).fits(MINUTE, 6), Err(Some(10 * SECOND)));
        assert_eq!(full.drained(6, 10 * SECOND - 1).fits(MINUTE, 6), Err(Some(10 * SECOND)));
        assert_eq!(full.drained(6, 10 * SECOND).fits(MINUTE, 6), Ok(()));
        assert_eq!(full.drained(7, 0).fits(MINUTE, 6), Err(Some(8_571_429)));
    }

    #[test]
    fn a_slightly_early_clock_stops_the_leak_for_a_while() {
        let full = taken(6, 0);
        let earlier = full.drained(6, -10 * SECOND);
        assert_eq!((earlier.used(MINUTE), earlier.corrected), (6, false));
        assert_eq!(earlier.fits(MINUTE, 6), Err(Some(10 * SECOND)));
    }

    #[test]
    fn a_clock_that_had_been_far_ahead_locks_nobody_out() {
        let full = taken(6, 86_400 * SECOND);
        let set_right = full.drained(6, 0);
        assert_eq!((set_right.used(MINUTE), set_right.corrected), (6, true));
        assert_eq!(set_right.bucket().drained(6, 10 * SECOND).fits(MINUTE, 6), Ok(()));
    }

    #[test]
    fn a_clock_set_back_by_a_whole_leak_is_believed() {
        let full = taken(6, 0);
        assert!(
            !full.drained(6, -60 * SECOND).corrected && full.drained(6, -60 * SECOND - 1).corrected
        );
        assert!(
            !Bucket::default().drained(6, -SECOND).corrected,
            "of an empty one no time need be kept"
        );
    }

    #[test]
    fn of_two_bucket_copies_the_later_or_fuller_counts() {
        let [early, late, fuller] = [taken(3, 0), taken(1, SECOND), taken(2, SECOND)];
        for (one, other) in [(early, late), (late, fuller)] {
            assert_eq!((one.later(other), other.later(one)), (other, other));
        }
    }

    #[test]
    fn without_a_rate_or_room_nothing_ever_fits() {
        assert_eq!(Bucket::default().drained(0, 0).fits(MINUTE, 5), Err(None));
        assert_eq!(Bucket::default().drained(6, 0).fits(MINUTE, 0), Err(None));
    }

    #[test]
    fn a_bucket_is_full_once_all_of_it_has_leaked() {
        assert_eq!(taken(2, 0).drained(6, 0).full_at(), Some(20 * SECOND));
        assert_eq!(
            Bucket::default().drained(0, 7).full_at(),
            Some(7),
            "at a rate of nothing as well"
        );
        assert_eq!(taken(2, 0).drained(0, 7).full_at(), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let bucket = Bucket { level: u64::MAX, since: i64::MIN };
        assert_eq!(bucket.drained(u64::MAX, i64::MAX).used(1), 0);
        let ahead = Bucket { level: u64::MAX, since: i64::MAX }.drained(1, i64::MAX);
        assert_eq!(ahead.with_one_taken(MINUTE).level, u64::MAX);
        assert_eq!(ahead.full_at(), Some(i64::MAX));
    }
}
