//! Calendar windows: the day and the month around a moment, in a team's time zone.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Length of a month's name.
const MONTH_BYTES: usize = "2026-11".len();

/// A day or month: its name, start and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Civil date or month, `2026-11-22` or `2026-11`. It stays the same when the time zone
    /// changes, so counting goes on in the same window.
    pub name: String,
    /// The first moment in it.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

impl Window {
    /// Whether a moment is in it.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }
}

/// The day and the month around a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The day: 23, 24 or 25 hours long where clocks change.
    pub day: Window,
    /// The month: 28 to 31 days.
    pub month: Window,
}

impl Calendar {
    /// The windows around a moment. A day that would begin in a gap of the clock begins right after
    /// the gap.
    #[must_use]
    pub fn around(moment: Timestamp, zone: &TimeZone) -> Self {
        let date = moment.to_zoned(zone.clone()).date();
        let (first, day) = (date.first_of_month(), date.to_string());
        // A day's name begins with its month's.
        let month = day.get(..MONTH_BYTES).unwrap_or_default().to_owned();
        Self {
            day: window(day, date, date.saturating_add(1.day()), zone),
            month: window(month, first, first.saturating_add(1.month()), zone),
        }
    }

    /// Whether both windows contain a moment.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.day.contains(moment) && self.month.contains(moment)
    }
}

/// The calendar of one time zone, kept as long as its day lasts: to make one takes as long as to
/// judge a call.
#[derive(Clone, Debug, Default)]
pub struct KeptCalendar(Option<(TimeZone, Arc<Calendar>)>);

impl KeptCalendar {
    /// The windows around a moment, as they are kept, or made anew.
    #[must_use]
    pub fn around(&self, moment: Timestamp, zone: &TimeZone) -> Arc<Calendar> {
        let kept = self.0.as_ref().filter(|(of, kept)| of == zone && kept.contains(moment));
        kept.map_or_else(
            || Arc::new(Calendar::around(moment, zone)),
            |(_, calendar)| Arc::clone(calendar),
        )
    }

    /// Keeps the windows around a moment.
    pub fn keep(&mut self, moment: Timestamp, zone: &TimeZone) {
        let calendar = self.around(moment, zone);
        if self.0.as_ref().is_none_or(|(_, kept)| !Arc::ptr_eq(kept, &calendar)) {
            self.0 = Some((zone.clone(), calendar));
        }
    }
}

fn window(name: String, first: Date, next: Date, zone: &TimeZone) -> Window {
    let start_of =
        |date: Date| date.to_zoned(zone.clone()).map_or(Timestamp::MAX, |zoned| zoned.timestamp());
    Window { name, start: start_of(first), end: start_of(next) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(moment: &str, zone: &str) -> Calendar {
        Calendar::around(moment.parse().expect(moment), &TimeZone::get(zone).expect(zone))
    }

    #[test]
    fn a_day_has_23_or_25_hours_where_clocks_change() {
        let hours =
            |calendar: Calendar| calendar.day.start.duration_until(calendar.day.end).as_hours();
        assert_eq!(hours(around("2026-03-29T10:00:00Z", "Europe/Berlin")), 23);
        assert_eq!(hours(around("2026-10-25T10:00:00Z", "Europe/Berlin")), 25);
        assert_eq!(hours(around("2026-11-22T10:00:00Z", "Europe/Berlin")), 24);
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let february = around("2028-02-29T23:59:59.999999Z", "UTC").month;
        assert_eq!(february.name, "2028-02");
        assert_eq!(february.end, around("2028-03-01T00:00:00Z", "UTC").month.start);
        assert_eq!(february.start.duration_until(february.end).as_hours(), 29 * 24);
    }

    #[test]
    fn the_day_is_the_team_s_own() {
        assert_eq!(around("2026-11-22T23:30:00Z", "Europe/Berlin").day.name, "2026-11-23");
        assert_eq!(around("2026-11-22T23:30:00Z", "America/New_York").day.name, "2026-11-22");
    }

    #[test]
    fn a_kept_calendar_is_that_of_its_zone_and_day() {
        let mut kept = KeptCalendar::default();
        let zones = ["Europe/Berlin", "UTC"].map(|zone| TimeZone::get(zone).expect(zone));
        for moment in ["2026-11-22T22:30:00Z", "2026-11-22T23:30:00Z", "2026-12-01T00:00:00Z"] {
            let moment = moment.parse().expect(moment);
            for zone in &zones {
                let right = Calendar::around(moment, zone);
                assert_eq!(*kept.around(moment, zone), right);
                kept.keep(moment, zone);
                let [one, other] = [(); 2].map(|()| kept.around(moment, zone));
                assert!(*one == right && Arc::ptr_eq(&one, &other));
            }
        }
    }

    #[test]
    fn a_window_includes_its_last_moment_and_not_the_next() {
        let day = around("2026-11-22T12:00:00Z", "UTC").day;
        assert!(day.contains("2026-11-22T23:59:59.999999Z".parse().expect("a time")));
        assert!(!day.contains("2026-11-23T00:00:00Z".parse().expect("a time")));
    }
}
