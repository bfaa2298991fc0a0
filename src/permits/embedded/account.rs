//! The shared account as it is kept in the file: its windows and each key's, with the upstream's
//! reports.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::permits::{Allowance, KeyName, KeyReport, Span};

/// Largest difference between two reported resets of one window, in microseconds.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// State of the shared account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Windows of all keys together.
    pub(super) whole: Windows,
    /// Windows of each key, by name.
    pub(super) keys: BTreeMap<String, KeyWindows>,
}

/// Windows of one key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct KeyWindows {
    pub(super) own: Windows,
    /// Reports of the upstream: on a window of up to a minute, up to a day, and longer.
    #[serde(rename = "told")]
    reports: [Report; 3],
}

/// Windows of a minute, a day and a month.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Windows([Window; 3]);

/// A window: start and end in microseconds of Unix time, and the calls in it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Window {
    starts: i64,
    ends: i64,
    taken: u64,
}

/// The upstream's report on a window, less the calls since.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) since: i64,
    pub(super) ends: i64,
    pub(super) left: u64,
}

impl Account {
    /// Opens the current windows.
    pub(super) fn roll(&mut self, now: Timestamp) {
        self.whole.roll(now);
        self.keys.values_mut().for_each(|key| key.own.roll(now));
    }

    /// One key's windows; fresh ones if it has none.
    pub(super) fn key(&mut self, name: &KeyName, now: Timestamp) -> &mut KeyWindows {
        self.keys.entry(name.to_string()).or_insert_with(|| {
            let mut fresh = KeyWindows::default();
            fresh.own.roll(now);
            fresh
        })
    }
}

impl Windows {
    /// Opens the current windows. Keeps a window that was opened by a clock slightly ahead, but not
    /// one opened by a clock far off.
    pub(super) fn roll(&mut self, now: Timestamp) {
        let (micros, month) = (now.as_microsecond(), Calendar::around(now, &TimeZone::UTC).month);
        let aligned = |length: i64| {
            (micros - micros.rem_euclid(length), micros - micros.rem_euclid(length) + length)
        };
        let current = [
            aligned(MINUTE),
            aligned(DAY),
            (month.start.as_microsecond(), month.end.as_microsecond()),
        ];
        for (window, (starts, ends)) in self.0.iter_mut().zip(current) {
            let is_open =
                micros < window.ends && window.starts - micros <= window.ends - window.starts;
            if !is_open {
                *window = Window { starts, ends, taken: 0 };
            }
        }
    }

    /// When the last of the full windows ends; `None` when none is full.
    pub(super) fn opens(&self, allowance: &Allowance) -> Option<i64> {
        let full = self.each(allowance).filter(|(window, max)| window.taken >= *max);
        full.map(|(window, _)| window.ends).max()
    }

    /// Calls left in each window that has a limit.
    pub(super) fn left<'a>(
        &'a self,
        allowance: &'a Allowance,
    ) -> impl Iterator<Item = (Span, u64)> {
        let windows = self.0.iter().zip(Span::ALL);
        windows.filter_map(|(window, span)| {
            Some((span, allowance.of(span)?.saturating_sub(window.taken)))
        })
    }

    /// Windows that have a limit.
    fn each<'a>(&'a self, allowance: &'a Allowance) -> impl Iterator<Item = (&'a Window, u64)> {
        self.0
            .iter()
            .zip(Span::ALL)
            .filter_map(|(window, span)| Some((window, allowance.of(span)?)))
    }

    /// Counts one more call.
    pub(super) fn take(&mut self) {
        self.0.iter_mut().for_each(|window| window.taken += 1);
    }

    /// Counts one call less, in the windows in which it was granted.
    pub(super) fn give_back(&mut self, granted_at: i64) {
        for window in self
            .0
            .iter_mut()
            .filter(|window| window.starts <= granted_at && granted_at < window.ends)
        {
            window.taken = window.taken.saturating_sub(1);
        }
    }
}

impl KeyWindows {
    /// Applies a report of the upstream: it may lower what is left of an open window, never raise
    /// it.
    pub(super) fn report(&mut self, report: &KeyReport, now: i64) {
        let ends = report.reset_at.as_microsecond();
        let class = match ends - now {
            ..=0 => return,
            ahead if ahead <= MINUTE + SECOND => 0,
            ahead if ahead <= DAY + SECOND => 1,
            _ => 2,
        };
        let known = &mut self.reports[class];
        let is_open = now < known.ends;
        let same = is_open && (known.ends - ends).abs() <= SECOND;
        if !is_open || report.remaining < known.left {
            let ends = if same { known.ends } else { ends };
            *known = Report { since: now, ends, left: report.remaining };
        }
    }

    /// Reports on windows that are still open.
    pub(super) fn open_reports(&mut self, now: i64) -> impl Iterator<Item = &mut Report> {
        self.reports.iter_mut().filter(move |report| now < report.ends)
    }
}
