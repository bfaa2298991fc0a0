//! Notices that a call has brought a budget to its soft threshold.

use super::judgement::Moment;
use super::record::ScopeRecord;
use super::records::Records;
use super::state::Machine;
use crate::credits::Credits;
use crate::ledger::soft::mark;
use crate::ledger::{Crossing, Level};
use crate::team::TeamId;
use crate::team::limit::Shape;

impl<R: Records> Machine<'_, R> {
    /// Looks at the budgets of a level that have a threshold, after a call was reserved in them.
    pub(in crate::ledger) fn note_crossings(
        &mut self,
        team: &TeamId,
        level: &Level,
        record: &mut ScopeRecord,
        moment: &Moment,
    ) {
        for limit in level.limits.iter() {
            let (Some(soft), Shape::Window(period, _)) = (limit.soft, limit.kind.shape()) else { continue };
            let standing = moment.judge(&level.scope, limit, record, Credits::ZERO).standing;
            let threshold = soft.of(standing.max);
            if threshold == 0 || standing.used.saturating_add(standing.reserved) < threshold {
                continue;
            }
            let windows = &moment.windows;
            if record.mark_crossed(period, mark(period, &windows.day, &windows.month, record.topped_up())) {
                self.crossed().push((team.clone(), Crossing::of(&standing, soft, moment.now)));
            }
        }
    }
}
