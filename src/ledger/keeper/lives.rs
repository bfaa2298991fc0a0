//! How long a team's records live: as long as it is looked after, and for ever where a prepaid budget needs the sum of all time.

use std::time::Duration;

use super::operation::Operation;
use super::view::View;
use crate::ledger::machine::{Rules, ScopeName};
use crate::ledger::{Level, Scope};
use crate::team::limit::{Period, Shape};

/// For ever: the largest integer that a double holds exactly.
pub(in crate::ledger) const FOR_EVER: i64 = 9_007_199_254_740_991;
const DAY: i64 = 86_400_000_000;
/// How long a team lives at least that nobody looks after any more.
const LEAST: Duration = Duration::from_secs(400 * 86_400);

/// Puts off the end of a team's records, once a day, with whatever changes them or sweeps.
pub(super) fn let_live(view: &mut View<'_>, operations: &[Operation], rules: &Rules) {
    let sweeps = operations.iter().any(|operation| matches!(operation, Operation::Sweep { .. }));
    if view.changes.is_nothing() && !sweeps {
        return;
    }
    let kept = LEAST.max(rules.retention.rows).max(rules.retention.usage);
    let ends = view.now.saturating_add(i64::try_from(kept.as_micros()).unwrap_or(FOR_EVER)).min(FOR_EVER);
    let until = if is_prepaid(view, operations) { FOR_EVER } else { ends };
    let known = view.team_now().until;
    // Who only ends calls does not know the limits: a team that lives for ever goes on to.
    let knows_limits = limits(operations).next().is_some();
    let is_new = if known == FOR_EVER { knows_limits && until < known } else { until >= known.saturating_add(DAY) };
    if is_new {
        view.team().until = until;
        view.changes.lives_on = true;
    }
}

fn limits(operations: &[Operation]) -> impl Iterator<Item = &Level> {
    let levels = operations.iter().flat_map(|operation| operation.levels());
    levels.filter(|level| level.scope == Scope::Team)
}

fn is_prepaid(view: &View<'_>, operations: &[Operation]) -> bool {
    let of_all_time =
        |level: &Level| level.limits.iter().any(|limit| matches!(limit.kind.shape(), Shape::Window(Period::Total, _)));
    view.topped_up(&ScopeName::from(&Scope::Team)) || limits(operations).any(of_all_time)
}
