//! From when on what a scope counts matters to nobody: users and keys come and go (a subject may name a pull request), and a
//! ledger that keeps them all grows for ever.

use super::judgement::Moment;
use super::record::ScopeRecord;
use crate::ledger::{Level, Scope};
use crate::team::Limit;
use crate::team::limit::{Period, Shape};

const DAY: i64 = 86_400_000_000;
/// How long a month is kept after its end: in every time zone it is over by then, and a call may run on.
const MONTH_KEPT: i64 = 7 * DAY;
/// A reader's bucket counts a minute: nothing of it is left after two.
const READER_KEPT: i64 = 120_000_000;

/// When a scope may be forgotten, in microseconds of Unix time. `None`: never, since a prepaid budget needs the sum of all
/// time. A team's own scope stays as long as the team.
pub(super) fn of_scope(level: &Level, record: &ScopeRecord, moment: &Moment) -> Option<i64> {
    match level.scope {
        Scope::Team => return None,
        Scope::Account(_) => return Some(moment.now.as_microsecond().saturating_add(READER_KEPT)),
        Scope::User(_) | Scope::Key(_) => {}
    }
    let is_prepaid = level.limits.iter().any(|limit| matches!(limit.kind.shape(), Shape::Window(Period::Total, _)));
    if is_prepaid || record.topped_up() > 0 {
        return None;
    }
    let month = moment.calendar.month.end.as_microsecond().saturating_add(MONTH_KEPT);
    let buckets = level.limits.iter().filter_map(|limit| Some(full_again(limit, moment)?.saturating_add(DAY)));
    Some(buckets.fold(month, i64::max))
}

/// When a bucket is full again at the latest, however much was taken from it by now.
fn full_again(limit: &Limit, moment: &Moment) -> Option<i64> {
    let Shape::Bucket(period) = limit.kind.shape() else { return None };
    let micros = (u128::from(limit.burst) * period.as_micros()).checked_div(u128::from(limit.max))?;
    Some(moment.now.as_microsecond().saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)))
}
