//! In-memory cache of the catalogue, shared by all workers: bounded in number and size. Only one
//! request is made for an entry at a time, and none right after a failure.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::listing;
use super::page::Page;
use super::settings::Fields;
use crate::model::ModelId;
use crate::refusal::Refusal;
use crate::request::route::Catalogue;

/// Most cached questions: callers choose model ids, so there must be a bound.
const ENTRIES_MAX: usize = 1024;
/// Most bytes of cached answers, for the same reason. One answer of the largest size always fits.
const BYTES_MAX: u64 = 64 << 20;
/// Most requests to the upstream at once, for the same reason.
const FLIGHTS_MAX: usize = 64;
/// How long a 404 is cached.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// Least time between two requests for the same question.
const PAUSE: Duration = Duration::from_secs(1);

/// A cached answer of the upstream.
#[derive(Clone, Debug)]
pub struct CachedPage {
    /// The content.
    pub page: Page,
    /// When it was fetched, by [`Clock::elapsed`](crate::clock::Clock::elapsed).
    pub at: Duration,
}

/// What the cache has for a question.
#[derive(Debug)]
pub enum Recalled {
    /// An answer, fresh or stale.
    Cached(CachedPage),
    /// A request that failed a moment ago.
    Failed(Refusal),
    /// No answer and no recent failure.
    Nothing,
}

/// A request to the upstream under way; clones wait for the same answer.
pub type Flight = Shared<BoxFuture<'static, Result<CachedPage, Refusal>>>;

/// The cache. Clones share it.
#[derive(Clone, Default)]
pub struct Cache(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: HashMap<Catalogue, Entry>,
    flights: HashMap<Catalogue, Flight>,
    /// Model ids in the list of models, read once when it came.
    listed: Option<Arc<HashSet<ModelId>>>,
}

/// State of one question.
#[derive(Default)]
struct Entry {
    kept: Option<CachedPage>,
    /// The last failure.
    failed: Option<Refusal>,
    /// When it was last asked.
    tried: Duration,
}

impl Entry {
    fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.page.bytes())
    }

    /// Eviction order, least first: entries without an answer, then by age.
    fn worth(&self) -> (bool, Duration) {
        (matches!(&self.kept, Some(CachedPage { page: Page::Found(_), .. })), self.tried)
    }
}

impl Cache {
    /// Looks up a question.
    #[must_use]
    pub fn recall(&self, question: &Catalogue, now: Duration) -> Recalled {
        let inside = self.lock();
        let Some(entry) = inside.entries.get(question) else { return Recalled::Nothing };
        let lasts = |kept: &&CachedPage| {
            kept.page != Page::Unknown || now.saturating_sub(kept.at) < UNKNOWN_FOR
        };
        if let Some(kept) = entry.kept.as_ref().filter(lasts) {
            return Recalled::Cached(kept.clone());
        }
        let failed = entry.failed.clone().filter(|_| now.saturating_sub(entry.tried) < PAUSE);
        failed.map_or(Recalled::Nothing, Recalled::Failed)
    }

    /// Model ids in the list of models; `None` when there is no list, or it is not understood.
    #[must_use]
    pub fn listed(&self) -> Option<Arc<HashSet<ModelId>>> {
        self.lock().listed.clone()
    }

    /// Whether a question may be asked again.
    #[must_use]
    pub fn may_ask_again(&self, question: &Catalogue, now: Duration) -> bool {
        self.lock()
            .entries
            .get(question)
            .is_none_or(|entry| now.saturating_sub(entry.tried) >= PAUSE)
    }

    /// Stores an answer; `fields` says how to read the list of models.
    pub fn put(&self, question: Catalogue, kept: CachedPage, fields: &Fields) {
        let listed = match (&question, &kept.page) {
            (Catalogue::Models, Page::Found(found)) => Some(listing::ids(&found.body, fields)),
            (Catalogue::Models | Catalogue::ModelConfig(_) | Catalogue::SampleImages, _) => None,
        };
        let mut inside = self.lock();
        if let Some(listed) = listed {
            inside.listed = Some(listed).filter(|ids| !ids.is_empty()).map(Arc::new);
        }
        let tried = kept.at;
        inside.insert(question, Entry { kept: Some(kept), failed: None, tried });
    }

    /// Notes a failure. A stored answer stays.
    pub fn failed(&self, question: &Catalogue, why: Refusal, now: Duration) {
        let mut inside = self.lock();
        let kept = inside.entries.remove(question).and_then(|entry| entry.kept);
        inside.insert(question.clone(), Entry { kept, failed: Some(why), tried: now });
    }

    /// Joins the request under way for a question, or starts one, which goes on even if nobody
    /// waits for it.
    ///
    /// # Errors
    /// `overloaded`: too many requests are under way; or the error of `may_begin` for a new one.
    pub fn fly<F>(
        &self,
        question: Catalogue,
        may_begin: impl FnOnce() -> Result<(), Refusal>,
        fetch: F,
    ) -> Result<Flight, Refusal>
    where
        F: Future<Output = Result<CachedPage, Refusal>> + Send + 'static,
    {
        let mut inside = self.lock();
        if let Some(flight) = inside.flights.get(&question) {
            return Ok(flight.clone());
        }
        if inside.flights.len() >= FLIGHTS_MAX {
            return Err(Refusal::Overloaded);
        }
        may_begin()?;
        let landing = Landing { cache: self.clone(), question: question.clone() };
        let task = tokio::spawn(async move {
            let _landing = landing;
            fetch.await
        });
        let flight = task.map(|ended| ended.unwrap_or(Err(Refusal::Internal))).boxed().shared();
        inside.flights.insert(question, flight.clone());
        Ok(flight)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, question: Catalogue, entry: Entry) {
        self.entries.remove(&question);
        while !self.entries.is_empty()
            && (self.entries.len() >= ENTRIES_MAX || self.bytes() + entry.bytes() > BYTES_MAX)
        {
            let least = self.entries.iter().min_by_key(|(_, entry)| entry.worth());
            let Some(question) = least.map(|(question, _)| question.clone()) else { break };
            self.entries.remove(&question);
        }
        self.entries.insert(question, entry);
    }

    fn bytes(&self) -> u64 {
        self.entries.values().map(Entry::bytes).sum()
    }
}

/// Removes a flight when its task ends for any reason.
struct Landing {
    cache: Cache,
    question: Catalogue,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let ended = self.cache.lock().flights.remove(&self.question);
        drop(ended);
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
