//! How far a team's records have come.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A revision of a team's records: every change of what judges moves the number by one, and every time some changes are lost
/// a later epoch begins. No revision ever comes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::ledger) struct Revision {
    /// When the epoch began, in microseconds of the keeper's time.
    pub(in crate::ledger) epoch: u64,
    /// The number of the last change.
    pub(in crate::ledger) number: u64,
}

impl Revision {
    /// The next one.
    pub(in crate::ledger) const fn next(self) -> Self {
        Self { epoch: self.epoch, number: self.number + 1 }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.epoch, self.number)
    }
}

/// The text is no revision.
#[derive(Debug)]
pub(in crate::ledger) struct NoRevision;

impl FromStr for Revision {
    type Err = NoRevision;

    fn from_str(text: &str) -> Result<Self, NoRevision> {
        let (epoch, number) = text.split_once(' ').ok_or(NoRevision)?;
        let read = |text: &str| text.parse().map_err(|_| NoRevision);
        Ok(Self { epoch: read(epoch)?, number: read(number)? })
    }
}
