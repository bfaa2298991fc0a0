//! Slots that an ended call keeps while its answer is being read.

use super::record::{ReservationRecord, ScopeRecord};
use super::records::Records;
use super::state::Machine;
use crate::ledger::{ReservationId, Settlement};
use crate::team::TeamId;

impl<R: Records> Machine<'_, R> {
    /// Removes an open reservation, or keeps its slots only.
    pub(super) fn take_open(
        &mut self,
        team: &TeamId,
        end: &Settlement,
    ) -> Result<Option<ReservationRecord>, R::Fault> {
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

    pub(in crate::ledger) fn release_slots(
        &mut self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<(), R::Fault> {
        self.sweep_by_the_way(team, &[id])?;
        if self.records.reservation(team, id)?.is_some_and(|record| record.unread) {
            self.free_slots(team, id)?;
        }
        Ok(())
    }

    /// Frees the slots of an answer that is read or given up.
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

#[cfg(test)]
mod tests {
    use super::super::memory_records::{Ledger, NOW, TTL, charged, team, user};
    use super::super::record::ScopeName;
    use super::*;
    use crate::ledger::{Phase, Scope, Settled};

    fn taken(ledger: &Ledger) -> [(u64, u64); 2] {
        [Scope::Team, user("ana")]
            .map(|scope| (ledger.scope(&scope).open(), ledger.scope(&scope).unread()))
    }

    #[test]
    fn an_ended_call_keeps_slots_until_its_answer_is_read() {
        let mut ledger = Ledger::new();
        let id = ledger.open(Phase::Dispatched, 7);
        ledger.machine().release_slots(&team(), id).unwrap();
        assert_eq!(taken(&ledger), [(1, 0); 2], "it has not ended");
        let end = Settlement { keeps_slots: true, ..charged(id, 7) };
        ledger.now = NOW + 1;
        for settled in [true, false] {
            assert_eq!(ledger.machine().settle(&team(), &end).unwrap() != Settled::Before, settled);
            assert_eq!(taken(&ledger), [(0, 1); 2]);
        }
        assert_eq!(ledger.kept.calls.get(&id).map(|record| record.deadline), Some(NOW + 1 + TTL));
        for releases in [true, false] {
            let mut machine = ledger.machine();
            machine.release_slots(&team(), id).unwrap();
            assert_eq!(machine.changed(), releases);
            assert_eq!((taken(&ledger), ledger.kept.calls.len()), ([(0, 0); 2], 0));
        }
    }

    #[test]
    fn reading_an_answer_does_not_recreate_a_forgotten_scope() {
        let mut ledger = Ledger::new();
        let id = ledger.open(Phase::Dispatched, 7);
        ledger
            .machine()
            .settle(&team(), &Settlement { keeps_slots: true, ..charged(id, 7) })
            .unwrap();
        ledger.kept.scopes.remove(&ScopeName::from(&user("ana")));
        ledger.machine().release_slots(&team(), id).unwrap();
        assert_eq!(ledger.kept.scopes.keys().collect::<Vec<_>>(), [&ScopeName::from(&Scope::Team)]);
    }
}
