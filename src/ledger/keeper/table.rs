//! Records of one kind as a process knows them, a bounded number.

use std::hash::Hash;

use crate::ledger::machine::Revision;
use crate::maps::FastMap;

/// How many records of one kind are kept of a team before those give way that others have changed since.
pub(super) const KEPT_MOST: usize = 8_192;

/// Records of one kind, each with the revision at which it was that.
#[derive(Debug)]
pub(super) struct Table<K, V>(pub(super) FastMap<K, (Revision, V)>);

impl<K: Eq + Hash, V> Table<K, V> {
    pub(super) fn fresh(&self, key: &K, since: Revision) -> Option<&V> {
        self.0.get(key).filter(|(at, _)| *at >= since).map(|(_, value)| value)
    }

    pub(super) fn put(&mut self, key: K, value: V, at: Revision) {
        self.0.insert(key, (at, value));
    }

    /// Forgets those of which that is said; asked about in their order, so that a seed decides.
    #[cfg(test)]
    pub(super) fn forget(&mut self, mut goes: impl FnMut(&K) -> bool)
    where
        K: Ord + Clone,
    {
        let names: std::collections::BTreeSet<K> = self.0.keys().cloned().collect();
        for name in names.iter().filter(|name| goes(name)) {
            self.0.remove(name);
        }
    }

    pub(super) fn bound(&mut self, since: Revision) {
        if self.0.len() > KEPT_MOST {
            self.0.retain(|_, (at, _)| *at >= since);
        }
        if self.0.len() > KEPT_MOST {
            self.0.clear();
        }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(FastMap::default())
    }
}
