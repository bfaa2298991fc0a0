//! A bounded table of records of one kind, as a process knows them.

use std::hash::Hash;

use crate::ledger::machine::Revision;
use crate::maps::FastMap;

/// The most records of one kind kept of a team. Beyond it those are dropped that other processes
/// have changed since.
pub(super) const KEPT_MAX: usize = 8_192;

/// Records of one kind, each with the revision at which it was read or written.
#[derive(Debug)]
pub(super) struct Table<K, V>(pub(super) FastMap<K, (Revision, V)>);

impl<K: Eq + Hash, V> Table<K, V> {
    pub(super) fn fresh(&self, key: &K, since: Revision) -> Option<&V> {
        self.0.get(key).filter(|(at, _)| *at >= since).map(|(_, value)| value)
    }

    pub(super) fn put(&mut self, key: K, value: V, at: Revision) {
        self.0.insert(key, (at, value));
    }

    /// Forgets chosen records; asked in the order of the keys, so that the seed decides.
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
        if self.0.len() > KEPT_MAX {
            self.0.retain(|_, (at, _)| *at >= since);
        }
        if self.0.len() > KEPT_MAX {
            self.0.clear();
        }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(FastMap::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(number: u64) -> Revision {
        Revision::new(5, number, 0)
    }

    fn of(old: usize, fresh: usize) -> Table<usize, usize> {
        let mut table = Table::default();
        (0..old).for_each(|key| table.put(key, key, at(1)));
        (old..old + fresh).for_each(|key| table.put(key, key, at(2)));
        table
    }

    #[test]
    fn a_record_is_fresh_if_it_was_read_since() {
        let table = of(1, 1);
        assert_eq!([0, 1, 2].map(|key| table.fresh(&key, at(2))), [None, Some(&1), None]);
        assert_eq!(table.fresh(&0, at(1)), Some(&0));
    }

    #[test]
    fn a_full_table_drops_old_entries_first() {
        let left = |old, fresh| {
            let mut table = of(old, fresh);
            table.bound(at(2));
            table.0.len()
        };
        assert_eq!([left(1, KEPT_MAX - 1), left(2, KEPT_MAX)], [KEPT_MAX; 2]);
        assert_eq!([left(KEPT_MAX, 1), left(0, KEPT_MAX + 1), left(2, KEPT_MAX + 1)], [1, 0, 0]);
    }
}
