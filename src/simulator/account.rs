//! Accounts of the simulated Firemoon: keys with limits and providers, accounts with credits.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use secrecy::{ExposeSecret, SecretString};

use super::settings::{KeySettings, Limits, Settings};
use crate::credits::Credits;

/// An accepted key and its usage.
pub(super) struct Key {
    pub(super) name: String,
    secret: SecretString,
    /// Index of its account.
    pub(super) account: usize,
    pub(super) providers: Option<Vec<String>>,
    pub(super) suspended: bool,
    /// A revoked key is answered like an unknown one.
    pub(super) revoked: bool,
    windows: [Window; 3],
}

/// A prepaid account.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) balance: Credits,
}

/// Values of the three `X-RateLimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// When the window ends, in Unix seconds.
    pub(super) reset: i64,
}

/// Keys and accounts of the settings.
pub(super) fn open(settings: &Settings) -> (Vec<Key>, Vec<Account>) {
    let mut accounts: Vec<Account> = Vec::new();
    let mut keys = Vec::new();
    for key in &settings.keys {
        let known = accounts.iter().position(|account| account.name == key.account);
        let account = known.unwrap_or_else(|| {
            accounts.push(Account { name: key.account.clone(), balance: settings.balance });
            accounts.len() - 1
        });
        keys.push(Key::new(key, account));
    }
    (keys, accounts)
}

impl Key {
    fn new(settings: &KeySettings, account: usize) -> Self {
        Self {
            name: settings.name.clone(),
            secret: settings.secret.clone(),
            account,
            providers: settings.providers.clone(),
            suspended: false,
            revoked: false,
            windows: windows(settings.limits),
        }
    }

    /// Whether a bearer is this key's secret. Not in constant time: these keys are for tests.
    pub(super) fn is(&self, bearer: &str) -> bool {
        !self.revoked && self.secret.expose_secret() == bearer
    }

    /// Whether the key may use a provider.
    pub(super) fn may_use(&self, provider: &str) -> bool {
        self.providers.as_ref().is_none_or(|allowed| allowed.iter().any(|name| name == provider))
    }

    /// Counts one call in every window, or in none: the error is the end of the full window, in
    /// Unix seconds.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), i64> {
        for window in &mut self.windows {
            window.roll(now);
        }
        if let Some(full) = self
            .windows
            .iter()
            .filter(|window| window.remaining() == Some(0))
            .map(|window| window.end)
            .max()
        {
            return Err(full);
        }
        for window in &mut self.windows {
            window.used += 1;
        }
        Ok(())
    }

    /// What the tightest window has left; `None` when the key has no limits. Of equals, the window
    /// that ends later, so that a 429 has the time that matters.
    pub(super) fn allowance(&mut self, now: Timestamp) -> Option<Allowance> {
        let allowances = self.windows.iter_mut().filter_map(|window| {
            window.roll(now);
            Some(Allowance {
                limit: window.limit?,
                remaining: window.remaining()?,
                reset: window.end,
            })
        });
        allowances.min_by_key(|allowance| (allowance.remaining, -allowance.reset))
    }

    /// Changes limits; usage stays.
    pub(super) fn limit(&mut self, change: impl FnOnce(&mut Limits)) {
        let [minute, day, month] = &mut self.windows;
        let mut limits =
            Limits { per_minute: minute.limit, per_day: day.limit, per_month: month.limit };
        change(&mut limits);
        (minute.limit, day.limit, month.limit) =
            (limits.per_minute, limits.per_day, limits.per_month);
    }
}

#[derive(Clone, Copy)]
enum Span {
    Minute,
    Day,
    Month,
}

/// One fixed window of the wall clock, in UTC.
struct Window {
    span: Span,
    limit: Option<u64>,
    used: u64,
    /// The open window, in Unix seconds: from `start` until just before `end`.
    start: i64,
    end: i64,
}

fn windows(limits: Limits) -> [Window; 3] {
    let window = |span, limit| Window { span, limit, used: 0, start: 0, end: 0 };
    [
        window(Span::Minute, limits.per_minute),
        window(Span::Day, limits.per_day),
        window(Span::Month, limits.per_month),
    ]
}

impl Window {
    /// Opens the window of `now`, if it is another one.
    fn roll(&mut self, now: Timestamp) {
        let second = now.as_second();
        if (self.start..self.end).contains(&second) {
            return;
        }
        self.used = 0;
        (self.start, self.end) = match self.span {
            Span::Minute => aligned(second, 60),
            Span::Day => aligned(second, 86_400),
            Span::Month => month(now),
        };
    }

    fn remaining(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

fn aligned(second: i64, length: i64) -> (i64, i64) {
    let start = second - second.rem_euclid(length);
    (start, start + length)
}

/// The calendar month of a moment; in the last month of the year 9999, 30 days.
fn month(now: Timestamp) -> (i64, i64) {
    let fallback = aligned(now.as_second(), 30 * 86_400);
    let Ok(first) = now.to_zoned(TimeZone::UTC).start_of_day().and_then(|day| day.first_of_month())
    else {
        return fallback;
    };
    first
        .checked_add(1.month())
        .map_or(fallback, |next| (first.timestamp().as_second(), next.timestamp().as_second()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(limits: Limits) -> Key {
        Key::new(&KeySettings::new("k", "s", limits), 0)
    }

    #[test]
    fn the_minute_is_the_wall_clocks_and_not_the_callers() {
        let mut key = key(Limits { per_minute: Some(2), ..Limits::NONE });
        let late = at("2026-02-03T10:00:58Z");
        assert!(key.take(late).is_ok() && key.take(late).is_ok());
        assert_eq!(key.take(late), Err(at("2026-02-03T10:01:00Z").as_second()));
        assert_eq!(key.allowance(late).unwrap().remaining, 0);
        assert!(key.take(at("2026-02-03T10:01:00Z")).is_ok());
    }

    #[test]
    fn the_tightest_window_speaks_and_a_refused_call_uses_nothing() {
        let mut key = key(Limits { per_minute: Some(10), per_day: Some(2), per_month: Some(5) });
        let noon = at("2026-02-03T12:00:00Z");
        assert!(key.take(noon).is_ok() && key.take(noon).is_ok());
        for _ in 0..20 {
            assert_eq!(key.take(noon), Err(at("2026-02-04T00:00:00Z").as_second()));
        }
        let allowance = key.allowance(at("2026-02-04T00:00:00Z")).unwrap();
        assert_eq!((allowance.limit, allowance.remaining), (2, 2));
        for day in ["2026-02-04T12:00:00Z", "2026-02-05T12:00:00Z"] {
            assert!(key.take(at(day)).is_ok());
        }
        assert!(key.take(at("2026-02-06T12:00:00Z")).is_ok());
        assert_eq!(
            key.take(at("2026-02-07T12:00:00Z")),
            Err(at("2026-03-01T00:00:00Z").as_second())
        );
    }
}
