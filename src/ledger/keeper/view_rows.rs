//! Rows in the view: how many are stored, which are too old or too many, and whether any were lost.

use super::cache::OLDEST_MAX;
use super::step::TeamRecord;
use super::view::{Missing, View};
use super::wanted::Wanted;

impl View<'_> {
    /// How many rows are stored before this batch, of those that are counted.
    fn stored_rows(&self, list: usize) -> u64 {
        let counted = self.cache.team().rows.get(list).copied().unwrap_or_default();
        let oldest = self.cache.oldest().and_then(|oldest| oldest.get(list)).map(Vec::len);
        oldest
            .filter(|oldest| *oldest < OLDEST_MAX)
            .map_or(counted, |oldest| counted.min(oldest as u64))
    }

    /// Corrects the counts where rows are missing. Returns whether rows were lost, not counting
    /// those that have expired.
    pub(super) fn count_rows(&mut self) -> bool {
        let mut lost = false;
        for list in 0..2 {
            let stored = self.stored_rows(list);
            let TeamRecord { rows, rows_until, .. } = self.team_now();
            let (counted, until) = (rows.get(list).copied(), rows_until.get(list).copied());
            if counted.is_some_and(|counted| counted > stored) {
                lost |= until.is_some_and(|until| until > self.now);
                if let Some(rows) = self.team().rows.get_mut(list) {
                    *rows = stored;
                }
            }
        }
        lost
    }

    /// When the last of the `gone` oldest rows was settled; `list` 0 has the rows with a cost.
    pub(super) fn settled_at(&self, list: usize, gone: u64) -> Result<i64, Missing> {
        if gone == 0 {
            return Ok(0);
        }
        let stored = self.stored_rows(list);
        let trimmed = self.changes.trimmed.get(list).copied().unwrap_or_default();
        let place = trimmed + gone;
        if place > stored {
            // The row comes with this batch.
            return Ok(self.now);
        }
        let oldest = self.cache.oldest().and_then(|oldest| oldest.get(list));
        let at =
            oldest.and_then(|oldest| oldest.get(usize::try_from(place - 1).unwrap_or(usize::MAX)));
        at.copied().ok_or_else(|| Missing::of(Wanted { oldest: true, ..Wanted::default() }))
    }

    /// How many of the oldest rows were settled before a moment, as far as they are known.
    pub(super) fn outdated(&self, list: usize, before: i64, most: u64) -> u64 {
        let trimmed = self.changes.trimmed.get(list).copied().unwrap_or_default();
        let oldest =
            self.cache.oldest().and_then(|oldest| oldest.get(list)).map_or(&[][..], Vec::as_slice);
        let left = oldest.iter().skip(usize::try_from(trimmed).unwrap_or(usize::MAX));
        (left.take_while(|at| **at < before).count() as u64).min(most)
    }

    pub(super) fn trim(&mut self, list: usize, gone: u64) {
        if let (Some(trimmed), true) = (self.changes.trimmed.get_mut(list), gone > 0) {
            *trimmed += gone;
            if let Some(rows) = self.team().rows.get_mut(list) {
                *rows = rows.saturating_sub(gone);
            }
        }
    }
}
