//! Names of records to read.

use std::collections::BTreeSet;

use crate::ledger::machine::{ReservationRecord, ScopeName};
use crate::ledger::{Level, ReservationId, Row, TopUpId};

/// The name of a cell of usage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::ledger) struct CellName {
    /// The day, in the team's time zone.
    pub(in crate::ledger) day: String,
    pub(in crate::ledger) user: String,
    pub(in crate::ledger) model: String,
}

/// Records to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Wanted {
    pub(in crate::ledger) scopes: BTreeSet<ScopeName>,
    pub(in crate::ledger) calls: BTreeSet<ReservationId>,
    pub(in crate::ledger) cells: BTreeSet<CellName>,
    /// Days whose count of cells is read.
    pub(in crate::ledger) days: BTreeSet<String>,
    pub(in crate::ledger) top_ups: BTreeSet<TopUpId>,
    /// Overdue calls, and the next deadline.
    pub(in crate::ledger) due: bool,
    /// Users and keys that may be forgotten.
    pub(in crate::ledger) past: bool,
    /// When the oldest rows were settled.
    pub(in crate::ledger) oldest: bool,
    /// Calls of which to read whether they were restored after they had ended.
    pub(in crate::ledger) restored: BTreeSet<ReservationId>,
    /// Every scope and every call.
    pub(in crate::ledger) all: bool,
}

impl Wanted {
    /// Adds these as well.
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

    /// Adds the scopes of these levels.
    pub(super) fn scopes_of(&mut self, levels: &[Level]) {
        self.scopes.extend(levels.iter().map(|level| ScopeName::from(&level.scope)));
    }

    /// Adds what appending these rows touches.
    pub(super) fn cells_of<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        for Row { day, summary, .. } in rows {
            let (user, model) = (summary.user.clone(), summary.model.clone());
            self.cells.insert(CellName { day: day.clone(), user, model });
            self.days.insert(day.clone());
            self.oldest = true;
        }
    }

    /// Adds what the ends of these calls touch.
    pub(super) fn ends_of<'a>(&mut self, records: impl IntoIterator<Item = &'a ReservationRecord>) {
        for ReservationRecord { windows, summary, scopes, .. } in records {
            let (day, user, model) =
                (windows.day.clone(), summary.user.clone(), summary.model.clone());
            self.cells.insert(CellName { day, user, model });
            self.days.insert(windows.day.clone());
            self.scopes.extend(scopes.iter().cloned());
        }
    }
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
