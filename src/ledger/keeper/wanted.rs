//! Which of a team's records a batch must know, by name.

use std::collections::BTreeSet;

use super::cache::TeamCache;
use super::operation::Operation;
use crate::ledger::machine::{ReservationRecord, ScopeName};
use crate::ledger::{Level, ReservationId, Row, Scope, TopUpId};

/// A place in the usage of a team.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::ledger) struct CellName {
    /// In the team's zone.
    pub(in crate::ledger) day: String,
    pub(in crate::ledger) user: String,
    pub(in crate::ledger) model: String,
}

/// Records to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Wanted {
    pub(in crate::ledger) scopes: BTreeSet<ScopeName>,
    pub(in crate::ledger) calls: BTreeSet<ReservationId>,
    pub(in crate::ledger) cells: BTreeSet<CellName>,
    /// Days of which is asked how many cells they have.
    pub(in crate::ledger) days: BTreeSet<String>,
    pub(in crate::ledger) top_ups: BTreeSet<TopUpId>,
    /// Which calls are overdue, and when the next one is due.
    pub(in crate::ledger) due: bool,
    /// Which users and keys may be forgotten.
    pub(in crate::ledger) past: bool,
    /// When the oldest rows were settled.
    pub(in crate::ledger) oldest: bool,
    /// Calls of which is asked whether they were restored after they had ended.
    pub(in crate::ledger) restored: BTreeSet<ReservationId>,
    /// Every scope and every call.
    pub(in crate::ledger) all: bool,
}

impl Wanted {
    /// Wants these as well.
    pub(super) fn add(&mut self, mut more: Self) {
        self.scopes.append(&mut more.scopes);
        self.calls.append(&mut more.calls);
        self.cells.append(&mut more.cells);
        self.days.append(&mut more.days);
        self.top_ups.append(&mut more.top_ups);
        self.due |= more.due;
        self.past |= more.past;
        self.oldest |= more.oldest;
        self.restored.append(&mut more.restored);
        self.all |= more.all;
    }
}

/// What the operations of a batch read of the records, as far as that can be said before they are worked out.
pub(super) fn of(operations: &[Operation], cache: &TeamCache) -> Wanted {
    // Whoever sees a team for the first time looks for what was left behind as well.
    let mut wanted = Wanted { due: cache.revision().is_none(), ..Wanted::default() };
    for operation in operations {
        match operation {
            Operation::Admit { admission, .. } => {
                wanted.calls.insert(admission.id);
                wanted.scopes_of(&admission.levels);
            }
            Operation::Quote { admission, .. } => wanted.scopes_of(&admission.levels),
            Operation::Books { inquiry, .. } => {
                wanted.scopes.insert(ScopeName::from(&Scope::Team));
                wanted.scopes_of(&inquiry.levels);
                wanted.scopes_of(inquiry.reader.as_slice());
            }
            Operation::Settle { settlement, .. } => {
                wanted.calls.insert(settlement.id);
                wanted.ends_of(cache.last_known(settlement.id));
            }
            Operation::ReleaseSlots { id, .. } => {
                wanted.calls.insert(*id);
                let known = cache.last_known(*id).into_iter();
                wanted.scopes.extend(known.flat_map(|record| record.scopes.iter().cloned()));
            }
            Operation::Dispatch { id, .. } | Operation::Recall { id, .. } | Operation::Abandon { id, .. } => {
                wanted.calls.insert(*id);
            }
            Operation::TopUp { top_up, .. } => {
                wanted.scopes.insert(ScopeName::from(&top_up.scope));
                wanted.top_ups.insert(top_up.id.clone());
            }
            Operation::Sweep { .. } => (wanted.due, wanted.past, wanted.oldest) = (true, true, true),
            Operation::Renew { .. } | Operation::Accept { .. } => {}
        }
    }
    wanted
}

impl Wanted {
    fn scopes_of(&mut self, levels: &[Level]) {
        self.scopes.extend(levels.iter().map(|level| ScopeName::from(&level.scope)));
    }

    /// Wants what keeping these rows will touch.
    pub(super) fn cells_of<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        for Row { day, asked, .. } in rows {
            let (user, model) = (asked.user.clone(), asked.model.clone());
            self.cells.insert(CellName { day: day.clone(), user, model });
            self.days.insert(day.clone());
            self.oldest = true;
        }
    }

    /// Wants what the end of these calls will touch.
    pub(super) fn ends_of<'a>(&mut self, records: impl IntoIterator<Item = &'a ReservationRecord>) {
        for ReservationRecord { windows, asked, scopes, .. } in records {
            let (day, user, model) = (windows.day.clone(), asked.user.clone(), asked.model.clone());
            self.cells.insert(CellName { day, user, model });
            self.days.insert(windows.day.clone());
            self.scopes.extend(scopes.iter().cloned());
        }
    }
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
