//! Void steps. A process got no answer to such a step, and the records that a loss left do not
//! include it: the process voids it, and may do the same again.
//!
//! Another process may have seen the step written, and restore what it has seen. Then what the step
//! had added is taken out again.

use std::collections::{BTreeMap, BTreeSet};

use litemap::LiteMap;

use super::record::{ScopeRecord, Void};
use super::revision::Revision;
use super::shares::add_and_subtract;
use super::windows::Windows;

impl ScopeRecord {
    /// What a step that leaves this record has added to the record before it, beside the calls that
    /// it opened: their windows and prices.
    pub(in crate::ledger) fn added_to<'a>(
        &self,
        before: &Self,
        opened: impl Iterator<Item = (&'a Windows, u64)>,
    ) -> Self {
        let (mut added, mut reserved) = (Self::default(), Self::default());
        opened.for_each(|(windows, price)| reserved.reserve(windows, price));
        added.combine(self, before, add_and_subtract);
        added.combine(&Self::default(), &reserved, add_and_subtract);
        Self { buckets: LiteMap::new(), crossed: BTreeMap::new(), until: None, ..added }
    }

    /// Voids a step of an earlier epoch: it does not count, whoever brings it back.
    pub(in crate::ledger) fn void(&mut self, step: Revision, added: Self) {
        let Revision { epoch, number, name, .. } = step;
        self.voids.push(Void { epoch, number, name, added: Box::new(added) });
    }

    /// The void steps of this record that the other one counts.
    pub(in crate::ledger) fn voids_in(&self, other: &Self) -> BTreeSet<u64> {
        let counted = self.voids.iter().filter(|void| other.place_of(void).is_some());
        counted.map(|void| void.name).collect()
    }

    /// Counts those void steps again that were written after all.
    pub(in crate::ledger) fn count_again(&mut self, was_written: impl Fn(Revision) -> bool) {
        let voids = std::mem::take(&mut self.voids);
        let (written, voids): (Vec<_>, _) = voids
            .into_iter()
            .partition(|void| was_written(Revision::new(void.epoch, void.number, void.name)));
        self.voids = voids;
        for void in written {
            let share = self.shares.get_mut(&void.epoch);
            // What has come so far included it, until it was taken out.
            if let Some(share) = share.filter(|share| share.number >= void.number) {
                share.last_steps.push(void.name);
                share.counted.combine(&void.added, &Self::default(), add_and_subtract);
                self.combine(&void.added, &Self::default(), add_and_subtract);
            }
        }
    }

    /// Where a step stands among those that an earlier epoch includes.
    fn place_of(&self, void: &Void) -> Option<usize> {
        let share = self.shares.get(&void.epoch).filter(|share| share.number >= void.number)?;
        share.last_steps.iter().position(|name| *name == void.name)
    }

    /// Takes out what a void step had added. Returns whether it was counted.
    fn take_out(&mut self, void: &Void) -> bool {
        let place = self.place_of(void);
        let Some((share, place)) = self.shares.get_mut(&void.epoch).zip(place) else {
            return false;
        };
        share.last_steps.remove(place);
        share.counted.combine(&Self::default(), &void.added, add_and_subtract);
        self.combine(&Self::default(), &void.added, add_and_subtract);
        true
    }

    /// Takes over the void steps of another record of the same scope, and takes out what they had
    /// added. Returns whether anything changes.
    pub(super) fn take_over_voids(&mut self, known: &Self) -> bool {
        let mut voids = std::mem::take(&mut self.voids);
        let before = voids.len();
        for void in &known.voids {
            if voids.iter().all(|ours| ours.name != void.name) {
                voids.push(void.clone());
            }
        }
        let mut more = voids.len() > before;
        for void in &voids {
            more |= self.take_out(void);
        }
        self.voids = voids;
        more
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::ledger::machine::bucket::Bucket;
    use crate::ledger::machine::revision::name_of_step;
    use crate::ledger::machine::windows::End;
    use crate::team::limit::Period;

    fn windows() -> Windows {
        Windows::of_day("2026-11-29".to_owned())
    }

    fn counts(record: &ScopeRecord) -> [u64; 4] {
        record.counts(Period::Total, &windows()).into()
    }

    /// What a process knows that has voided a step, and what another one has seen that knows more
    /// and includes the step, or does not.
    fn voided() -> (ScopeRecord, [ScopeRecord; 2]) {
        let mut before = ScopeRecord::default();
        before.reserve(&windows(), 5);
        let step = Revision::new(1, 10, name_of_step(1, 7));
        let mut with = before.clone();
        with.settle(&windows(), &End { price: 5, charged: 4, counted: true });
        with.keep_slot();
        with.set_topped_up(9);
        let mut mine = before.clone();
        mine.seal(&[(1, 9)].into(), &[].into());
        mine.void(step, with.added_to(&before, iter::empty()));
        let seen = [(with, step), (before, Revision::new(1, 10, name_of_step(3, 1)))];
        let seen = seen.map(|(mut record, last)| {
            record.reserve(&windows(), 3);
            record.settle(&windows(), &End { price: 3, charged: 3, counted: true });
            record.seal_at(last.next(name_of_step(2, 1)));
            record
        });
        (mine, seen)
    }

    #[test]
    fn a_void_step_counts_nowhere() {
        let (mine, seen) = voided();
        for seen in &seen {
            for order in [[&mine, seen], [seen, &mine]] {
                let mut record = ScopeRecord::default();
                assert!(order.iter().all(|known| record.restore(known)));
                assert_eq!(counts(&record), [1, 1, 3, 5]);
                assert_eq!((record.unread(), record.topped_up()), (0, 0));
                assert!(!order.iter().any(|known| record.restore(known)), "once");
                // It is remembered when the record changes, and until losses are forgotten.
                let mut changed = ScopeRecord::default();
                changed.seal_as(&record);
                assert_eq!(changed.voids, mine.voids);
                changed.unseal();
                assert!(changed.voids.is_empty());
            }
        }
    }

    #[test]
    fn what_counts_a_void_step_is_told() {
        let (mine, [with, without]) = voided();
        let steps = [&with, &without, &ScopeRecord::default()].map(|seen| mine.voids_in(seen));
        assert_eq!(steps, [[name_of_step(1, 7)].into(), [].into(), [].into()]);
    }

    /// A copy shows that it was written.
    #[test]
    fn a_step_that_was_written_after_all_counts_again() {
        let (mine, [with, _]) = voided();
        let mut merged = mine.clone();
        merged.restore(&with);
        for (is_written, left, counted) in [(true, 0, [2, 0, 7, 0]), (false, 1, [1, 1, 3, 5])] {
            let mut again = merged.clone();
            again
                .count_again(|step| is_written && step == Revision::new(1, 10, name_of_step(1, 7)));
            assert_eq!((again.voids.len(), counts(&again)), (left, counted));
            // Another record, which has counted it all the time, adds nothing.
            assert!(!again.restore(&with));
            assert_eq!(counts(&again), counted);
        }
        // What had not come so far lacks it.
        let mut earlier = mine.clone();
        earlier.count_again(|_| true);
        assert_eq!((earlier.voids.len(), counts(&earlier)), (0, [0, 1, 0, 5]));
        assert!(earlier.restore(&with));
        assert_eq!(counts(&earlier), [2, 0, 7, 0]);
    }

    /// A step adds counts. Times and marks are no sums.
    #[test]
    fn what_a_step_has_added_are_counts() {
        let mut after = ScopeRecord::default();
        after.set_bucket(60, Bucket::default().drained(1, 7).with_one_taken(60));
        after.mark_crossed(Period::Day, "2026-11-29".to_owned());
        after.set_until(Some(9));
        after.seal(&[(1, 9)].into(), &[].into());
        after.reserve(&windows(), 5);
        let windows = windows();
        let opened = iter::once((&windows, 5));
        let added = after.added_to(&ScopeRecord::default(), opened);
        assert_eq!(counts(&added), [0; 4], "others may end the calls that it opened");
        let nothing = ScopeRecord {
            days: added.days.clone(),
            months: added.months.clone(),
            ..ScopeRecord::default()
        };
        assert_eq!(added, nothing);
    }
}
