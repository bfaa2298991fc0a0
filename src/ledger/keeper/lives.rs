//! How long a team's records are kept: while its budgets are in use, and for ever where a prepaid
//! budget needs the sum of all time.

use std::time::Duration;

use super::operation::Operation;
use super::view::View;
use crate::ledger::Scope;
use crate::ledger::machine::{Rules, ScopeName, ScopeRecord};
use crate::team::Limit;
use crate::team::limit::{Period, Shape};

/// No end: the largest integer that a double holds exactly.
pub(in crate::ledger) const FOR_EVER: i64 = 9_007_199_254_740_991;
const DAY: i64 = 86_400_000_000;
/// How long an unused team is kept at least.
const LEAST: Duration = Duration::from_secs(400 * 86_400);

/// When the records of an unused team end, in microseconds of Unix time.
pub(super) fn least(now: i64, rules: &Rules) -> i64 {
    let kept = LEAST.max(rules.retention.rows).max(rules.retention.usage);
    now.saturating_add(i64::try_from(kept.as_micros()).unwrap_or(FOR_EVER)).min(FOR_EVER)
}

/// Puts off the end of a team's records, once a day, with a batch that changes them or sweeps.
pub(super) fn let_live(view: &mut View<'_>, operations: &[Operation], rules: &Rules) {
    let sweeps = operations.iter().any(|operation| matches!(operation, Operation::Sweep { .. }));
    if view.changes.is_nothing() && !sweeps {
        return;
    }
    let is_prepaid = view.team_now().prepaid > 0
        || view.topped_up(&ScopeName::from(&Scope::Team))
        || operations.iter().any(has_prepaid_team);
    let until = if is_prepaid { FOR_EVER } else { least(view.now, rules) };
    let known = view.team_now().until;
    // An operation without limits cannot tell whether the team is prepaid, so a team that is kept
    // for ever stays so.
    let knows_limits = operations.iter().any(|operation| !operation.levels().is_empty());
    let is_new = if known == FOR_EVER {
        knows_limits && until < known
    } else {
        until >= known.saturating_add(DAY)
    };
    if is_new {
        view.team().until = until;
        view.changes.lives_on = true;
    }
}

/// Whether an operation looks at a prepaid budget of the team.
fn has_prepaid_team(operation: &Operation) -> bool {
    let of_all_time = |limit: &Limit| matches!(limit.kind.shape(), Shape::Window(Period::Total, _));
    let of_team = operation.levels().iter().filter(|level| level.scope == Scope::Team);
    of_team.flat_map(|level| level.limits.iter()).any(of_all_time)
}

impl View<'_> {
    /// Counts a user or key that becomes prepaid, or ceases to be: it is kept for ever.
    pub(super) fn count_prepaid(&mut self, scope: &ScopeName, record: Option<&ScopeRecord>) {
        if !matches!(&*scope.level, "user" | "key") {
            return;
        }
        let is_prepaid =
            |record: &ScopeRecord| *record != ScopeRecord::default() && record.until().is_none();
        let changed = self.changes.scopes.get(scope).map(Option::as_ref);
        let was = changed.unwrap_or_else(|| self.cache.scope(scope)).is_some_and(is_prepaid);
        match (was, record.is_some_and(is_prepaid)) {
            (false, true) => self.team().prepaid += 1,
            (true, false) => self.team().prepaid = self.team_now().prepaid.saturating_sub(1),
            (false, false) | (true, true) => {}
        }
    }

    /// Whether a scope's prepaid budget was topped up, as far as that is known.
    fn topped_up(&self, scope: &ScopeName) -> bool {
        let changed = self.changes.scopes.get(scope).and_then(Option::as_ref);
        changed.or_else(|| self.cache.scope(scope)).is_some_and(|record| record.topped_up() > 0)
    }
}

#[cfg(test)]
#[path = "lives_tests.rs"]
mod tests;
