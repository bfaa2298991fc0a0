//! What this process knows from before a loss, until it has restored it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::own::{Claimed, InDoubt, Written};
use crate::ledger::machine::{Revision, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{ReservationId, TopUpId};

/// How many records of one kind are restored at a time.
pub(super) const AT_ONCE: usize = 64;

/// Knowledge of epochs that are over.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Memory {
    /// The latest revision that was seen.
    pub(super) last: Revision,
    /// The latest moment at which a call is known to have been ended after its deadline, in
    /// microseconds of Unix time.
    pub(super) ended_late_at: i64,
    /// The count of marked calls at that revision.
    pub(super) marks: u64,
    /// Scopes, with what they counted in each epoch.
    pub(super) scopes: BTreeMap<ScopeName, ScopeRecord>,
    /// Calls that this process makes.
    pub(super) calls: BTreeMap<ReservationId, Claimed>,
    /// Rows that this process wrote.
    pub(super) rows: VecDeque<Written>,
    pub(super) top_ups: BTreeMap<TopUpId, (Revision, TopUpRecord)>,
    /// Steps of those epochs that may have been written.
    pub(super) in_doubt: Vec<InDoubt>,
    /// Void steps that the team's scope in the store counted until this memory was restored.
    pub(super) taken_out: BTreeSet<u64>,
    /// Scopes were restored after the team had opened again; they are yet to be judged.
    pub(super) came_late: bool,
    /// What is known may lack what open calls hold: it was restored late before the loss, and not
    /// judged.
    pub(super) unjudged: bool,
}

impl Memory {
    /// A first part of it, to be restored in one step.
    pub(super) fn some(&self) -> Self {
        fn first<K: Ord + Clone, V: Clone>(all: &BTreeMap<K, V>) -> BTreeMap<K, V> {
            all.iter().take(AT_ONCE).map(|(key, value)| (key.clone(), value.clone())).collect()
        }
        let is_last = self.scopes.len() <= AT_ONCE;
        Self {
            last: self.last,
            ended_late_at: self.ended_late_at,
            marks: self.marks,
            scopes: first(&self.scopes),
            // Whether a call is open may depend on what the scopes count.
            calls: if is_last { first(&self.calls) } else { BTreeMap::new() },
            rows: self.rows.iter().take(AT_ONCE).cloned().collect(),
            top_ups: first(&self.top_ups),
            in_doubt: Vec::new(),
            taken_out: self.taken_out.clone(),
            came_late: self.came_late,
            unjudged: self.unjudged,
        }
    }

    pub(super) fn forget(&mut self, some: &Self) {
        self.taken_out.extend(&some.taken_out);
        self.scopes.retain(|name, _| !some.scopes.contains_key(name));
        self.calls.retain(|id, _| !some.calls.contains_key(id));
        self.rows.drain(..some.rows.len().min(self.rows.len()));
        self.top_ups.retain(|id, _| !some.top_ups.contains_key(id));
    }

    /// Whether all records are restored; scopes that were restored late may still have to be
    /// judged.
    pub(super) fn is_restored(&self) -> bool {
        self.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.scopes.is_empty()
            && self.calls.is_empty()
            && self.rows.is_empty()
            && self.in_doubt.is_empty()
            && self.top_ups.is_empty()
    }
}
