//! Moves what a process knows of a team into its memory after a loss, and out of it as it is
//! restored.

use super::cache::TeamCache;
use super::memory::Memory;
use super::own::{Claimed, Own};
use crate::ledger::ReservationId;
use crate::ledger::machine::{Loss, ReservationRecord, ScopeRecord};

impl TeamCache {
    /// Notes a loss: known records move into the memory, and everything is to be read again.
    pub(super) fn remember(&mut self) {
        let calls = self.claimed();
        let mut known = std::mem::take(self);
        let mut memory = known.memory.take().unwrap_or_default();
        memory.in_doubt.append(&mut known.in_doubt);
        if known.revision.epoch > 0 {
            (memory.last, memory.marks) = (memory.last.max(known.revision), known.marks);
        }
        // A late restore is judged with everything else when the team opens.
        memory.came_late = false;
        memory.unjudged |= known.team.is_unjudged();
        memory.ended_late_at = memory.ended_late_at.max(known.team.ended_late_at);
        let Loss { kept, last_steps, .. } = known.team.loss.unwrap_or_default();
        for (name, (at, mut record)) in known.scopes.0 {
            // The rate limit of reads counts no money.
            if name.level == "account" || record == ScopeRecord::default() {
                continue;
            }
            // Sealed for its epoch: counts seen before a copy took over do not show how far the
            // copy had come.
            let earlier = kept.range(..at.epoch).map(|(epoch, number)| (*epoch, *number)).collect();
            record.seal(&earlier, &last_steps);
            record.seal_at(at);
            memory.scopes.entry(name).or_default().restore(&record);
        }
        memory.calls.extend(known.covered);
        memory.calls.extend(calls);
        memory.rows.extend(known.rows);
        for (id, (at, record)) in known.top_ups.0 {
            if let Some(record) = record {
                memory.top_ups.insert(id, (at, record));
            }
        }
        self.memory = Some(memory);
    }

    /// Claims this process's calls again on a new server that lacks nothing, so that their phases
    /// are known there.
    pub(super) fn claim_own(&mut self) {
        let calls = self.claimed();
        if !calls.is_empty() || !self.in_doubt.is_empty() {
            let mut memory = self.memory.take().unwrap_or_default();
            memory.calls.extend(calls);
            memory.in_doubt.append(&mut self.in_doubt);
            self.memory = Some(memory);
        }
    }

    /// This process's calls, as they are to be claimed.
    fn claimed(&self) -> Vec<(ReservationId, Claimed)> {
        let own = self.own.iter();
        own.filter_map(|(id, Own { admitted, ending, voids })| {
            let (seen, record) = (self.seen_open(*id)?, self.last_known(*id)?);
            let record = ReservationRecord { ending: ending.or(record.ending), ..record.clone() };
            Some((*id, Claimed { admitted: *admitted, seen, record, voids: voids.clone() }))
        })
        .collect()
    }

    /// A first part of what is yet to be restored; `None` when nothing is left.
    pub(super) fn left_to_restore(&mut self) -> Option<Memory> {
        if let Some(memory) = self.memory.as_mut().filter(|_| self.revision.epoch > 0) {
            memory.void_steps_in_doubt();
        }
        if self.memory.as_ref().is_some_and(|memory| memory.is_empty() && !memory.came_late) {
            self.memory = None;
        }
        self.memory.as_ref().map(|memory| memory.some())
    }

    /// Notes that this part is restored.
    pub(super) fn note_restored(&mut self, some: &Memory) {
        let is_open = !self.team.is_closed();
        if let Some(memory) = &mut self.memory {
            memory.forget(some);
            memory.came_late |= is_open && !some.scopes.is_empty();
        }
        for (id, call) in &some.calls {
            // Owned again, so that it survives the next loss.
            if self.calls.0.get(id).is_some_and(|(_, record)| record.is_some()) {
                let voids = call.voids.clone();
                self.own.insert(*id, Own { voids, ..Own::since(call.admitted) });
            } else if self.is_covered(*id, call) {
                self.covered.insert(*id, call.may_have_ended_from(self.revision.epoch));
            }
        }
        // A row that was restored once may be missing again in a copy from before the loss.
        for known in &some.rows {
            let is_open = self.call(known.row.id).flatten().is_some_and(|record| !record.unread);
            let restored = self
                .rows
                .iter_mut()
                .rev()
                .take(some.rows.len())
                .find(|written| written.row.id == known.row.id);
            match restored {
                Some(restored) => {
                    restored.at.extend(&known.at);
                    restored.ending = restored.ending.or(known.ending);
                }
                // The call is open, so that row was no end.
                None if is_open => {}
                // The end was taken back.
                None if known.at.is_empty() => {}
                None => self.remember_row(known.clone()),
            }
        }
        for (id, (at, record)) in &some.top_ups {
            self.top_ups.0.entry(id.clone()).or_insert_with(|| (*at, Some(record.clone())));
        }
    }

    /// Whether another call stands for this one, and not for so long that neither matters any more.
    fn is_covered(&self, id: ReservationId, call: &Claimed) -> bool {
        let has_ended = call.record.unread || self.is_restored(id) == Some(true);
        let covers =
            |loss: &Loss| loss.covers(call.admitted) && !loss.is_long_after(call.record.deadline);
        !has_ended && self.team.loss.as_ref().is_some_and(covers)
    }

    /// Notes that late scopes were judged.
    pub(super) fn note_judged(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.came_late = false;
        }
    }
}

#[cfg(test)]
#[path = "remember_tests.rs"]
mod tests;
