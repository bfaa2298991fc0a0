//! Slots that a call keeps once it has ended, for as long as its answer is being read.

use super::record::{ReservationRecord, ScopeRecord};
use super::records::Records;
use super::state::Machine;
use crate::ledger::{ReservationId, Settlement};
use crate::team::TeamId;

impl<R: Records> Machine<'_, R> {
    /// Takes an open reservation out, or leaves of it what keeps its slots.
    pub(super) fn take_open(&mut self, team: &TeamId, end: &Settlement) -> Result<Option<ReservationRecord>, R::Fault> {
        let Some(record) = self.records.reservation(team, end.id)? else { return Ok(None) };
        if record.unread {
            return Ok(None);
        }
        if end.keeps_slots {
            let left = record.clone().keeping_slots(self.deadline());
            self.records.put_reservation(team, end.id, left)?;
            return Ok(Some(record));
        }
        self.records.take_reservation(team, end.id)
    }

    pub(in crate::ledger) fn release_slots(&mut self, team: &TeamId, id: ReservationId) -> Result<(), R::Fault> {
        self.sweep_by_the_way(team, &[id])?;
        if self.records.reservation(team, id)?.is_some_and(|record| record.unread) {
            self.free_slots(team, id)?;
        }
        Ok(())
    }

    /// Frees the slots of an answer that nobody reads any more.
    pub(super) fn free_slots(&mut self, team: &TeamId, id: ReservationId) -> Result<(), R::Fault> {
        let Some(record) = self.records.take_reservation(team, id)? else { return Ok(()) };
        self.changed = true;
        for name in &record.scopes {
            let mut scope = self.records.scope(team, name)?;
            if scope != ScopeRecord::default() {
                scope.free_slot();
                self.records.put_scope(team, name, scope)?;
            }
        }
        Ok(())
    }
}
