//! What time it is at the store, as far as one handle knows, and which days are kept there.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::sync::atomic::Ordering;

use super::courier::Courier;
use super::settings::StoreClock;
use crate::ledger::Days;

impl Courier {
    /// The time that is sent in place of the server's, in microseconds; only tests give one.
    pub(super) fn fixed_now(&self) -> Option<u64> {
        match &self.settings.clock {
            StoreClock::Server => None,
            StoreClock::Fixed(clock) => u64::try_from(clock.now().as_microsecond()).ok(),
        }
    }

    /// The store's time, as far as we know.
    pub(super) fn store_now(&self) -> Timestamp {
        match &self.settings.clock {
            StoreClock::Server => {
                let ours = self.clock.now().as_microsecond();
                let theirs = ours.saturating_add(self.ahead.load(Ordering::Relaxed));
                Timestamp::from_microsecond(theirs).unwrap_or(Timestamp::MAX)
            }
            StoreClock::Fixed(clock) => clock.now(),
        }
    }

    /// The days of which usage can be there: not before it is dropped, nor after tomorrow, which it is somewhere already.
    pub(super) fn days_kept(&self) -> Days {
        let today = self.store_now().to_zoned(TimeZone::UTC).date();
        let oldest = today.checked_sub(self.settings.retention.usage).unwrap_or(Date::MIN).saturating_sub(1.day());
        oldest..=today.saturating_add(1.day())
    }

    /// Notes what time an answer says it is at the store.
    pub(super) fn learn(&self, store_now: Timestamp) {
        let ahead = store_now.as_microsecond().saturating_sub(self.clock.now().as_microsecond());
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}
