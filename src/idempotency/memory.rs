//! Claims and stored responses in memory: bounded in bytes and number, and lost when the process
//! restarts.
//!
//! For an embedded ledger, which belongs to one process. A restart loses the idempotency keys of
//! the last day, but no money.

mod entry;
mod index;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use self::entry::{Content, Entry, EntryKey, own};
use self::index::Index;
use super::store::{Begun, Store};
use super::{Claim, Settings, StoredResponse, Summary};
use crate::clock::Clock;
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::store::Outage;
use crate::team::TeamId;

/// Most entries. Beyond it, the finished entry that would expire first is dropped.
const ENTRIES_MAX: usize = 100_000;

/// A store in memory, shared by all workers of a process.
pub struct Memory {
    state: Mutex<State>,
    clock: Clock,
}

struct State {
    entries: HashMap<EntryKey, Entry>,
    /// Entries by when they expire.
    expiries: BTreeMap<(Duration, u64), EntryKey>,
    /// Entries with a body, by when they expire.
    bodies: BTreeMap<(Duration, u64), EntryKey>,
    bytes: u64,
    count: u64,
    /// Calls with a stored outcome.
    calls: Index,
    settings: Settings,
    entries_max: usize,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        Self::with_room_for(ENTRIES_MAX, settings, clock)
    }

    fn with_room_for(entries_max: usize, settings: Settings, clock: Clock) -> Self {
        let state = State {
            entries: HashMap::new(),
            expiries: BTreeMap::new(),
            bodies: BTreeMap::new(),
            bytes: 0,
            count: 0,
            calls: Index::default(),
            settings,
            entries_max,
        };
        Self { state: Mutex::new(state), clock }
    }

    /// Locks the state and drops expired entries.
    fn state(&self) -> (MutexGuard<'_, State>, Duration) {
        let now = self.clock.elapsed();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget_until(now);
        (state, now)
    }
}

impl State {
    fn forget_until(&mut self, now: Duration) {
        while let Some((until, key)) =
            self.expiries.first_key_value().map(|(until, key)| (*until, key.clone()))
        {
            if until.0 > now {
                return;
            }
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &EntryKey) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.expiries.remove(&entry.until);
        if self.bodies.remove(&entry.until).is_some() {
            self.bytes -= entry.content.bytes();
        }
        if let (EntryKey::Call(team, id), Some(carried)) = (key, entry.content.carried()) {
            self.calls.remove(team, carried, *id);
        }
    }

    fn put(&mut self, key: EntryKey, content: Content, until: Duration) {
        self.forget(&key);
        if self.entries.len() >= self.entries_max {
            self.forget_one();
        }
        self.count += 1;
        let until = (until, self.count);
        if content.bytes() > 0 {
            self.bytes += content.bytes();
            self.bodies.insert(until, key.clone());
        }
        if let (EntryKey::Call(team, id), Some(carried)) = (&key, content.carried()) {
            self.calls.add(team, carried, *id);
        }
        self.expiries.insert(until, key.clone());
        self.entries.insert(key, Entry { content, until });
        while self.bytes > self.settings.memory_bytes_max {
            self.drop_oldest_body();
        }
    }

    /// Drops one entry. A running or lost call goes last, because without its entry it could be
    /// made twice.
    fn forget_one(&mut self) {
        let runs = |key: &EntryKey| {
            let content = self.entries.get(key).map(|entry| &entry.content);
            matches!(content, Some(Content::Running(..) | Content::Lost(..)))
        };
        let oldest =
            self.expiries.values().find(|key| !runs(key)).or_else(|| self.expiries.values().next());
        if let Some(key) = oldest.cloned() {
            self.forget(&key);
        }
    }

    fn drop_oldest_body(&mut self) {
        let Some((_, key)) = self.bodies.pop_first() else {
            self.bytes = 0;
            return;
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            self.bytes -= entry.content.bytes();
            if let Some(kept) = entry.content.kept_mut() {
                kept.body = None;
            }
        }
    }

    fn begin(&mut self, claim: &Claim, ttl: Duration, now: Duration) -> Begun {
        let key = claim.entry_key();
        let Some(entry) = self.entries.get(&key) else {
            self.put(key, Content::Running(claim.id, claim.fingerprint), now + ttl);
            return Begun::First;
        };
        match &entry.content {
            Content::Running(_, other)
            | Content::Lost(_, other)
            | Content::Finished(_, other, _)
                if *other != claim.fingerprint =>
            {
                Begun::Mismatch
            }
            Content::Lost(..) => Begun::Lost,
            Content::Running(id, _) if *id == claim.id => Begun::First,
            Content::Running(..) | Content::Outcome(_) | Content::At(..) => Begun::Running,
            Content::Finished(_, _, kept) => Begun::Finished(Box::new(kept.clone())),
        }
    }

    fn sent(&mut self, claim: &Claim, until: Duration) -> bool {
        let key = claim.entry_key();
        let holder = self.entries.get(&key).and_then(|entry| entry.content.claim());
        if holder.is_some_and(|(id, _)| id != claim.id) {
            return false;
        }
        self.put(key, Content::Running(claim.id, claim.fingerprint), until);
        true
    }

    fn lose(&mut self, claim: &Claim) {
        let Some(entry) = self.entries.get_mut(&claim.entry_key()) else { return };
        if entry.content.claim() == Some((claim.id, false)) {
            entry.content = Content::Lost(claim.id, claim.fingerprint);
        }
    }

    fn finish(&mut self, claim: &Claim, kept: &StoredResponse, now: Duration) {
        let (key, until) = (claim.entry_key(), now + self.settings.retention);
        let holder = self.entries.get(&key).and_then(|entry| entry.content.claim());
        if holder.is_some_and(|(id, _)| id != claim.id) {
            return self.keep(&claim.team, kept, now);
        }
        if !holder.is_some_and(|(_, finished)| finished) {
            self.put(key, Content::Finished(claim.id, claim.fingerprint, own(kept)), until);
        }
        let call = EntryKey::Call(claim.team.clone(), claim.id);
        self.put(call, Content::At(claim.key, claim.request_id.clone()), until);
    }

    fn release(&mut self, claim: &Claim) {
        let key = claim.entry_key();
        let holder = self.entries.get(&key).and_then(|entry| entry.content.claim());
        if holder == Some((claim.id, false)) {
            self.forget(&key);
        }
    }

    fn keep(&mut self, team: &TeamId, kept: &StoredResponse, now: Duration) {
        let Some(call) = &kept.call else { return };
        let key = EntryKey::Call(team.clone(), call.id);
        self.put(key, Content::Outcome(own(kept)), now + self.settings.retention);
    }

    fn list(&self, team: &TeamId, of: Option<&RequestId>) -> Vec<Summary> {
        let ids = self.calls.newest(team, of);
        ids.into_iter().filter_map(|id| self.fetch(team, id)?.summary()).collect()
    }

    fn fetch(&self, team: &TeamId, id: ReservationId) -> Option<&StoredResponse> {
        match &self.entries.get(&EntryKey::Call(team.clone(), id))?.content {
            Content::Outcome(kept) => Some(kept),
            Content::At(key, _) => {
                match &self.entries.get(&EntryKey::Key(team.clone(), *key))?.content {
                    Content::Finished(call, _, kept) if *call == id => Some(kept),
                    Content::Finished(..)
                    | Content::Running(..)
                    | Content::Lost(..)
                    | Content::Outcome(_)
                    | Content::At(..) => None,
                }
            }
            Content::Running(..) | Content::Lost(..) | Content::Finished(..) => None,
        }
    }
}

impl Store for Memory {
    fn begin<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Begun, Outage>> {
        let (mut state, now) = self.state();
        ready(Ok(state.begin(claim, ttl, now))).boxed()
    }

    fn sent<'a>(&'a self, claim: &'a Claim, ttl: Duration) -> BoxFuture<'a, Result<bool, Outage>> {
        let (mut state, now) = self.state();
        let until = now + ttl.max(state.settings.retention);
        ready(Ok(state.sent(claim, until))).boxed()
    }

    fn mark_lost<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>> {
        self.state().0.lose(claim);
        ready(Ok(())).boxed()
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        let (mut state, now) = self.state();
        state.finish(claim, kept, now);
        ready(Ok(())).boxed()
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>> {
        self.state().0.release(claim);
        ready(Ok(())).boxed()
    }

    fn keep<'a>(
        &'a self,
        team: &'a TeamId,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        let (mut state, now) = self.state();
        state.keep(team, kept, now);
        ready(Ok(())).boxed()
    }

    fn fetch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<StoredResponse>, Outage>> {
        ready(Ok(self.state().0.fetch(team, id).cloned())).boxed()
    }

    fn list<'a>(
        &'a self,
        team: &'a TeamId,
        of: Option<&'a RequestId>,
    ) -> BoxFuture<'a, Result<Vec<Summary>, Outage>> {
        ready(Ok(self.state().0.list(team, of))).boxed()
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
