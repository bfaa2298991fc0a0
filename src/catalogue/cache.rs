//! The catalogue's answers, kept in memory: a bounded number, shared by all workers, each asked for once at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::HeaderValue;

use crate::refusal::Refusal;
use crate::request::route::Catalogue;

/// How many answers are kept. The price of more is memory; model ids are the caller's to choose, so there must be an end.
const ANSWERS_MAX: usize = 256;
/// How many questions are put to the upstream at once, for the same reason.
const FLIGHTS_MAX: usize = 64;

/// What the upstream said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// An answer: its body, and its content type.
    Found(Bytes, Option<HeaderValue>),
    /// There is no such thing.
    Unknown,
}

/// An answer of the upstream.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it said.
    pub page: Page,
    /// When it was fetched, by the clock's elapsed time.
    pub at: Duration,
}

/// A question on its way to the upstream; clones wait for the same answer.
pub type Flight = Shared<BoxFuture<'static, Result<Page, Refusal>>>;

/// The answers. Clones share them.
#[derive(Clone, Default)]
pub struct Cache(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    answers: HashMap<Catalogue, Kept>,
    flights: HashMap<Catalogue, Flight>,
}

impl Cache {
    /// The answer to a question, fresh or stale.
    #[must_use]
    pub fn get(&self, question: &Catalogue) -> Option<Kept> {
        self.lock().answers.get(question).cloned()
    }

    /// Keeps an answer; when there are too many, the oldest goes, and first those that only say that there is nothing.
    pub fn put(&self, question: Catalogue, kept: Kept) {
        let answers = &mut self.lock().answers;
        if answers.len() >= ANSWERS_MAX && !answers.contains_key(&question) {
            let oldest = answers.iter().min_by_key(|(_, kept)| (kept.page != Page::Unknown, kept.at));
            let oldest = oldest.map(|(question, _)| question.clone());
            oldest.map(|question| answers.remove(&question));
        }
        answers.insert(question, kept);
    }

    /// The flight of a question: the one under way, or a new one, which goes on whether somebody waits for it or not.
    ///
    /// # Errors
    /// `overloaded`: too many questions are under way.
    pub fn fly<F>(&self, question: Catalogue, fetch: F) -> Result<Flight, Refusal>
    where
        F: Future<Output = Result<Page, Refusal>> + Send + 'static,
    {
        let mut inside = self.lock();
        if let Some(flight) = inside.flights.get(&question) {
            return Ok(flight.clone());
        }
        if inside.flights.len() >= FLIGHTS_MAX {
            return Err(Refusal::Overloaded);
        }
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::team::ModelId;

    #[test]
    fn what_does_not_exist_goes_before_what_does() {
        let cache = Cache::default();
        let found = Page::Found(Bytes::from_static(b"{}"), None);
        cache.put(Catalogue::Models, Kept { page: found, at: Duration::ZERO });
        for number in 0..ANSWERS_MAX * 2 {
            let model = ModelId::parse(&format!("no/{number}")).expect("a model id");
            cache.put(Catalogue::ModelConfig(model), Kept { page: Page::Unknown, at: Duration::from_secs(1) });
        }
        assert!(cache.get(&Catalogue::Models).is_some());
        assert_eq!(cache.lock().answers.len(), ANSWERS_MAX);
    }

    #[tokio::test]
    async fn a_question_under_way_is_not_asked_again_and_a_later_one_is() {
        let (cache, asked) = (Cache::default(), Arc::new(AtomicUsize::new(0)));
        let fetch = || {
            let asked = Arc::clone(&asked);
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                Err(Refusal::UpstreamBroken)
            }
        };
        let flights = [(); 3].map(|()| cache.fly(Catalogue::Models, fetch()).expect("a flight"));
        for flight in flights {
            assert_eq!(flight.await, Err(Refusal::UpstreamBroken));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        cache.fly(Catalogue::Models, fetch()).expect("a flight").await.expect_err("broken again");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
