//! Steps without an answer: they may have been written. The next records that are read show
//! whether they were, because a revision names the last step of each process.

use super::cache::TeamCache;
use super::memory::Memory;
use super::own::{InDoubt, Written};
use super::step::Changes;
use crate::ledger::Crossing;
use crate::ledger::machine::{Ended, Revision, ScopeName, ScopeRecord};

/// How many unanswered steps are noted. While the store cannot be reached there are ever more, but
/// only the first can have reached it. After a loss each is kept for a day in the scopes that it
/// would have changed.
const IN_DOUBT_MAX: usize = 16;

impl TeamCache {
    /// What these changes add to each scope as it is known. New calls are left out: another
    /// process may have ended one since, and its end needs what was reserved.
    pub(super) fn added_by(&self, changes: &Changes) -> Vec<(ScopeName, ScopeRecord)> {
        let none = ScopeRecord::default();
        let before = |name| self.scope(name).unwrap_or(&none);
        let opened = changes.opened.iter();
        let new: Vec<_> = opened.filter(|(id, _)| self.last_known(**id).is_none()).collect();
        let changed =
            changes.scopes.iter().filter_map(|(name, after)| Some((name, after.as_ref()?)));
        changed
            .map(|(name, after)| {
                let new = new.iter().filter(|(_, record)| record.scopes.contains(name));
                let new = new.map(|(_, record)| (&record.windows, record.price));
                (name.clone(), after.added_to(before(name), new))
            })
            .collect()
    }

    /// Notes that a step may have been written.
    pub(super) fn doubt(&mut self, step: InDoubt) {
        if self.in_doubt.len() < IN_DOUBT_MAX {
            self.in_doubt.push(step);
        }
    }

    /// Takes in the step in doubt that these records include: it was written. Returns the calls
    /// that it swept, and the thresholds that it crossed.
    pub(super) fn confirm(&mut self, found: Revision) -> Option<(Vec<Ended>, Vec<Crossing>)> {
        let is_included = |step: &InDoubt| found.includes(step.makes.name);
        let written = if let Some(place) = self.in_doubt.iter().position(is_included) {
            let InDoubt { makes, changes, swept, crossed, .. } = self.in_doubt.swap_remove(place);
            self.owns(&changes, makes);
            self.change(changes, makes);
            Some((swept, crossed))
        } else if let Some(memory) = &mut self.memory
            && let Some(place) = memory.in_doubt.iter().position(is_included)
        {
            let InDoubt { makes, changes, swept, crossed, .. } = memory.in_doubt.swap_remove(place);
            memory.change(changes, makes);
            Some((swept, crossed))
        } else {
            None
        };
        self.forget_passed(found);
        written
    }

    /// Forgets the steps in doubt that records of their epoch have passed: they will never be
    /// written.
    pub(super) fn forget_passed(&mut self, found: Revision) {
        self.in_doubt.retain(|step| !found.has_come_to(step.makes));
    }
}

impl Memory {
    /// Takes in changes of an earlier epoch that were written.
    fn change(&mut self, changes: Changes, makes: Revision) {
        for row in changes.rows {
            let call = self.calls.get(&row.id);
            let scopes = call.filter(|_| !row.outcome.costs()).map(|call| &call.record.scopes);
            self.rows.push_back(Written {
                at: vec![makes],
                ending: call.and_then(|call| call.record.ending),
                voids: call.map(|call| call.voids.clone()).unwrap_or_default(),
                scopes: scopes.cloned().unwrap_or_default(),
                row,
            });
        }
        for id in changes.ended {
            self.calls.remove(&id);
        }
        for (id, record) in changes.opened {
            if let Some(call) = self.calls.get_mut(&id) {
                call.record = record;
            }
        }
    }

    /// Voids the steps in doubt, since the current records do not include them. A process that has
    /// seen one written learns that it is void when it restores what it knows.
    pub(super) fn void_steps_in_doubt(&mut self) {
        for InDoubt { makes, changes, added, .. } in std::mem::take(&mut self.in_doubt) {
            for (name, added) in added {
                let scope = self.scopes.entry(name).or_default();
                scope.void(makes, added);
            }
            let ended = self.calls.iter_mut().filter(|(id, _)| changes.ends(**id));
            ended.for_each(|(_, call)| call.voids.push(makes));
        }
    }
}

#[cfg(test)]
#[path = "in_doubt_tests.rs"]
mod tests;
