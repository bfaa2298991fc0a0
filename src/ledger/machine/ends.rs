//! When a scope may be forgotten, because nothing it counts matters any more. Users and keys come
//! and go (a subject may name a pull request), so a ledger that kept them all would grow for ever.

use super::judgement::Moment;
use super::record::ScopeRecord;
use crate::ledger::{Level, Scope};
use crate::team::Limit;
use crate::team::limit::{Period, Shape};

const DAY: i64 = 86_400_000_000;
/// How long a month is kept after its end: it must be over in every time zone, and a call may run
/// on.
const MONTH_KEPT: i64 = 7 * DAY;
/// A reader's bucket counts a minute, so it is full again after two.
const READER_KEPT: i64 = 120_000_000;

/// When a scope may be forgotten, in microseconds of Unix time; `None`: never, because a prepaid
/// budget needs the sum of all time. A team's own scope stays as long as the team.
pub(super) fn of_scope(level: &Level, record: &ScopeRecord, moment: &Moment) -> Option<i64> {
    match level.scope {
        Scope::Team => return None,
        Scope::Account(_) => return Some(moment.now.as_microsecond().saturating_add(READER_KEPT)),
        Scope::User(_) | Scope::Key(_) => {}
    }
    let is_prepaid = level
        .limits
        .iter()
        .any(|limit| matches!(limit.kind.shape(), Shape::Window(Period::Total, _)));
    if is_prepaid || record.topped_up() > 0 {
        return None;
    }
    let month = moment.calendar.month.end.as_microsecond().saturating_add(MONTH_KEPT);
    let buckets = level
        .limits
        .iter()
        .filter_map(|limit| Some(full_again(limit, moment)?.saturating_add(DAY)));
    Some(buckets.fold(month, i64::max))
}

/// When a bucket is full again at the latest, whatever was taken from it.
fn full_again(limit: &Limit, moment: &Moment) -> Option<i64> {
    let Shape::Bucket(period) = limit.kind.shape() else { return None };
    let micros =
        (u128::from(limit.burst) * period.as_micros()).checked_div(u128::from(limit.max))?;
    Some(moment.now.as_microsecond().saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;

    use super::super::judgement::at;
    use super::*;
    use crate::calendar::Calendar;
    use crate::team::{LimitKind, Limits, UserId};

    const NOW: i64 = 1_800_000_000_000_000;
    const WEEK_AFTER_THE_MONTH: &str = "2027-02-08T00:00:00Z";

    /// When a scope with these limits and top-ups may be forgotten.
    fn end(scope: Scope, limits: impl IntoIterator<Item = Limit>, topped_up: u64) -> Option<i64> {
        let moment = Moment::new(at(NOW), Calendar::around(at(NOW), &TimeZone::UTC));
        let level = Level { scope, limits: Arc::new(Limits::new(limits)) };
        of_scope(&level, &ScopeRecord { topped_up, ..ScopeRecord::default() }, &moment)
    }

    fn user() -> Scope {
        Scope::User(UserId::parse("ana").unwrap())
    }

    #[test]
    fn a_user_is_kept_until_a_week_after_the_month() {
        let until = end(user(), [Limit::new(LimitKind::RequestsPerDay, 5)], 0);
        assert_eq!(until.map(at), Some(WEEK_AFTER_THE_MONTH.parse().unwrap()));
    }

    /// The user is kept for one day more.
    #[test]
    fn a_slow_buckets_user_is_kept_until_it_is_full() {
        let slow = Limit { burst: 10_000, ..Limit::new(LimitKind::RequestsPerHour, 2) };
        assert_eq!(end(user(), [slow], 0), Some(NOW + 5_000 * DAY / 24 + DAY));
        let never = Limit { max: 0, ..slow };
        assert_eq!(
            end(user(), [never], 0),
            end(user(), [], 0),
            "what never leaks is no reason to be kept"
        );
    }

    #[test]
    fn teams_and_prepaid_users_are_kept_for_ever() {
        assert_eq!(end(Scope::Team, [], 0), None);
        assert_eq!(end(user(), [Limit::new(LimitKind::CreditsTotal, 5)], 0), None);
        assert_eq!(end(user(), [], 1), None, "the limit may have been taken away for a while");
    }

    #[test]
    fn a_reader_is_kept_until_its_bucket_is_full() {
        assert_eq!(
            end(Scope::Account(UserId::parse("ana").unwrap()), [], 0),
            Some(NOW + READER_KEPT)
        );
    }
}
