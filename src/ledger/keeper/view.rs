//! The machine's records on top of the cache: reads come from the cache, writes are gathered as
//! changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cache::TeamCache;
use super::step::{Changes, Past, TeamRecord};
use super::wanted::{CellName, Wanted};
use crate::calendar::Calendar;
use crate::ledger::machine::{
    Cell, Records, ReservationRecord, Rules, ScopeName, ScopeRecord, TopUpRecord,
};
use crate::ledger::{ReservationId, Row, Scope, Sums, TopUpId};
use crate::team::TeamId;

/// Records that must be read first.
#[derive(Debug)]
pub(super) struct Missing(pub(super) Box<Wanted>);

impl Missing {
    pub(super) fn of(wanted: Wanted) -> Self {
        Self(Box::new(wanted))
    }
}

/// A team's records, and what a batch changes of them.
pub(super) struct View<'a> {
    pub(super) cache: &'a TeamCache,
    /// Calls of this batch that no other batch can have admitted.
    new: &'a BTreeSet<ReservationId>,
    pub(super) now: i64,
    /// How long rows are kept, in microseconds.
    rows_kept: i64,
    /// Boxed, since a view is handed on.
    pub(super) changes: Box<Changes>,
    /// Overdue calls that were ended: the keeper checks that they still are overdue.
    pub(super) overdue: Vec<(ReservationId, i64, ReservationRecord)>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        cache: &'a TeamCache,
        new: &'a BTreeSet<ReservationId>,
        rules: &Rules,
        now: i64,
    ) -> Self {
        let rows_kept = i64::try_from(rules.retention.rows.as_micros()).unwrap_or(i64::MAX / 2);
        Self { cache, new, now, rows_kept, changes: Box::default(), overdue: Vec::new() }
    }

    /// The record of the team as a whole, to be changed.
    pub(super) fn team(&mut self) -> &mut TeamRecord {
        self.changes.team.get_or_insert_with(|| self.cache.team().clone())
    }

    /// The record of the team as a whole, including changes of this batch.
    pub(super) fn team_now(&self) -> &TeamRecord {
        self.changes.team.as_ref().unwrap_or_else(|| self.cache.team())
    }

    /// The record as it is stored: after a loss it keeps what it counted before apart, which is
    /// noted at the first change.
    fn sealed(&self, scope: &ScopeName, mut record: ScopeRecord) -> ScopeRecord {
        match &self.team_now().loss {
            Some(loss) if loss.is_over(self.now) => record.unseal(),
            Some(loss) => {
                let mut before = self.cache.scope(scope).cloned().unwrap_or_default();
                before.seal(&loss.kept, &loss.last_steps);
                record.seal_as(&before);
            }
            None => {}
        }
        record
    }

    /// Whether a loss, or a possible one, is recent.
    fn knows_of_a_loss(&self) -> bool {
        self.team_now().loss.as_ref().is_some_and(|loss| !loss.is_over(self.now))
    }

    /// Whether a call is known to have been restored after it had ended.
    pub(super) fn is_restored(&self, id: ReservationId) -> Result<bool, Missing> {
        let missing = || Missing::of(Wanted { restored: [id].into(), ..Wanted::default() });
        self.cache.is_restored(id).ok_or_else(missing)
    }

    /// Forgets past records besides scopes, and deadlines of calls that do not exist.
    pub(super) fn forget_past(&mut self) {
        let overdue = self.cache.overdue(self.now).unwrap_or_default();
        let gone =
            overdue.into_iter().map(|(id, _)| id).filter(|id| self.cache.call(*id) == Some(None));
        self.changes.ended.extend(gone);
        let past = self.cache.past().unwrap_or_default().iter();
        let others = past.filter(|past| !matches!(past, Past::Scope(_)));
        self.changes.forgotten.extend(others.cloned());
    }
}

fn cell_name(cell: Cell<'_>) -> CellName {
    CellName { day: cell.day.to_owned(), user: cell.user.to_owned(), model: cell.model.to_owned() }
}

impl Records for View<'_> {
    type Fault = Missing;

    fn calendar(&self, moment: Timestamp, zone: &TimeZone) -> Arc<Calendar> {
        self.cache.calendar.around(moment, zone)
    }

    fn scope(&self, _team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Missing> {
        if let Some(changed) = self.changes.scopes.get(scope) {
            return Ok(changed.clone().unwrap_or_default());
        }
        self.cache.scope(scope).cloned().ok_or_else(|| {
            Missing::of(Wanted { scopes: [scope.clone()].into(), ..Wanted::default() })
        })
    }

    fn put_scope(
        &mut self,
        _team: &TeamId,
        scope: &ScopeName,
        record: ScopeRecord,
    ) -> Result<(), Missing> {
        let record = self.sealed(scope, record);
        self.count_prepaid(scope, Some(&record));
        let before = self.cache.scope(scope).and_then(ScopeRecord::until);
        if before == record.until() {
            self.changes.ends.remove(scope);
        } else {
            self.changes.ends.insert(scope.clone(), record.until());
        }
        self.changes.scopes.insert(scope.clone(), Some(record));
        Ok(())
    }

    fn past_scopes(
        &self,
        _team: &TeamId,
        _now: i64,
        most: usize,
    ) -> Result<Vec<ScopeName>, Missing> {
        let past = self
            .cache
            .past()
            .ok_or_else(|| Missing::of(Wanted { past: true, ..Wanted::default() }))?;
        let scopes = past.iter().filter_map(|past| match past {
            Past::Scope(name) => Some(name.clone()),
            Past::Restored(_) | Past::Day(_) => None,
        });
        Ok(scopes.take(most).collect())
    }

    fn drop_scope(&mut self, _team: &TeamId, scope: &ScopeName) -> Result<(), Missing> {
        self.count_prepaid(scope, None);
        self.changes.ends.insert(scope.clone(), None);
        self.changes.scopes.insert(scope.clone(), None);
        Ok(())
    }

    fn reservation(
        &self,
        _team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Missing> {
        if self.changes.ended.contains(&id) {
            return Ok(None);
        }
        if let Some(opened) = self.changes.opened.get(&id) {
            return Ok(Some(opened.clone()));
        }
        match self.cache.call(id) {
            Some(record) => Ok(record.cloned()),
            None if self.new.contains(&id) => Ok(None),
            None => Err(Missing::of(Wanted { calls: [id].into(), ..Wanted::default() })),
        }
    }

    fn put_reservation(
        &mut self,
        team: &TeamId,
        id: ReservationId,
        mut to: ReservationRecord,
    ) -> Result<(), Missing> {
        if self.knows_of_a_loss() && self.reservation(team, id)?.is_none() {
            to.claimed = self.cache.revision.epoch;
        }
        self.changes.opened.insert(id, to);
        Ok(())
    }

    fn take_reservation(
        &mut self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Missing> {
        let Some(record) = self.reservation(team, id)? else { return Ok(None) };
        // A call that was opened by this batch was never stored; one that this batch only changed
        // was.
        if self.changes.opened.remove(&id).is_none() || self.cache.call(id).flatten().is_some() {
            let overdue = self.cache.overdue(self.now).unwrap_or_default();
            if let Some((_, deadline)) = overdue.into_iter().find(|(known, _)| *known == id) {
                self.overdue.push((id, deadline, record.clone()));
                let (now, team) = (self.now, self.team());
                team.ended_late_at = team.ended_late_at.max(now);
            }
            self.changes.ended.push(id);
            // It may have ended in the lost history as well, and the process that ended it may come
            // to restore that row.
            if self.knows_of_a_loss() {
                self.changes.restored.push(id);
            }
        }
        Ok(Some(record))
    }

    fn may_have_come_further(&self, record: &ReservationRecord) -> bool {
        self.knows_of_a_loss() && record.claimed != self.cache.revision.epoch
    }

    fn open(&self, team: &TeamId) -> Result<u64, Missing> {
        Ok(self.scope(team, &ScopeName::from(&Scope::Team))?.open())
    }

    fn overdue(
        &self,
        _team: &TeamId,
        now: i64,
        most: usize,
    ) -> Result<Vec<ReservationId>, Missing> {
        let known = self
            .cache
            .overdue(now)
            .ok_or_else(|| Missing::of(Wanted { due: true, ..Wanted::default() }))?;
        // A changed call has a new deadline.
        let overdue = known.iter().filter(|(id, _)| !self.changes.touch(*id));
        let overdue: Vec<ReservationId> = overdue.take(most).map(|(id, _)| *id).collect();
        let unknown: BTreeSet<_> =
            overdue.iter().copied().filter(|id| self.cache.call(*id).is_none()).collect();
        if unknown.is_empty() {
            Ok(overdue)
        } else {
            Err(Missing::of(Wanted { calls: unknown, ..Wanted::default() }))
        }
    }

    fn append_row(&mut self, _team: &TeamId, row: Row) -> Result<(), Missing> {
        let list = usize::from(row.charged.micros() == 0);
        let ends = self.now.saturating_add(self.rows_kept);
        // An empty list is new and has no expiry yet; and the retention of rows may have changed.
        let is_empty = self.team_now().rows.get(list) == Some(&0);
        let is_other = |until: &i64| (ends - until).abs() > self.rows_kept / 64;
        let is_late = is_empty || self.team_now().rows_until.get(list).is_some_and(is_other);
        let team = self.team();
        if let (Some(rows), Some(until)) = (team.rows.get_mut(list), team.rows_until.get_mut(list))
        {
            *rows += 1;
            *until = if is_late { ends } else { *until };
        }
        if let (true, Some(live_on)) = (is_late, self.changes.rows_live_on.get_mut(list)) {
            *live_on = true;
        }
        self.changes.rows.push(row);
        Ok(())
    }

    fn trim_rows(
        &mut self,
        _team: &TeamId,
        before: Timestamp,
        rows_max: u64,
        most: usize,
    ) -> Result<usize, Missing> {
        let mut left = most as u64;
        for list in [1, 0] {
            let outdated = self.outdated(list, before.as_microsecond(), left);
            self.trim(list, outdated);
            left -= outdated;
        }
        let [paid, free] = self.team_now().rows;
        let over = (paid + free).saturating_sub(rows_max).min(left);
        let free_gone = over.min(free);
        for (list, gone) in [(1, free_gone), (0, over - free_gone)] {
            let until = self.settled_at(list, gone)?;
            if gone > 0 {
                let team = self.team();
                if let (Some(lost), Some(at)) =
                    (team.lost.get_mut(list), team.lost_until.get_mut(list))
                {
                    (*lost, *at) = (*lost + gone, until);
                }
                self.trim(list, gone);
            }
        }
        Ok(usize::try_from(most as u64 - left + over).unwrap_or(usize::MAX))
    }

    fn top_up(&self, _team: &TeamId, id: &TopUpId) -> Result<Option<TopUpRecord>, Missing> {
        if let Some(changed) = self.changes.top_ups.get(id) {
            return Ok(Some(changed.clone()));
        }
        let known = self.cache.top_up(id);
        let missing = || Missing::of(Wanted { top_ups: [id.clone()].into(), ..Wanted::default() });
        Ok(known.ok_or_else(missing)?.cloned())
    }

    fn put_top_up(
        &mut self,
        _team: &TeamId,
        id: &TopUpId,
        record: &TopUpRecord,
        _at_and_before: (Timestamp, Timestamp),
    ) -> Result<(), Missing> {
        self.changes.top_ups.insert(id.clone(), record.clone());
        Ok(())
    }

    fn sums(&self, _team: &TeamId, cell: Cell<'_>) -> Result<Option<Sums>, Missing> {
        let name = cell_name(cell);
        if let Some(changed) = self.changes.cells.get(&name) {
            return Ok(Some(*changed));
        }
        let known = self.cache.cell(&name);
        known.ok_or_else(|| Missing::of(Wanted { cells: [name].into(), ..Wanted::default() }))
    }

    fn put_sums(
        &mut self,
        team: &TeamId,
        cell: Cell<'_>,
        sums: Sums,
        is_new: bool,
    ) -> Result<(), Missing> {
        if is_new {
            // The count of cells expires with the usage of the day.
            let cells = self.cells(team, cell.day)?;
            self.changes.days.insert(cell.day.to_owned(), cells + 1);
        }
        self.changes.cells.insert(cell_name(cell), sums);
        Ok(())
    }

    fn cells(&self, _team: &TeamId, day: &str) -> Result<u64, Missing> {
        if let Some(changed) = self.changes.days.get(day) {
            return Ok(*changed);
        }
        let day = day.to_owned();
        let known = self.cache.cells(&day);
        known.ok_or_else(|| Missing::of(Wanted { days: [day].into(), ..Wanted::default() }))
    }

    /// Usage expires by its time to live.
    fn trim_usage(
        &mut self,
        _team: &TeamId,
        _before: Timestamp,
        _most: usize,
    ) -> Result<usize, Missing> {
        Ok(0)
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
