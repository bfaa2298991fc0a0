//! Steps whose answers were lost: they may have been written. What is read later shows whether they
//! were.

use super::cache::TeamCache;
use super::own::{InDoubt, Written};
use super::step::{Changes, Found, Step};
use crate::ledger::Row;
use crate::ledger::machine::Revision;

impl TeamCache {
    /// Notes that the answer to a step was lost.
    pub(super) fn doubt(&mut self, step: InDoubt) {
        self.may_have_ended(&step.changes, step.makes);
        self.in_doubt = Some(Box::new(step));
    }

    /// Notes that a step was refused. It may have been sent twice, written, and lost again before
    /// it came a second time.
    pub(super) fn doubt_refused(&mut self, step: &Step) {
        self.may_have_ended(&step.changes, step.makes);
    }

    /// Notes that the calls that these changes end may have ended with them. Reading that one is
    /// still open shows that it has not. Until then a further attempt writes the same row (see
    /// [`TeamCache::repeat_ends`]), so it does not matter which of them ended the call.
    fn may_have_ended(&mut self, changes: &Changes, makes: Revision) {
        let kept = changes.opened.iter().filter(|(_, record)| record.unread).map(|(id, _)| id);
        for id in changes.ended.iter().chain(kept) {
            let Some(own) = self.own.get_mut(id) else { continue };
            if own.ending.is_none() {
                let row = changes.rows.iter().find(|row| row.id == *id);
                own.row = row.map(|row| Box::new((makes, row.clone())));
                own.ending = Some(makes);
            }
        }
    }

    /// Sets the end of each call that an earlier step may have ended to the moment of that step, so
    /// that both write the same row.
    pub(super) fn repeat_ends(&self, rows: &mut [Row]) {
        for row in rows {
            if let Some(own) = self.own.get(&row.id)
                && let Some(before) = &own.row
            {
                row.settled_at = before.1.settled_at;
            }
        }
    }

    /// Takes the step in doubt if the keeper has just come to its revision: it was written.
    pub(super) fn confirmed(&mut self, found: Option<Revision>) -> Option<Box<InDoubt>> {
        self.in_doubt.take_if(|step| found == Some(step.makes))
    }

    /// Remembers the rows of this process's calls that were ended by steps in doubt: they are not
    /// open any more, and before their deadlines nobody else ends them. (Unless the keeper's clock
    /// was set forward and back meanwhile: then another process may have swept one.) Returns the
    /// step in doubt if these ends show that it was written. Otherwise it is forgotten once the
    /// keeper has come past it. `found` was read at this moment of the keeper's time, and shows no
    /// loss.
    pub(super) fn learn_ends(&mut self, found: &Found, at: i64) -> Option<Box<InDoubt>> {
        let revision = found.revision?;
        let mut shown = None;
        for (id, record) in &found.calls {
            let known = self.last_known(*id);
            let ending = known.and_then(|known| known.ending);
            let is_ended = match record {
                Some(record) => record.unread,
                None => known.is_some_and(|known| at < known.deadline),
            };
            let has_come_to =
                |row: &mut Box<(Revision, _)>| found.team.has_come_to(revision, row.0);
            // A row without the scopes could be restored, but not its charge.
            let has_scopes = known.is_some_and(|known| {
                known.scopes.iter().all(|name| found.scopes.iter().any(|(read, _)| read == name))
            });
            let own = self.own.get_mut(id).filter(|_| is_ended && has_scopes);
            if let Some(row) = own.and_then(|own| own.row.take_if(has_come_to)) {
                let (makes, row) = *row;
                shown = Some(makes);
                self.remember_row(Written { at: vec![makes], ending, row });
            }
        }
        let step = self.in_doubt.take_if(|step| revision >= step.makes)?;
        (shown == Some(step.makes)).then_some(step)
    }
}

#[cfg(test)]
#[path = "in_doubt_tests.rs"]
mod tests;
