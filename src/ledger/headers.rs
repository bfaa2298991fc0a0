//! Rate-limit and credit headers: the limit that will refuse first, in both common forms, and what
//! the tightest credit budget has left.

use std::cmp::Reverse;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::LimitStatus;
use crate::credits::Credits;
use crate::http::{
    HeaderWriter, RATELIMIT, RATELIMIT_POLICY, X_CREDITS_COST, X_CREDITS_REMAINING,
    X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};
use crate::team::limit::{Period, Shape, Unit};

const DAY_SECONDS: u64 = 86_400;

/// Writes `X-RateLimit-Limit`, `-Remaining`, `-Reset` (Unix seconds) and `RateLimit-Policy`,
/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers) of the limit, on any level, with the fewest
/// calls left: exactly so many would pass now. Writes nothing when no limit counts requests. `now`
/// is the store's time, from which `t` counts.
pub fn rate_limit_headers(writer: &mut HeaderWriter<'_>, statuses: &[LimitStatus], now: Timestamp) {
    let tightest = tightest(statuses).and_then(|status| Some((status, window_seconds(status)?)));
    if let Some((status, window)) = tightest {
        write(writer, status, window, now);
    }
}

/// Writes `X-Credits-Cost`, and `X-Credits-Remaining` where a credit budget may refuse: what the
/// tightest has left, on any level. Shadow budgets do not count.
pub fn credit_headers(writer: &mut HeaderWriter<'_>, statuses: &[LimitStatus], cost: Credits) {
    let counts =
        |status: &&LimitStatus| matches!(status.kind.shape(), Shape::Window(_, Unit::Credits));
    let budgets = statuses.iter().filter(|status| !status.shadow).filter(counts);
    writer.decimal(cost.decimal()).insert(X_CREDITS_COST);
    if let Some(remaining) = budgets.map(|status| Credits::from_micros(status.remaining())).min() {
        writer.decimal(remaining.decimal()).insert(X_CREDITS_REMAINING);
    }
}

/// The request limit with the fewest calls left, whatever its size: a share would not tell whether
/// the next call passes. Of equals, the one that resets last. Shadow limits do not count, since
/// they refuse nothing.
fn tightest(statuses: &[LimitStatus]) -> Option<&LimitStatus> {
    let shown = statuses.iter().filter(|status| !status.shadow && status.kind.counts_requests());
    shown.min_by_key(|status| (status.remaining(), Reverse(status.reset_at)))
}

/// Length of the limit's window; `None` for what does not count requests over time. A month's is
/// that of the month that ends at the reset.
fn window_seconds(status: &LimitStatus) -> Option<u64> {
    match status.kind.shape() {
        Shape::Bucket(period) => Some(period.as_secs()),
        Shape::Window(Period::Day, Unit::Requests) => Some(DAY_SECONDS),
        Shape::Window(Period::Month, Unit::Requests) => {
            // The middle of the month that ends then; in that month in every time zone.
            let middle = status.reset_at?.checked_sub((15 * 24).hours()).ok()?;
            let days = middle.to_zoned(TimeZone::UTC).date().days_in_month();
            Some(u64::from(days.unsigned_abs()) * DAY_SECONDS)
        }
        Shape::Window(Period::Total, Unit::Requests)
        | Shape::Window(_, Unit::Credits)
        | Shape::Slots => None,
    }
}

fn write(writer: &mut HeaderWriter<'_>, status: &LimitStatus, window: u64, now: Timestamp) {
    let (max, remaining) = (status.max, status.remaining());
    writer.number(max).insert(X_RATELIMIT_LIMIT);
    writer.number(remaining).insert(X_RATELIMIT_REMAINING);
    if let Some(at) = status.reset_at {
        writer.number(unix_seconds(at)).insert(X_RATELIMIT_RESET);
    }
    named(writer, status)
        .text(";q=")
        .number(max)
        .text(";w=")
        .number(window)
        .insert(RATELIMIT_POLICY);
    let left = named(writer, status).text(";r=").number(remaining);
    if let Some(at) = status.reset_at {
        left.text(";t=").number(seconds_between(now, at));
    }
    left.insert(RATELIMIT);
}

/// The limit's name as a string of structured fields (RFC 8941).
fn named<'w, 'h>(
    writer: &'w mut HeaderWriter<'h>,
    status: &LimitStatus,
) -> &'w mut HeaderWriter<'h> {
    writer.text("\"").text(status.scope.level()).text(":").text(status.kind.name()).text("\"")
}

/// Unix seconds, rounded up, so that a caller who waits until then is not too early.
fn unix_seconds(at: Timestamp) -> i64 {
    at.as_microsecond().saturating_add(999_999).div_euclid(1_000_000)
}

fn seconds_between(now: Timestamp, at: Timestamp) -> i64 {
    let micros = at.as_microsecond().saturating_sub(now.as_microsecond());
    micros.saturating_add(999_999).div_euclid(1_000_000).max(0)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::ledger::Scope;
    use crate::team::{LimitKind, UserId};

    const NOW: &str = "2026-11-22T14:26:00Z";

    fn status(kind: LimitKind, max: u64, used: u64, reset_at: Option<&str>) -> LimitStatus {
        let reset_at = reset_at.map(|at| at.parse().expect(at));
        LimitStatus {
            scope: Scope::Team,
            kind,
            max,
            topped_up: 0,
            used,
            reserved: 0,
            reset_at,
            shadow: false,
            shadow_refused: false,
        }
    }

    fn shown(statuses: &[LimitStatus]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        rate_limit_headers(&mut HeaderWriter::new(&mut headers), statuses, NOW.parse().expect(NOW));
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect()
    }

    #[test]
    fn the_tightest_limit_is_shown_in_both_header_forms() {
        let statuses = [
            status(LimitKind::RequestsPerDay, 100, 10, Some("2026-11-23T00:00:00Z")),
            status(LimitKind::RequestsPerMinute, 6, 3, Some("2026-11-22T14:26:19.2Z")),
            status(LimitKind::CreditsPerDay, 20, 20, Some("2026-11-23T00:00:00Z")),
            status(LimitKind::Concurrent, 8, 8, None),
        ];
        assert_eq!(
            shown(&statuses),
            [
                "x-ratelimit-limit: 6",
                "x-ratelimit-remaining: 3",
                "x-ratelimit-reset: 1795357580",
                "ratelimit-policy: \"team:requests_per_minute\";q=6;w=60",
                "ratelimit: \"team:requests_per_minute\";r=3;t=20",
            ]
        );
    }

    #[test]
    fn of_equals_the_one_that_resets_last_is_shown() {
        let minute = status(LimitKind::RequestsPerMinute, 6, 6, Some("2026-11-22T14:27:00Z"));
        let day = status(LimitKind::RequestsPerDay, 60, 60, Some("2026-11-23T00:00:00Z"));
        for statuses in [[minute.clone(), day.clone()], [day, minute]] {
            assert_eq!(
                shown(&statuses).last().expect("five"),
                "ratelimit: \"team:requests_per_day\";r=0;t=34440"
            );
        }
    }

    #[test]
    fn the_limit_with_fewer_calls_left_is_the_one_shown() {
        let key = Scope::Key(crate::team::KeyId::parse("k7Qp2mZr9aBc").expect("an id"));
        let team = status(LimitKind::RequestsPerDay, 1000, 995, Some("2026-11-23T00:00:00Z"));
        let own = LimitStatus {
            scope: key,
            ..status(LimitKind::RequestsPerDay, 2, 1, Some("2026-11-23T00:00:00Z"))
        };
        assert_eq!(shown(&[team, own])[4], "ratelimit: \"key:requests_per_day\";r=1;t=34440");
    }

    #[test]
    fn a_users_own_limit_is_named_as_such() {
        let user = Scope::User(UserId::parse("alice").expect("a user"));
        let minute = status(LimitKind::RequestsPerMinute, 6, 7, Some("2026-11-22T14:26:30Z"));
        let shown = shown(&[LimitStatus { scope: user, ..minute }]);
        assert_eq!(shown[4], "ratelimit: \"user:requests_per_minute\";r=0;t=30");
    }

    #[test]
    fn a_month_is_as_long_as_the_one_ending_then() {
        for (reset, days) in [
            ("2026-12-01T00:00:00Z", 30),
            ("2028-02-29T23:00:00Z", 29),
            ("2026-08-01T10:00:00Z", 31),
        ] {
            let month = status(LimitKind::RequestsPerMonth, 1000, 1, Some(reset));
            let expected =
                format!("ratelimit-policy: \"team:requests_per_month\";q=1000;w={}", days * 86_400);
            assert_eq!(shown(&[month])[3], expected);
        }
    }

    #[test]
    fn nothing_is_said_where_no_limit_counts_requests() {
        let credits = status(LimitKind::CreditsTotal, 20, 1, None);
        let shadow = LimitStatus {
            shadow: true,
            ..status(LimitKind::RequestsPerSecond, 1, 1, Some("2026-11-22T14:26:01Z"))
        };
        assert_eq!(shown(&[credits, shadow]), Vec::<String>::new());
        assert_eq!(shown(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_limit_of_nothing_is_the_tightest_of_all() {
        let nothing = status(LimitKind::RequestsPerMinute, 0, 0, Some("2026-11-22T14:26:00Z"));
        let some = status(LimitKind::RequestsPerDay, 100, 99, Some("2026-11-23T00:00:00Z"));
        assert_eq!(shown(&[some, nothing])[4], "ratelimit: \"team:requests_per_minute\";r=0;t=0");
    }
}
