//! Merges a scope after a loss: its count is the sum over epochs, and for each epoch the latest
//! copy counts.
//!
//! Shares may be negative, because a call may be reserved in one epoch and settled in the next.
//! They are added and subtracted as wrapping machine words, so that nothing is lost; only their sum
//! is a count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::{ScopeRecord, Share, Shares};
use super::revision::Revision;
use super::windows::{Counts, End, WINDOWS_KEPT, WindowCounts, Windows, keep_newest, window};

impl ScopeRecord {
    /// Notes what was counted by the end of earlier epochs, before the scope changes in a later
    /// one; `kept` says how far each epoch had come, and `last_steps` with which steps. Earlier
    /// notes stay.
    pub(in crate::ledger) fn seal(
        &mut self,
        kept: &BTreeMap<u64, u64>,
        last_steps: &BTreeMap<u64, Vec<u64>>,
    ) {
        for (epoch, number) in kept {
            if !self.shares.contains_key(epoch) {
                // What is not noted yet was counted in the first of these epochs; the scope did not
                // change in the others.
                let counted = Box::new(self.unsealed());
                let last_steps = last_steps.get(epoch).cloned().unwrap_or_default();
                self.shares.insert(*epoch, Share { number: *number, last_steps, counted });
            }
        }
    }

    /// Notes what was counted up to this change, the last one seen of its epoch.
    pub(in crate::ledger) fn seal_at(&mut self, last: Revision) {
        let last_steps = [(last.epoch, last.last_steps().collect())].into();
        self.seal(&[(last.epoch, last.number)].into(), &last_steps);
    }

    /// Notes what was counted by the end of earlier epochs as in the record before its change.
    pub(in crate::ledger) fn seal_as(&mut self, before: &Self) {
        for (epoch, share) in &before.shares {
            self.shares.entry(*epoch).or_insert_with(|| share.clone());
        }
        if self.voids.is_empty() {
            self.voids.clone_from(&before.voids);
        }
    }

    /// Forgets the shares: all counts belong to the current epoch.
    pub(in crate::ledger) fn unseal(&mut self) {
        self.shares.clear();
        self.voids.clear();
    }

    /// How far it has come in each past epoch.
    pub(in crate::ledger) fn sealed(&self) -> BTreeMap<u64, u64> {
        self.shares.iter().map(|(epoch, share)| (*epoch, share.number)).collect()
    }

    /// Takes over what another record of the same scope has counted beyond this one in past epochs,
    /// and its void steps. Returns whether that is anything.
    pub(in crate::ledger) fn restore(&mut self, known: &Self) -> bool {
        let mut more = false;
        for (epoch, share) in &known.shares {
            let ours = self.shares.get(epoch);
            if ours.is_some_and(|ours| ours.number >= share.number) {
                continue;
            }
            let ours = ours.map(|ours| (*ours.counted).clone()).unwrap_or_default();
            self.combine(&share.counted, &ours, add_and_subtract);
            self.shares.insert(*epoch, share.clone());
            more = true;
        }
        more |= self.take_over_voids(known);
        if more {
            self.clamp();
        }
        more
    }

    /// Whether it has come to this change of an earlier epoch.
    pub(in crate::ledger) fn has_counted(&self, at: Revision) -> bool {
        self.shares.get(&at.epoch).is_some_and(|share| share.number >= at.number)
    }

    /// Takes back the end of a call that was counted by this change of an earlier epoch, because
    /// the call has ended again since.
    pub(in crate::ledger) fn take_back(&mut self, at: Revision, windows: &Windows, end: &End) {
        let share = self.shares.get_mut(&at.epoch).filter(|share| share.number >= at.number);
        let Some(Share { counted, .. }) = share else { return };
        let (more, less) =
            ([0, 1, 0, end.price].into(), [u64::from(end.counted), 0, end.charged, 0].into());
        for counts in [
            window(&mut counted.days, &windows.day),
            window(&mut counted.months, &windows.month),
            &mut counted.total,
        ] {
            *counts = combined(*counts, more, less, add_and_subtract);
        }
    }

    /// Makes every copy look equally new: a planted fault that the simulation must find.
    #[cfg(test)]
    pub(in crate::ledger) fn forget_order(&mut self) {
        self.shares.values_mut().for_each(|share| share.number = 0);
    }

    /// Counts beyond all noted shares.
    fn unsealed(&self) -> Self {
        let mut rest = Self { shares: Shares::new(), voids: Vec::new(), ..self.clone() };
        for share in self.shares.values() {
            rest.combine(&Self::default(), &share.counted, |is, _, less| is.wrapping_sub(less));
        }
        rest
    }

    pub(super) fn combine(
        &mut self,
        more: &Self,
        less: &Self,
        with: impl Fn(u64, u64, u64) -> u64 + Copy,
    ) {
        let counts = |is, more, less| combined(is, more, less, with);
        self.total = counts(self.total, more.total, less.total);
        for (ours, (more, less)) in [
            (&mut self.days, (&more.days, &less.days)),
            (&mut self.months, (&more.months, &less.months)),
        ] {
            let names: BTreeSet<&Arc<str>> = more.keys().chain(less.keys()).collect();
            for name in names {
                let of = |windows: &WindowCounts| windows.get(name).copied().unwrap_or_default();
                let sum = counts(of(ours), of(more), of(less));
                ours.insert(name.clone(), sum);
            }
            keep_newest(ours, WINDOWS_KEPT);
        }
        self.topped_up = with(self.topped_up, more.topped_up, less.topped_up);
        self.unread = with(self.unread, more.unread, less.unread);
        for (period, bucket) in &more.buckets {
            let is = self.bucket(*period);
            self.set_bucket(*period, is.later(*bucket));
        }
        for (period, mark) in &more.crossed {
            self.crossed.entry(period.clone()).or_insert_with(|| mark.clone());
        }
        self.until = match (self.until, more.until) {
            (Some(ours), Some(theirs)) => Some(ours.max(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// A sum of shares that do not match may be negative.
    fn clamp(&mut self) {
        let clamp = |counts: &mut Counts| {
            let numbers: [u64; 4] = (*counts).into();
            *counts =
                Counts::from(numbers.map(|number| i64::try_from(number).map_or(0, |_| number)));
        };
        clamp(&mut self.total);
        self.days.iter_mut().chain(self.months.iter_mut()).for_each(|(_, counts)| clamp(counts));
        for number in [&mut self.topped_up, &mut self.unread] {
            *number = i64::try_from(*number).map_or(0, |_| *number);
        }
    }
}

pub(super) const fn add_and_subtract(is: u64, more: u64, less: u64) -> u64 {
    is.wrapping_add(more).wrapping_sub(less)
}

fn combined(is: Counts, more: Counts, less: Counts, with: impl Fn(u64, u64, u64) -> u64) -> Counts {
    let (mut is, more, less): ([u64; 4], [u64; 4], [u64; 4]) =
        (is.into(), more.into(), less.into());
    for (is, (more, less)) in is.iter_mut().zip(more.into_iter().zip(less)) {
        *is = with(*is, more, less);
    }
    Counts::from(is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::limit::Period;

    fn windows() -> Windows {
        Windows { day: "2026-11-29".to_owned(), month: "2026-11".to_owned() }
    }

    fn counts(record: &ScopeRecord) -> [u64; 4] {
        assert_eq!(
            record.counts(Period::Day, &windows()),
            record.counts(Period::Total, &windows())
        );
        record.counts(Period::Total, &windows()).into()
    }

    fn spend(record: &mut ScopeRecord, price: u64) {
        record.reserve(&windows(), price);
        record.settle(&windows(), &End { price, charged: price, counted: true });
    }

    fn known(record: &ScopeRecord, epoch: u64, number: u64) -> ScopeRecord {
        let mut known = record.clone();
        known.seal(&[(epoch, number)].into(), &[].into());
        known
    }

    #[test]
    fn an_emptied_scope_takes_the_latest_account_of_it() {
        let mut then = ScopeRecord::default();
        spend(&mut then, 3);
        let early = known(&then, 1, 10);
        then.reserve(&windows(), 5);
        let late = known(&then, 1, 12);
        for order in [[&early, &late], [&late, &early]] {
            let mut record = ScopeRecord::default();
            assert!(record.restore(order[0]));
            record.restore(order[1]);
            assert_eq!(counts(&record), [1, 1, 3, 5]);
        }
    }

    #[test]
    fn counts_since_the_loss_are_added_to_the_restored_ones() {
        let mut copy = ScopeRecord::default();
        copy.reserve(&windows(), 7);
        let mut then = copy.clone();
        then.settle(&windows(), &End { price: 7, charged: 6, counted: true });
        let late = known(&then, 1, 12);
        // The older copy has the call reserved; meanwhile another call was settled.
        copy.seal(&[(1, 9)].into(), &[].into());
        spend(&mut copy, 2);
        assert!(copy.restore(&late) && !copy.restore(&late));
        assert_eq!(counts(&copy), [2, 0, 8, 0]);
    }

    #[test]
    fn two_losses_in_a_row_count_nothing_twice() {
        let mut then = ScopeRecord::default();
        spend(&mut then, 3);
        let of_the_first = known(&then, 1, 10);
        let mut restored = ScopeRecord::default();
        restored.restore(&of_the_first);
        spend(&mut restored, 4);
        let of_the_second = known(&restored, 2, 5);
        for order in [[&of_the_first, &of_the_second], [&of_the_second, &of_the_first]] {
            let mut record = ScopeRecord::default();
            assert!(record.restore(order[0]));
            record.restore(order[1]);
            assert_eq!(counts(&record), [2, 0, 7, 0]);
        }
    }

    #[test]
    fn an_end_is_taken_back_where_it_was_counted() {
        let mut then = ScopeRecord::default();
        spend(&mut then, 3);
        then.reserve(&windows(), 5);
        let end = End { price: 5, charged: 4, counted: true };
        let mut record = then.clone();
        record.settle(&windows(), &end);
        let at = |epoch| Revision::new(epoch, 10, 7);
        for (epoch, is) in [(1, [1, 1, 3, 5]), (2, [2, 0, 7, 0])] {
            let mut known = known(&record, 1, 10);
            known.take_back(at(epoch), &windows(), &end);
            let mut emptied = ScopeRecord::default();
            emptied.restore(&known);
            assert_eq!(counts(&emptied), is, "epoch {epoch}");
        }
        let mut earlier = known(&then, 1, 9);
        earlier.take_back(at(1), &windows(), &end);
        assert_eq!(earlier, known(&then, 1, 9), "it had not come so far");
    }

    #[test]
    fn an_epoch_without_changes_has_no_share() {
        let mut then = ScopeRecord::default();
        spend(&mut then, 3);
        let known = known(&then, 1, 10);
        // The scope did not change over two losses.
        then.seal(&[(1, 10), (2, 4)].into(), &[].into());
        assert!(!then.restore(&known));
        assert_eq!(counts(&then), [1, 0, 3, 0]);
        assert_eq!(then.sealed(), [(1, 10), (2, 4)].into());
    }

    #[test]
    fn a_share_says_which_steps_came_last() {
        let mut then = ScopeRecord::default();
        then.seal_at(Revision::new(1, 10, 7));
        then.seal(&[(1, 10), (2, 4), (3, 5)].into(), &[(1, vec![8]), (2, vec![9])].into());
        let steps: Vec<_> = then.shares.values().map(|share| &*share.last_steps).collect();
        assert_eq!(steps, [&[7][..], &[9], &[]], "of the last epoch none is known");
    }

    #[test]
    fn a_change_keeps_its_scopes_shares_until_they_are_forgotten() {
        let before = known(&ScopeRecord::default(), 1, 10);
        let mut change = ScopeRecord::default();
        change.seal_as(&before);
        assert_eq!(change.sealed(), before.sealed());
        change.seal_as(&known(&ScopeRecord::default(), 1, 12));
        assert_eq!(change.sealed(), [(1, 10)].into(), "what is noted already stays");
        change.unseal();
        assert!(change.sealed().is_empty());
    }

    #[test]
    fn a_share_has_no_shares_of_its_own() {
        let mut then = known(&ScopeRecord::default(), 1, 10);
        then.seal(&[(1, 10), (2, 4)].into(), &[].into());
        assert!(then.shares.values().all(|share| share.counted.shares.is_empty()));
    }

    #[test]
    fn of_two_copies_days_the_newest_three_are_kept() {
        let on = |days: [&str; 2]| {
            let mut record = ScopeRecord::default();
            days.iter().for_each(|day| {
                record.reserve(&Windows { day: (*day).to_owned(), ..windows() }, 1)
            });
            record
        };
        let mut record = on(["2026-11-25", "2026-11-26"]);
        assert!(record.restore(&known(&on(["2026-11-27", "2026-11-28"]), 1, 10)));
        assert_eq!(
            record.days.keys().map(|day| &**day).collect::<Vec<_>>(),
            ["2026-11-26", "2026-11-27", "2026-11-28"]
        );
    }

    #[test]
    fn inconsistent_shares_sum_to_zero_and_never_below() {
        let mut then = ScopeRecord::default();
        then.reserve(&windows(), 5);
        then.keep_slot();
        let early = known(&then, 1, 10);
        // The record claims to have counted the call, and has not.
        let mut record = ScopeRecord { shares: early.shares, ..ScopeRecord::default() };
        assert!(record.restore(&known(&ScopeRecord::default(), 1, 12)));
        assert_eq!((counts(&record), record.unread()), ([0; 4], 0));
    }
}
