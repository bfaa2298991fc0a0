//! The catalogue's answers, kept in memory: a bounded number of a bounded size, shared by all workers, each asked for
//! once at a time, and not at once again when that failed.

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

/// How many questions are remembered. The price of more is memory; model ids are the caller's to choose, so there must
/// be an end.
const ENTRIES_MAX: usize = 1024;
/// How many bytes of answers are kept, for the same reason; one answer of the largest size that is kept always fits.
const BYTES_MAX: u64 = 64 << 20;
/// How many questions are put to the upstream at once, for the same reason.
const FLIGHTS_MAX: usize = 64;
/// How long it is remembered that there is no such thing.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// How long after it was asked a question is not put to the upstream again.
const PAUSE: Duration = Duration::from_secs(1);

/// An answer of the upstream.
#[derive(Clone, Debug)]
pub struct CachedPage {
    /// What it said.
    pub page: Page,
    /// When it was fetched, by the clock's elapsed time.
    pub at: Duration,
}

/// What is remembered of a question.
#[derive(Debug)]
pub enum Recalled {
    /// Its answer, fresh or stale.
    Kept(CachedPage),
    /// It was asked a moment ago, and that failed.
    Failed(Refusal),
    /// Nothing.
    Nothing,
}

/// A question on its way to the upstream; clones wait for the same answer.
pub type Flight = Shared<BoxFuture<'static, Result<CachedPage, Refusal>>>;

/// The answers. Clones share them.
#[derive(Clone, Default)]
pub struct Cache(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    entries: HashMap<Catalogue, Entry>,
    flights: HashMap<Catalogue, Flight>,
    /// The ids in the list of models, read once when it came.
    listed: Option<Arc<HashSet<ModelId>>>,
}

/// What is remembered of one question.
#[derive(Default)]
struct Entry {
    kept: Option<CachedPage>,
    /// Why there was no answer the last time.
    failed: Option<Refusal>,
    /// When it was asked the last time.
    tried: Duration,
}

impl Entry {
    fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.page.bytes())
    }

    /// The least comes first when there is no room: what holds no page, then what is oldest.
    fn worth(&self) -> (bool, Duration) {
        (matches!(&self.kept, Some(CachedPage { page: Page::Found(_), .. })), self.tried)
    }
}

impl Cache {
    /// What is remembered of a question.
    #[must_use]
    pub fn recall(&self, question: &Catalogue, now: Duration) -> Recalled {
        let inside = self.lock();
        let Some(entry) = inside.entries.get(question) else { return Recalled::Nothing };
        let lasts = |kept: &&CachedPage| kept.page != Page::Unknown || now.saturating_sub(kept.at) < UNKNOWN_FOR;
        if let Some(kept) = entry.kept.as_ref().filter(lasts) {
            return Recalled::Kept(kept.clone());
        }
        let failed = entry.failed.clone().filter(|_| now.saturating_sub(entry.tried) < PAUSE);
        failed.map_or(Recalled::Nothing, Recalled::Failed)
    }

    /// The ids in the list of models; `None` when there is no list, or none can be found in it.
    #[must_use]
    pub fn listed(&self) -> Option<Arc<HashSet<ModelId>>> {
        self.lock().listed.clone()
    }

    /// Whether a question may be put to the upstream again.
    #[must_use]
    pub fn may_ask_again(&self, question: &Catalogue, now: Duration) -> bool {
        self.lock().entries.get(question).is_none_or(|entry| now.saturating_sub(entry.tried) >= PAUSE)
    }

    /// Keeps an answer; `fields` says how the list of models is read.
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

    /// Notes that a question was not answered; what was kept of it stays.
    pub fn failed(&self, question: &Catalogue, why: Refusal, now: Duration) {
        let mut inside = self.lock();
        let kept = inside.entries.remove(question).and_then(|entry| entry.kept);
        inside.insert(question.clone(), Entry { kept, failed: Some(why), tried: now });
    }

    /// The flight of a question: the one under way, or a new one, which goes on whether somebody waits for it or not.
    ///
    /// # Errors
    /// `overloaded`: too many questions are under way; or what `may_begin` says to a new one.
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

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
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

/// Ends a flight when its task ends, however it ends.
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
