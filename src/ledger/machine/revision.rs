//! The revision of a team's records.

use std::fmt;
use std::iter;
use std::str::FromStr;

/// How many epochs may follow the same one, two microseconds apart: few, because later epochs begin
/// at the keeper's time as soon as that is later.
const APART_MAX: u64 = 10_007;

/// How many bits of a step's name say which process made it.
const PROCESS_BITS: u32 = 28;
/// How many other processes a revision names.
const OTHERS_MAX: usize = 7;

/// The name of a step: the number of its process, which is random, and its own number there.
pub(in crate::ledger) const fn name_of_step(process: u64, number: u64) -> u64 {
    (number << PROCESS_BITS) + process % (1 << PROCESS_BITS)
}

/// Whether one process made both steps.
const fn are_of_one_process(name: u64, other: u64) -> bool {
    (name ^ other) & ((1 << PROCESS_BITS) - 1) == 0
}

/// A revision of a team's records: every change that matters to limits raises the number by one,
/// and every loss begins a later epoch. No revision comes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct Revision {
    /// When the epoch began, in microseconds of the keeper's time; odd if it began without records.
    pub(in crate::ledger) epoch: u64,
    /// The number of the last change.
    pub(in crate::ledger) number: u64,
    /// The name of the step that made it; see [`name_of_step`].
    pub(in crate::ledger) name: u64,
    /// The last step of each other process, the latest first; then zeros. A process whose answer
    /// was lost learns from them whether its step was written, whoever has written since. Of more
    /// processes those are named that have written last.
    others: [u64; OTHERS_MAX],
}

impl Revision {
    /// A revision that names no other process.
    pub(in crate::ledger) const fn new(epoch: u64, number: u64, name: u64) -> Self {
        Self { epoch, number, name, others: [0; OTHERS_MAX] }
    }

    /// The parts, in the order in which they are written.
    pub(in crate::ledger) fn to_numbers(self) -> impl Iterator<Item = u64> {
        [self.epoch, self.number].into_iter().chain(self.last_steps())
    }

    /// The last step of each process, the latest first.
    pub(in crate::ledger) fn last_steps(self) -> impl Iterator<Item = u64> {
        iter::once(self.name).chain(self.others.into_iter().take_while(|name| *name > 0))
    }

    /// Whether the records include this step, if its process has written none after it.
    pub(in crate::ledger) fn includes(self, step: u64) -> bool {
        self.last_steps().any(|name| name == step)
    }

    /// Whether the records have come to this change or beyond, within its epoch: if they do not
    /// include a step that would have made it, that step will never be written.
    pub(in crate::ledger) const fn has_come_to(self, change: Self) -> bool {
        self.epoch == change.epoch && self.number >= change.number
    }

    /// The first revision of the epoch that follows `after` and begins now, in microseconds of the
    /// keeper's time; `found` are the records that it begins with. If the clock was set back, two
    /// processes that do not know of each other may both begin an epoch after the same one: the
    /// name of the step keeps their epochs apart.
    pub(in crate::ledger) fn begin(now: i64, after: u64, found: Option<Self>, name: u64) -> Self {
        let now = u64::try_from(now).unwrap_or(0);
        let epoch = if now > after { now } else { after + 1 + 2 * (name % APART_MAX) };
        let epoch = epoch + u64::from(Self::begins_empty(epoch) != found.is_none());
        found.map_or(Self::new(epoch, 0, name), |found| Self { epoch, ..found.next(name) })
    }

    /// Whether an epoch began without any records: it is odd then. Later losses leave nothing else
    /// that would tell.
    pub(in crate::ledger) const fn begins_empty(epoch: u64) -> bool {
        epoch % 2 == 1
    }

    /// The next revision, made by a step of this name.
    pub(in crate::ledger) fn next(self, name: u64) -> Self {
        let mut next = Self::new(self.epoch, self.number + 1, name);
        let others = self.last_steps().filter(|last| !are_of_one_process(*last, name));
        next.others.iter_mut().zip(others).for_each(|(place, last)| *place = last);
        next
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.epoch, self.number)?;
        self.last_steps().try_for_each(|name| write!(f, " {name}"))
    }
}

/// The text is not a revision.
#[derive(Debug)]
pub(in crate::ledger) struct NoRevision;

impl FromStr for Revision {
    type Err = NoRevision;

    fn from_str(text: &str) -> Result<Self, NoRevision> {
        let mut numbers = text.split(' ').map(|text| text.parse().map_err(|_| NoRevision));
        let mut next = || numbers.next().unwrap_or(Err(NoRevision));
        // A revision migrated from an earlier layout has no name.
        let mut read = Self::new(next()?, next()?, next().unwrap_or(0));
        read.others.iter_mut().for_each(|place| *place = next().unwrap_or(0));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A step of one of the first processes.
    const fn step(process: u64, number: u64) -> u64 {
        name_of_step(process, number)
    }

    #[test]
    fn a_revision_reads_back_and_older_layouts_have_no_name() {
        let is = Revision::new(5, 7, 9);
        let after_others = is.next(step(1, 1)).next(step(2, 1));
        for is in [is, after_others] {
            assert_eq!(is.to_string().parse::<Revision>().ok(), Some(is));
        }
        assert_eq!("5 7".parse::<Revision>().ok(), Some(Revision { name: 0, ..is }));
        assert!(["", "5", "5 x 9"].iter().all(|text| text.parse::<Revision>().is_err()));
    }

    /// The epochs stay apart even if the clock was set back for both.
    #[test]
    fn two_epochs_after_the_same_one_stay_apart() {
        let found = Revision::new(5_000, 6, 2);
        let begin = |now, name| Revision::begin(now, 5_000, Some(found), name);
        assert_eq!(begin(9_000_000, 3), Revision { epoch: 9_000_000, ..found.next(3) });
        assert_eq!(begin(5_001, 3).epoch, 5_002);
        let names = [0, 2, 3, 4, 3 << 32, (3 << 32) | 8, u64::MAX];
        let epochs: BTreeSet<_> = names.iter().map(|name| begin(4_000, *name).epoch).collect();
        assert_eq!(epochs.len(), names.len());
        let next = 5_001..=5_000 + 2 * APART_MAX;
        for now in [i64::MIN, 4_000, 5_000] {
            assert!(names.iter().all(|name| next.contains(&begin(now, *name).epoch)), "at {now}");
        }
    }

    #[test]
    fn an_epoch_says_whether_it_began_with_records() {
        for now in [4_000, 5_001, 5_002, 9_000_000, 9_000_001] {
            for found in [None, Some(Revision::new(5_000, 7, 2))] {
                let epoch = Revision::begin(now, 5_000, found, 3).epoch;
                assert_eq!(Revision::begins_empty(epoch), found.is_none());
                assert!(epoch > 5_000 && (now <= 5_000 || epoch.abs_diff(now.unsigned_abs()) <= 1));
            }
        }
    }

    #[test]
    fn the_next_revision_keeps_its_epoch_and_names_its_step() {
        let next = Revision::new(5, 7, step(1, 1)).next(step(1, 2));
        assert_eq!(next, Revision::new(5, 8, step(1, 2)));
        assert_eq!(next.to_numbers().collect::<Vec<_>>(), [5, 8, step(1, 2)]);
    }

    /// A process has a random number, of which only a part stands in the name.
    #[test]
    fn a_steps_name_tells_its_process_and_its_number() {
        assert_eq!(step(3, 5), 0x5000_0003);
        assert_eq!(step(u64::MAX, 5), 0x5fff_ffff);
    }

    #[test]
    fn the_last_step_of_each_process_is_named() {
        let written = [(1, 1), (2, 1), (1, 2), (3, 1), (2, 2)];
        let is = written
            .iter()
            .fold(Revision::new(5, 7, 0), |is, (process, number)| is.next(step(*process, *number)));
        let last = [step(2, 2), step(3, 1), step(1, 2)];
        assert_eq!(is.last_steps().collect::<Vec<_>>(), last);
        assert!(last.iter().all(|name| is.includes(*name)));
        assert!(!is.includes(step(1, 1)) && !is.includes(step(1, 3)), "only the last one");
        // Of many processes those that wrote last.
        let is = (1..=20).fold(is, |is, process| is.next(step(process, 9)));
        let last: Vec<_> = (0..8).map(|before| step(20 - before, 9)).collect();
        assert_eq!(is.last_steps().collect::<Vec<_>>(), last);
    }

    /// Whoever looks for its step in a later epoch finds it there.
    #[test]
    fn an_epoch_that_begins_with_records_names_their_steps() {
        let found = Revision::new(5, 7, step(1, 1)).next(step(2, 1));
        let begun = Revision::begin(9, 5, Some(found), step(3, 1));
        assert!(begun.includes(step(1, 1)) && begun.includes(step(2, 1)));
        assert!(!Revision::begin(9, 5, None, step(3, 1)).includes(step(1, 1)));
    }
}
