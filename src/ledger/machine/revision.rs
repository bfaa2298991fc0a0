//! How far a team's records have come.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A revision of a team's records: every change of what judges moves the number by one, and every time some changes are
/// lost a later epoch begins. No revision ever comes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::ledger) struct Revision {
    /// When the epoch began, in microseconds of the keeper's time.
    pub(in crate::ledger) epoch: u64,
    /// The number of the last change.
    pub(in crate::ledger) number: u64,
    /// The name of the step that made it: whoever sent one whose answer was lost knows it again.
    pub(in crate::ledger) name: u64,
}

impl Revision {
    /// What it is made of, in the order in which it is written.
    pub(in crate::ledger) const fn to_numbers(self) -> [u64; 3] {
        [self.epoch, self.number, self.name]
    }

    /// The next one, made by a step of this name.
    pub(in crate::ledger) const fn next(self, name: u64) -> Self {
        Self { epoch: self.epoch, number: self.number + 1, name }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.epoch, self.number, self.name)
    }
}

/// The text is no revision.
#[derive(Debug)]
pub(in crate::ledger) struct NoRevision;

impl FromStr for Revision {
    type Err = NoRevision;

    fn from_str(text: &str) -> Result<Self, NoRevision> {
        let mut numbers = text.split(' ').map(|text| text.parse().map_err(|_| NoRevision));
        let mut next = || numbers.next().unwrap_or(Err(NoRevision));
        // One that was moved from an earlier layout has no name.
        Ok(Self { epoch: next()?, number: next()?, name: next().unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_it_was_written_and_one_of_an_earlier_layout_has_no_name() {
        let is = Revision { epoch: 5, number: 7, name: 9 };
        assert_eq!(is.to_string().parse::<Revision>().ok(), Some(is));
        assert_eq!("5 7".parse::<Revision>().ok(), Some(Revision { name: 0, ..is }));
        assert!(["", "5", "5 x 9"].iter().all(|text| text.parse::<Revision>().is_err()));
    }

    #[test]
    fn the_next_revision_is_one_further_in_the_same_epoch_and_has_the_name_of_its_step() {
        let next = Revision { epoch: 5, number: 7, name: 9 }.next(4);
        assert_eq!((next, next.to_numbers()), (Revision { epoch: 5, number: 8, name: 4 }, [5, 8, 4]));
    }
}
