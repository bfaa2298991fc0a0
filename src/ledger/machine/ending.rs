//! When a call may have ended, without its process learning of it.

use serde::{Deserialize, Serialize};

use super::revision::Revision;

/// The first change in which a call may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Ending {
    pub(in crate::ledger) epoch: u64,
    pub(in crate::ledger) number: u64,
    /// What may have ended it.
    #[serde(default)]
    pub(in crate::ledger) by: EndedBy,
}

/// What may have ended a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) enum EndedBy {
    /// Any change from that one on.
    #[default]
    Any,
    /// Only a sweep, from that change on: the call's process was away at this deadline, in
    /// microseconds of Unix time.
    Sweep(i64),
}

impl Ending {
    /// Any change from this one on may have ended the call.
    pub(in crate::ledger) const fn from(epoch: u64, number: u64) -> Self {
        Self { epoch, number, by: EndedBy::Any }
    }

    /// A call with this deadline may have been swept in any change after this one.
    pub(in crate::ledger) const fn swept_after(seen: Revision, deadline: i64) -> Self {
        Self { epoch: seen.epoch, number: seen.number + 1, by: EndedBy::Sweep(deadline) }
    }

    /// The change, without the name of its step.
    pub(in crate::ledger) const fn change(self) -> Revision {
        Revision::new(self.epoch, self.number, 0)
    }

    /// The same when the call may also have ended later, in another way.
    pub(in crate::ledger) fn or_later(self, other: Self) -> Self {
        let by = match (self.by, other.by) {
            (EndedBy::Sweep(one), EndedBy::Sweep(other)) => EndedBy::Sweep(one.min(other)),
            _ => EndedBy::Any,
        };
        Self { by, ..self }
    }

    /// The same when others may also have ended the call in an earlier change of that epoch.
    pub(in crate::ledger) fn or_from(self, number: u64) -> Self {
        Self { number: number.min(self.number), ..self }
    }
}
