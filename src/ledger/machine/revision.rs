//! The revision of a team's records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many epochs may follow the same one, two microseconds apart: few, because later epochs begin
/// at the keeper's time as soon as that is later.
const APART_MAX: u64 = 10_007;

/// A revision of a team's records: every change that matters to limits raises the number by one,
/// and every loss begins a later epoch. No revision comes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::ledger) struct Revision {
    /// When the epoch began, in microseconds of the keeper's time; odd if it began without records.
    pub(in crate::ledger) epoch: u64,
    /// The number of the last change.
    pub(in crate::ledger) number: u64,
    /// The name of the step that made it: a process whose answer was lost recognizes its own step.
    pub(in crate::ledger) name: u64,
}

impl Revision {
    /// The parts, in the order in which they are written.
    pub(in crate::ledger) const fn to_numbers(self) -> [u64; 3] {
        [self.epoch, self.number, self.name]
    }

    /// The first revision of the epoch that follows `after` and begins now, in microseconds of the
    /// keeper's time. If the clock was set back, two processes that do not know of each other may
    /// both begin an epoch after the same one: the name of the step keeps their epochs apart.
    pub(in crate::ledger) fn begin(now: i64, after: u64, number: u64, name: u64) -> Self {
        let now = u64::try_from(now).unwrap_or(0);
        let epoch = if now > after { now } else { after + 1 + 2 * (name % APART_MAX) };
        let epoch = epoch + u64::from(Self::begins_empty(epoch) != (number == 0));
        Self { epoch, number, name }
    }

    /// Whether an epoch began without any records: it is odd then. Later losses leave nothing else
    /// that would tell.
    pub(in crate::ledger) const fn begins_empty(epoch: u64) -> bool {
        epoch % 2 == 1
    }

    /// The next revision, made by a step of this name.
    pub(in crate::ledger) const fn next(self, name: u64) -> Self {
        Self { epoch: self.epoch, number: self.number + 1, name }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.epoch, self.number, self.name)
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
        Ok(Self { epoch: next()?, number: next()?, name: next().unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_revision_reads_back_and_older_layouts_have_no_name() {
        let is = Revision { epoch: 5, number: 7, name: 9 };
        assert_eq!(is.to_string().parse::<Revision>().ok(), Some(is));
        assert_eq!("5 7".parse::<Revision>().ok(), Some(Revision { name: 0, ..is }));
        assert!(["", "5", "5 x 9"].iter().all(|text| text.parse::<Revision>().is_err()));
    }

    /// The epochs stay apart even if the clock was set back for both.
    #[test]
    fn two_epochs_after_the_same_one_stay_apart() {
        let begin = |now, name| Revision::begin(now, 5_000, 7, name);
        assert_eq!(begin(9_000_000, 3), Revision { epoch: 9_000_000, number: 7, name: 3 });
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
            for (number, is_empty) in [(0, true), (1, false), (8, false)] {
                let epoch = Revision::begin(now, 5_000, number, 3).epoch;
                assert_eq!(Revision::begins_empty(epoch), is_empty);
                assert!(epoch > 5_000 && (now <= 5_000 || epoch.abs_diff(now.unsigned_abs()) <= 1));
            }
        }
    }

    #[test]
    fn the_next_revision_keeps_its_epoch_and_names_its_step() {
        let next = Revision { epoch: 5, number: 7, name: 9 }.next(4);
        assert_eq!(
            (next, next.to_numbers()),
            (Revision { epoch: 5, number: 8, name: 4 }, [5, 8, 4])
        );
    }
}
