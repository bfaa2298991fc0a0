//! What this process itself has contributed to a team's records: calls, rows, and steps that may
//! have been written.

use super::step::Changes;
use crate::ledger::machine::windows::{End, Windows};
use crate::ledger::machine::{Ended, Ending, ReservationRecord, Revision, ScopeName, ScopeRecord};
use crate::ledger::{Crossing, Row};

/// A call that this process makes.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// When it was admitted.
    pub(super) admitted: Revision,
    /// The first change in which another process may have swept it.
    pub(super) ending: Option<Ending>,
    /// Void steps that would have ended it.
    pub(super) voids: Vec<Revision>,
}

impl Own {
    pub(super) const fn since(admitted: Revision) -> Self {
        Self { admitted, ending: None, voids: Vec::new() }
    }
}

/// A call that this process makes, as it claims it after a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Claimed {
    /// When it was admitted.
    pub(super) admitted: Revision,
    /// When it was last seen open: nobody had ended it by then.
    pub(super) seen: Revision,
    pub(super) record: ReservationRecord,
    /// Void steps that would have ended it.
    pub(super) voids: Vec<Revision>,
}

impl Claimed {
    /// The call as it is to be claimed if this epoch is lost, in which another call stands for it:
    /// the other one may have ended there at any time, and was this one's end.
    pub(super) fn may_have_ended_from(&self, epoch: u64) -> Self {
        let first = self.record.ending.map_or(epoch, |ending| ending.epoch);
        let ending = Some(Ending::from(first, 0));
        let record = ReservationRecord { ending, ..self.record.clone() };
        Self { record, ..self.clone() }
    }
}

/// A row that this process wrote, with each revision at which it did: more than one if it was
/// restored, none if its end was taken back.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) at: Vec<Revision>,
    /// When the call may have ended before (see [`ReservationRecord::ending`]).
    pub(super) ending: Option<Ending>,
    /// Void steps that would have ended the call before.
    pub(super) voids: Vec<Revision>,
    /// Every scope that the call counted in, if it was free: its end may be taken back.
    pub(super) scopes: Vec<ScopeName>,
    pub(super) row: Row,
}

impl Written {
    /// A row of a call of which nothing else is known.
    #[cfg(test)]
    pub(super) const fn bare(at: Vec<Revision>, row: Row) -> Self {
        Self { at, ending: None, voids: Vec::new(), scopes: Vec::new(), row }
    }

    /// What the end has changed in the scopes.
    pub(super) fn end(&self) -> (Windows, End) {
        let Row { outcome, reserved, charged, day, month, .. } = &self.row;
        let (price, charged) = (reserved.micros(), charged.micros());
        let windows = Windows { day: day.clone(), month: month.clone() };
        (windows, End { price, charged, counted: outcome.counts() })
    }
}

/// A step that may have been written.
#[derive(Clone, Debug)]
pub(super) struct InDoubt {
    pub(super) makes: Revision,
    pub(super) changes: Changes,
    /// What it adds to each scope.
    pub(super) added: Vec<(ScopeName, ScopeRecord)>,
    pub(super) swept: Vec<Ended>,
    pub(super) crossed: Vec<Crossing>,
}
