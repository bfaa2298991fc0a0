//! Of the view: how many rows there are, which of them are too old or too many, and whether any are gone.

use super::cache::OLDEST_MOST;
use super::step::TeamRecord;
use super::view::{Missing, View};
use super::wanted::Wanted;

impl View<'_> {
    /// How many rows there are before this batch, of those that should be there.
    fn stored_rows(&self, list: usize) -> u64 {
        let counted = self.cache.team().rows.get(list).copied().unwrap_or_default();
        let oldest = self.cache.oldest().and_then(|oldest| oldest.get(list)).map(Vec::len);
        oldest.filter(|oldest| *oldest < OLDEST_MOST).map_or(counted, |oldest| counted.min(oldest as u64))
    }

    /// Counts the rows again where some are gone that should be there. Whether any are: not those whose time was over.
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

    /// When the last of so many of the oldest rows was settled; `list` is 0 for those that cost something.
    pub(super) fn settled_at(&self, list: usize, gone: u64) -> Result<i64, Missing> {
        if gone == 0 {
            return Ok(0);
        }
        let stored = self.stored_rows(list);
        let trimmed = self.changes.trimmed.get(list).copied().unwrap_or_default();
        let place = trimmed + gone;
        if place > stored {
            // It is one of those that come with this batch.
            return Ok(self.now);
        }
        let oldest = self.cache.oldest().and_then(|oldest| oldest.get(list));
        let at = oldest.and_then(|oldest| oldest.get(usize::try_from(place - 1).unwrap_or(usize::MAX)));
        at.copied().ok_or_else(|| Missing::of(Wanted { oldest: true, ..Wanted::default() }))
    }

    /// How many of the oldest rows were settled before a moment, as far as that is known.
    pub(super) fn outdated(&self, list: usize, before: i64, most: u64) -> u64 {
        let trimmed = self.changes.trimmed.get(list).copied().unwrap_or_default();
        let oldest = self.cache.oldest().and_then(|oldest| oldest.get(list)).map_or(&[][..], Vec::as_slice);
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
