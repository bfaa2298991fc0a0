//! Steps without an answer: they may have been written. The next records that are read show
//! whether they were, because a revision names the last step of each process.

use super::cache::TeamCache;
use super::memory::Memory;
use super::own::InDoubt;
use super::step::Changes;
use crate::ledger::ReservationId;
use crate::ledger::machine::{Revision, ScopeName, ScopeRecord};

impl TeamCache {
    /// What changes that were worked out on these records add to each scope, beside new calls:
    /// others may end those, and then both must count.
    pub(super) fn added_by(&self, changes: &Changes) -> Vec<(ScopeName, ScopeRecord)> {
        let none = ScopeRecord::default();
        let before = |name| self.scope(name).unwrap_or(&none);
        let new: Vec<_> =
            changes.opened.iter().filter(|(id, _)| self.last_known(**id).is_none()).collect();
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
        self.in_doubt.push(step);
    }

    /// Takes the step in doubt that these records include: it was written. Forgets those that the
    /// records have passed: they never will be.
    pub(super) fn confirmed(&mut self, found: Revision) -> Option<InDoubt> {
        let place = self.in_doubt.iter().position(|step| found.includes(step.makes.name));
        let written = place.map(|place| self.in_doubt.swap_remove(place));
        self.in_doubt
            .retain(|step| step.makes.epoch != found.epoch || step.makes.number > found.number);
        written
    }

    /// The steps in doubt that end a call.
    pub(super) fn may_end(&self, id: ReservationId) -> impl Iterator<Item = Revision> + '_ {
        self.in_doubt.iter().filter(move |step| step.changes.ends(id)).map(|step| step.makes)
    }

    /// Takes the steps in doubt for unwritten, since another epoch began without them. Whoever has
    /// seen one written learns of that when it restores what it knows.
    pub(super) fn take_for_unwritten(&mut self, memory: &mut Memory) {
        for step in std::mem::take(&mut self.in_doubt) {
            for (name, added) in step.added {
                let scope = memory.scopes.entry(name).or_default();
                scope.take_for_unwritten(step.makes, added);
            }
        }
    }
}

#[cfg(test)]
#[path = "in_doubt_tests.rs"]
mod tests;
