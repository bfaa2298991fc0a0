//! What this process knows of a team whose records the keeper has lost, until it has restored it.

use std::collections::{BTreeMap, VecDeque};

use super::cache::{TeamCache, Written};
use crate::ledger::machine::{ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{ReservationId, TopUpId};

/// How many records of one kind are restored at a time.
const AT_ONCE: usize = 64;

/// Knowledge of epochs that are over.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Memory {
    /// The latest revision that was seen.
    pub(super) last: Revision,
    /// How often calls had been marked then.
    pub(super) marks: u64,
    /// Scopes, with what they counted in each epoch.
    pub(super) scopes: BTreeMap<ScopeName, ScopeRecord>,
    /// Calls that this process makes, and when they were admitted.
    pub(super) calls: BTreeMap<ReservationId, (Revision, ReservationRecord)>,
    /// Rows that this process wrote.
    pub(super) rows: VecDeque<Written>,
    pub(super) top_ups: BTreeMap<TopUpId, (Revision, TopUpRecord)>,
    /// Some of it was restored when the team was open again: what it held is yet to be accounted for.
    came_late: bool,
}

impl Memory {
    /// Some of it, to be restored together.
    pub(super) fn some(&self) -> Self {
        fn first<K: Ord + Clone, V: Clone>(all: &BTreeMap<K, V>) -> BTreeMap<K, V> {
            all.iter().take(AT_ONCE).map(|(key, value)| (key.clone(), value.clone())).collect()
        }
        Self {
            last: self.last,
            marks: self.marks,
            scopes: first(&self.scopes),
            calls: first(&self.calls),
            rows: self.rows.iter().take(AT_ONCE).cloned().collect(),
            top_ups: first(&self.top_ups),
            came_late: self.came_late,
        }
    }

    fn forget(&mut self, some: &Self) {
        self.scopes.retain(|name, _| !some.scopes.contains_key(name));
        self.calls.retain(|id, _| !some.calls.contains_key(id));
        self.rows.drain(..some.rows.len().min(self.rows.len()));
        self.top_ups.retain(|id, _| !some.top_ups.contains_key(id));
    }

    /// Whether all of it is restored, and only what came late is to be accounted for.
    pub(super) fn is_restored(&self) -> bool {
        self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.calls.is_empty() && self.rows.is_empty() && self.top_ups.is_empty()
    }
}

/// A call that this process makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// When it was admitted.
    pub(super) admitted: Revision,
    /// The first change that would have ended it and was not answered.
    pub(super) ending: Option<Revision>,
}

impl Own {
    pub(super) const fn since(admitted: Revision) -> Self {
        Self { admitted, ending: None }
    }
}

/// The record of a call that this process makes, with what it knows of its end.
fn claimed(own: Own, record: &ReservationRecord) -> ReservationRecord {
    let ending = own.ending.map(|ending| (ending.epoch, ending.number)).or(record.ending);
    ReservationRecord { ending, ..record.clone() }
}

impl TeamCache {
    /// The keeper has lost something: what is known is kept to be restored, and the rest is to be read again.
    pub(super) fn remember(&mut self) {
        let known = std::mem::take(self);
        let mut memory = known.memory.unwrap_or_default();
        if known.revision.epoch > 0 {
            (memory.last, memory.marks) = (memory.last.max(known.revision), known.marks);
        }
        // It is judged with all else when the team opens.
        memory.came_late = false;
        let kept = known.team.loss.map(|loss| loss.kept).unwrap_or_default();
        for (name, (at, mut record)) in known.scopes.0 {
            // How often somebody looks is no money.
            if name.level == "account" || record == ScopeRecord::default() {
                continue;
            }
            // What was seen before a copy took over says nothing of how far the copy had come.
            record.seal(&kept.range(..at.epoch).map(|(epoch, number)| (*epoch, *number)).collect());
            record.seal(&[(at.epoch, at.number)].into());
            memory.scopes.entry(name).or_default().restore(&record);
        }
        for (id, own) in known.own {
            if let Some((_, Some(record))) = known.calls.0.get(&id) {
                memory.calls.insert(id, (own.admitted, claimed(own, record)));
            }
        }
        memory.rows.extend(known.rows);
        for (id, (at, record)) in known.top_ups.0 {
            if let Some(record) = record {
                memory.top_ups.insert(id, (at, record));
            }
        }
        self.memory = Some(memory);
    }

    /// Another server has taken over that lacks nothing of what is known: the calls that this process makes are claimed
    /// again, so that it is known how far they have come.
    pub(super) fn claim_own(&mut self) {
        let record = |id: &ReservationId| self.calls.0.get(id).and_then(|(_, record)| record.as_ref());
        let own = self.own.iter().filter_map(|(id, own)| Some((*id, (own.admitted, claimed(*own, record(id)?)))));
        let calls: Vec<_> = own.collect();
        if !calls.is_empty() {
            self.memory.get_or_insert_default().calls.extend(calls);
        }
    }

    /// Some of what is yet to be restored; `None`: nothing is.
    pub(super) fn left_to_restore(&mut self) -> Option<Memory> {
        if self.memory.as_ref().is_some_and(|memory| memory.is_empty() && !memory.came_late) {
            self.memory = None;
        }
        self.memory.as_ref().map(|memory| memory.some())
    }

    /// Some of it is restored.
    pub(super) fn note_restored(&mut self, some: &Memory) {
        let is_open = !self.team.is_closed();
        if let Some(memory) = &mut self.memory {
            memory.forget(some);
            memory.came_late |= is_open && !some.scopes.is_empty();
        }
        // The next loss may take it again.
        for (id, (admitted, _)) in &some.calls {
            if self.calls.0.get(id).is_some_and(|(_, record)| record.is_some()) {
                self.own.insert(*id, Own::since(*admitted));
            }
        }
        // A copy from before a loss may have a row that was restored after it.
        for known in &some.rows {
            let restored =
                self.rows.iter_mut().rev().take(some.rows.len()).find(|written| written.row.id == known.row.id);
            match restored {
                Some(restored) => restored.at.extend(&known.at),
                None => self.remember_row(known.clone()),
            }
        }
        for (id, (at, record)) in &some.top_ups {
            self.top_ups.0.entry(id.clone()).or_insert_with(|| (*at, Some(record.clone())));
        }
    }

    /// What came late is accounted for.
    pub(super) fn note_judged(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.came_late = false;
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
