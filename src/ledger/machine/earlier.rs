//! Tells whether calls may have ended in a lost history.

use std::collections::BTreeMap;

use super::ending::{EndedBy, Ending};
use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use super::revision::Revision;

/// The last surviving change of each earlier epoch.
pub(in crate::ledger) type Kept = BTreeMap<u64, u64>;

/// What is known of the earlier epochs.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Earlier<'a> {
    pub(in crate::ledger) kept: &'a Kept,
    /// The latest moment at which a call was ended after its deadline, in microseconds of Unix
    /// time.
    pub(in crate::ledger) ended_late_at: i64,
}

impl Earlier<'_> {
    /// Whether a call may have ended in the lost history, with that end counted in the scopes.
    pub(super) fn may_have_ended(
        &self,
        scopes: &[(ScopeName, ScopeRecord)],
        record: &ReservationRecord,
    ) -> bool {
        let of_team = scopes.iter().find(|(name, _)| name.level == "team");
        let (Some(ending), Some((_, team))) = (record.ending, of_team) else { return false };
        // It was sent in a later epoch, so it is open, whatever became of it in the lost history.
        if record.marked_as_sent_in() > ending.epoch {
            return false;
        }
        match ending.by {
            EndedBy::Sweep(deadline) if deadline > self.ended_late_at => false,
            EndedBy::Any | EndedBy::Sweep(_) => self.has_come_to(ending, &team.sealed()),
        }
    }

    /// Whether a history that came to these changes includes any in which the call may have ended.
    fn has_come_to(&self, Ending { epoch, number, .. }: Ending, come_to: &Kept) -> bool {
        // A copy that took over counts on in a later epoch, where others may have ended it as well,
        // if the copy has the call.
        let is_copied = self.kept.get(&epoch).is_none_or(|last| *last + 1 >= number);
        // It did not come into an epoch that began without records, unless its own process claimed
        // it there.
        let empty = come_to
            .keys()
            .chain(self.kept.keys())
            .filter(|later| **later > epoch && Revision::begins_empty(**later))
            .min();
        let last = match empty {
            _ if !is_copied => epoch,
            Some(empty) => empty - 1,
            None => u64::MAX,
        };
        come_to.range(epoch..=last).any(|(_, is)| *is >= number)
    }
}

#[cfg(test)]
#[path = "earlier_tests.rs"]
mod tests;
