//! What headers say of limits: the one that will refuse a caller first, in the two ways clients understand, and what
//! the tightest credit budget leaves.

use std::cmp::Reverse;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::LimitStatus;
use crate::credits::Credits;
use crate::http::{
    HeaderWriter, RATELIMIT, RATELIMIT_POLICY, X_CREDITS_COST, X_CREDITS_REMAINING, X_RATELIMIT_LIMIT,
    X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};
use crate::team::limit::{Period, Shape, Unit};

const DAY_SECONDS: u64 = 86_400;

/// Writes `X-RateLimit-Limit`, `-Remaining`, `-Reset` (Unix seconds) and the pair `RateLimit-Policy`, `RateLimit`
/// (draft-ietf-httpapi-ratelimit-headers) of the limit, on whichever level, that lets the fewest calls through now: so
/// many pass at once, and not one more. Nothing when no limit counts requests. `now` is the store's time, which `t`
/// counts from.
pub fn rate_limit_headers(writer: &mut HeaderWriter<'_>, standings: &[LimitStatus], now: Timestamp) {
    let tightest = tightest(standings).and_then(|standing| Some((standing, window_seconds(standing)?)));
    if let Some((standing, window)) = tightest {
        write(writer, standing, window, now);
    }
}

/// Writes `X-Credits-Cost`, and `X-Credits-Remaining` where a credit budget may refuse: what the tightest leaves, on
/// whichever level. A shadow budget refuses none.
pub fn credit_headers(writer: &mut HeaderWriter<'_>, standings: &[LimitStatus], cost: Credits) {
    let counts = |standing: &&LimitStatus| matches!(standing.kind.shape(), Shape::Window(_, Unit::Credits));
    let budgets = standings.iter().filter(|standing| !standing.shadow).filter(counts);
    writer.decimal(cost.decimal()).insert(X_CREDITS_COST);
    if let Some(remaining) = budgets.map(|standing| Credits::from_micros(standing.remaining())).min() {
        writer.decimal(remaining.decimal()).insert(X_CREDITS_REMAINING);
    }
}

/// The request limit with the fewest calls left, however large it is: a share of it would be no answer to whether the
/// next call passes. Of equals, the one that resets last. A shadow limit is not shown: it keeps nobody from calling.
fn tightest(standings: &[LimitStatus]) -> Option<&LimitStatus> {
    let shown = standings.iter().filter(|standing| !standing.shadow && standing.kind.counts_requests());
    shown.min_by_key(|standing| (standing.remaining(), Reverse(standing.reset_at)))
}

/// How long the limit's window is; `None` for what does not count requests over time. A month is as long as the one
/// that ends at the reset.
fn window_seconds(standing: &LimitStatus) -> Option<u64> {
    match standing.kind.shape() {
        Shape::Bucket(period) => Some(period.as_secs()),
        Shape::Window(Period::Day, Unit::Requests) => Some(DAY_SECONDS),
        Shape::Window(Period::Month, Unit::Requests) => {
            // The middle of the month that ends then is in that month, whatever the zone.
            let middle = standing.reset_at?.checked_sub((15 * 24).hours()).ok()?;
            let days = middle.to_zoned(TimeZone::UTC).date().days_in_month();
            Some(u64::from(days.unsigned_abs()) * DAY_SECONDS)
        }
        Shape::Window(Period::Total, Unit::Requests) | Shape::Window(_, Unit::Credits) | Shape::Slots => None,
    }
}

fn write(writer: &mut HeaderWriter<'_>, standing: &LimitStatus, window: u64, now: Timestamp) {
    let (max, remaining) = (standing.max, standing.remaining());
    writer.number(max).insert(X_RATELIMIT_LIMIT);
    writer.number(remaining).insert(X_RATELIMIT_REMAINING);
    if let Some(at) = standing.reset_at {
        writer.number(unix_seconds(at)).insert(X_RATELIMIT_RESET);
    }
    named(writer, standing).text(";q=").number(max).text(";w=").number(window).insert(RATELIMIT_POLICY);
    let left = named(writer, standing).text(";r=").number(remaining);
    if let Some(at) = standing.reset_at {
        left.text(";t=").number(seconds_between(now, at));
    }
    left.insert(RATELIMIT);
}

/// The limit's name, as a string of structured fields (RFC 8941).
fn named<'w, 'h>(writer: &'w mut HeaderWriter<'h>, standing: &LimitStatus) -> &'w mut HeaderWriter<'h> {
    writer.text("\"").text(standing.scope.level()).text(":").text(standing.kind.name()).text("\"")
}

/// Unix seconds, rounded up: who waits until then is not too early.
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

    fn standing(kind: LimitKind, max: u64, used: u64, reset_at: Option<&str>) -> LimitStatus {
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

    fn shown(standings: &[LimitStatus]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        rate_limit_headers(&mut HeaderWriter::new(&mut headers), standings, NOW.parse().expect(NOW));
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn the_limit_with_the_fewest_calls_left_is_shown_in_both_forms() {
        let standings = [
            standing(LimitKind::RequestsPerDay, 100, 10, Some("2026-11-23T00:00:00Z")),
            standing(LimitKind::RequestsPerMinute, 6, 3, Some("2026-11-22T14:26:19.2Z")),
            standing(LimitKind::CreditsPerDay, 20, 20, Some("2026-11-23T00:00:00Z")),
            standing(LimitKind::Concurrent, 8, 8, None),
        ];
        assert_eq!(
            shown(&standings),
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
        let minute = standing(LimitKind::RequestsPerMinute, 6, 6, Some("2026-11-22T14:27:00Z"));
        let day = standing(LimitKind::RequestsPerDay, 60, 60, Some("2026-11-23T00:00:00Z"));
        for standings in [[minute.clone(), day.clone()], [day, minute]] {
            assert_eq!(shown(&standings).last().expect("five"), "ratelimit: \"team:requests_per_day\";r=0;t=34440");
        }
    }

    #[test]
    fn a_large_limit_that_is_nearly_used_up_gives_way_to_a_small_one_with_fewer_calls_left() {
        let key = Scope::Key(crate::team::KeyId::parse("k7Qp2mZr9aBc").expect("an id"));
        let team = standing(LimitKind::RequestsPerDay, 1000, 995, Some("2026-11-23T00:00:00Z"));
        let own = LimitStatus { scope: key, ..standing(LimitKind::RequestsPerDay, 2, 1, Some("2026-11-23T00:00:00Z")) };
        assert_eq!(shown(&[team, own])[4], "ratelimit: \"key:requests_per_day\";r=1;t=34440");
    }

    #[test]
    fn a_user_s_own_limit_is_named_as_the_user_s() {
        let user = Scope::User(UserId::parse("alice").expect("a user"));
        let minute = standing(LimitKind::RequestsPerMinute, 6, 7, Some("2026-11-22T14:26:30Z"));
        let shown = shown(&[LimitStatus { scope: user, ..minute }]);
        assert_eq!(shown[4], "ratelimit: \"user:requests_per_minute\";r=0;t=30");
    }

    #[test]
    fn a_month_is_as_long_as_the_one_that_ends_at_the_reset() {
        for (reset, days) in [("2026-12-01T00:00:00Z", 30), ("2028-02-29T23:00:00Z", 29), ("2026-08-01T10:00:00Z", 31)]
        {
            let month = standing(LimitKind::RequestsPerMonth, 1000, 1, Some(reset));
            let expected = format!("ratelimit-policy: \"team:requests_per_month\";q=1000;w={}", days * 86_400);
            assert_eq!(shown(&[month])[3], expected);
        }
    }

    #[test]
    fn nothing_is_said_where_no_limit_counts_requests() {
        let credits = standing(LimitKind::CreditsTotal, 20, 1, None);
        let shadow =
            LimitStatus { shadow: true, ..standing(LimitKind::RequestsPerSecond, 1, 1, Some("2026-11-22T14:26:01Z")) };
        assert_eq!(shown(&[credits, shadow]), Vec::<String>::new());
        assert_eq!(shown(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_limit_of_nothing_is_the_tightest_of_all() {
        let nothing = standing(LimitKind::RequestsPerMinute, 0, 0, Some("2026-11-22T14:26:00Z"));
        let some = standing(LimitKind::RequestsPerDay, 100, 99, Some("2026-11-23T00:00:00Z"));
        assert_eq!(shown(&[some, nothing])[4], "ratelimit: \"team:requests_per_minute\";r=0;t=0");
    }
}
