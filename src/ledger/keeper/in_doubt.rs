//! Steps whose answers were lost: they may have been written. What is read later shows whether they
//! were.

use super::cache::TeamCache;
use super::own::InDoubt;
use super::step::{Changes, Found};
use crate::ledger::machine::{Ending, Revision};
use crate::ledger::{ReservationId, Row};

impl TeamCache {
    /// Notes that the answer to a step was lost, or that it was refused: it may have been sent
    /// twice, written, and overtaken before it came a second time.
    pub(super) fn doubt(&mut self, step: InDoubt) {
        self.may_have_ended(&step.changes, step.makes);
        self.in_doubt.push(step);
    }

    /// Notes that the calls that these changes end may have ended with them. Reading that one is
    /// still open shows that it has not. Until then a further attempt writes the same row (see
    /// [`TeamCache::repeat_ends`]), so it does not matter which of them ended the call.
    fn may_have_ended(&mut self, changes: &Changes, makes: Revision) {
        let kept = changes.opened.iter().filter(|(_, record)| record.unread).map(|(id, _)| id);
        for id in changes.ended.iter().chain(kept) {
            let Some(own) = self.own.get_mut(id) else { continue };
            let ending = Ending::with(makes);
            if let Some(before) = &mut own.ending {
                *before = before.or_later(ending);
            } else {
                let row = changes.rows.iter().find(|row| row.id == *id);
                own.row = row.map(|row| Box::new((makes, row.clone())));
                own.ending = Some(ending);
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

    /// Takes the step in doubt to whose revision the keeper has just come: it was written.
    pub(super) fn confirmed(&mut self, found: Option<Revision>) -> Option<InDoubt> {
        let place = self.in_doubt.iter().position(|step| found == Some(step.makes))?;
        Some(self.in_doubt.swap_remove(place))
    }

    /// Remembers the rows of this process's calls that were ended by steps in doubt: they are not
    /// open any more, and before their deadlines nobody else ends them. Returns the steps in doubt
    /// that were written, as these ends show, or calls that only they can have opened. The others
    /// are forgotten once the keeper has come past them. `found` was read at this moment of the
    /// keeper's time, and shows no loss.
    pub(super) fn learn_ends(&mut self, found: &Found, at: i64) -> Vec<InDoubt> {
        let Some(revision) = found.revision else { return Vec::new() };
        let mut shown = None;
        // Another process may have swept a call before the keeper's clock was set back.
        let latest = at.max(found.team.ended_late_at);
        for (id, record) in &found.calls {
            let is_ended = match record {
                Some(record) => record.unread,
                None => self.last_known(*id).is_some_and(|known| latest < known.deadline),
            };
            let has_come_to =
                |row: &mut Box<(Revision, _)>| found.team.has_come_to(revision, row.0);
            let has_scopes = self.has_scopes(*id, found);
            let own = self.own.get_mut(id).filter(|_| is_ended && has_scopes);
            if let Some(row) = own.and_then(|own| own.row.take_if(has_come_to)) {
                let (makes, row) = *row;
                shown = Some(makes);
                self.remember_row(self.written(makes, row));
            }
        }
        let (past, to_come): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.in_doubt).into_iter().partition(|step| revision >= step.makes);
        self.in_doubt = to_come;
        // Of two, either may have ended a call.
        let shown = shown.filter(|_| past.len() == 1);
        let written: Vec<_> = past
            .into_iter()
            .filter(|step| shown == Some(step.makes) || self.has_opened(&step.changes, found))
            .collect();
        written.iter().for_each(|step| self.remember_rows_of(step, found));
        written
    }

    /// Whether every scope that a call counts in was read with it: without them its row could be
    /// restored, but not its charge.
    fn has_scopes(&self, id: ReservationId, found: &Found) -> bool {
        self.last_known(id).is_some_and(|known| {
            known.scopes.iter().all(|name| found.scopes.iter().any(|(read, _)| read == name))
        })
    }

    /// Whether a call that was not known before is open as these changes would have opened it.
    fn has_opened(&self, changes: &Changes, found: &Found) -> bool {
        let read = found.calls.iter().filter_map(|(id, record)| Some((id, record.as_ref()?)));
        read.filter(|(id, _)| self.last_known(**id).is_none()).any(|(id, is)| {
            let made = changes.opened.get(id).filter(|made| !made.unread);
            made.is_some_and(|made| made.admitted_at == is.admitted_at)
        })
    }

    /// Remembers the rows of a step that was written, besides those that are remembered already,
    /// and that their calls have ended.
    fn remember_rows_of(&mut self, step: &InDoubt, found: &Found) {
        for row in &step.changes.rows {
            if !self.has_scopes(row.id, found) {
                continue;
            }
            let of_step = |row: &mut Box<(Revision, _)>| row.0 == step.makes;
            let is_to_come =
                self.own.get_mut(&row.id).is_none_or(|own| own.row.take_if(of_step).is_some());
            if is_to_come {
                self.remember_row(self.written(step.makes, row.clone()));
            }
            if step.changes.ended.contains(&row.id) {
                self.calls.0.remove(&row.id);
                self.own.remove(&row.id);
            }
        }
    }
}

#[cfg(test)]
#[path = "in_doubt_tests.rs"]
mod tests;
