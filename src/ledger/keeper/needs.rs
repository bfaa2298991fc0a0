//! What a batch needs of the keeper before it is worked out: records to read, calls to mark and to
//! renew.

use std::collections::BTreeSet;

use super::cache::TeamCache;
use super::operation::Operation;
use super::step::Mark;
use super::wanted::Wanted;
use crate::ledger::machine::ScopeName;
use crate::ledger::{ReservationId, Scope};

/// The records that a batch reads, as far as its operations name them.
pub(super) fn wanted(operations: &[Operation], cache: &TeamCache) -> Wanted {
    // A process that sees a team for the first time also looks for abandoned calls.
    let mut wanted = Wanted { due: cache.revision().is_none(), ..Wanted::default() };
    for operation in operations {
        match operation {
            Operation::Admit { admission, .. } => {
                wanted.calls.insert(admission.id);
                wanted.scopes_of(&admission.levels);
            }
            Operation::Quote { admission, .. } => wanted.scopes_of(&admission.levels),
            Operation::Snapshot { query, .. } => {
                wanted.scopes.insert(ScopeName::from(&Scope::Team));
                wanted.scopes_of(&query.levels);
                wanted.scopes_of(query.reader.as_slice());
            }
            Operation::Settle { settlement, .. } => {
                wanted.calls.insert(settlement.id);
                wanted.ends_of(cache.last_known(settlement.id));
            }
            Operation::ReleaseSlots { id, .. } => {
                wanted.calls.insert(*id);
                let known = cache.last_known(*id).into_iter();
                wanted.scopes.extend(known.flat_map(|record| record.scopes.iter().cloned()));
            }
            Operation::Abandon { id, .. } => {
                wanted.calls.insert(*id);
                wanted.ends_of(cache.last_known(*id));
            }
            Operation::Dispatch { id, .. } | Operation::Recall { id, .. } => {
                wanted.calls.insert(*id);
            }
            Operation::TopUp { top_up, .. } => {
                wanted.scopes.insert(ScopeName::from(&top_up.scope));
                wanted.top_ups.insert(top_up.id.clone());
            }
            Operation::Sweep { .. } => {
                (wanted.due, wanted.past, wanted.oldest) = (true, true, true)
            }
            Operation::Renew { .. } | Operation::Accept { .. } => {}
        }
    }
    wanted
}

/// The marks of a batch, for calls whose record this process knows.
pub(super) fn marks(operations: &[Operation], cache: &TeamCache) -> Vec<Mark> {
    let marked = operations.iter().filter_map(Operation::marks);
    let known = marked.filter_map(|(id, phase)| Some((id, phase, cache.last_known(id)?.clone())));
    // An ended call whose answer keeps slots has a record, and is not open.
    let open = known.filter_map(|(id, phase, from)| Some((id, phase, from.phase()?, from)));
    open.map(|(id, phase, is, from)| {
        let to = if is == phase { from.clone() } else { from.clone().marked(phase) };
        Mark { id, from, to }
    })
    .collect()
}

/// The calls whose deadlines a batch puts off.
pub(super) fn renewed(operations: &[Operation]) -> Vec<ReservationId> {
    operations.iter().flat_map(Operation::renews).copied().collect()
}

/// The calls that a batch marks and of which this process knows nothing.
pub(super) fn unknown_marks(
    operations: &[Operation],
    cache: &TeamCache,
) -> BTreeSet<ReservationId> {
    let marked = operations.iter().filter_map(Operation::marks).map(|(id, _)| id);
    marked.filter(|id| cache.last_known(*id).is_none() && cache.call(*id).is_none()).collect()
}

#[cfg(test)]
#[path = "needs_tests.rs"]
mod tests;
