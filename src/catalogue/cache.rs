//! The catalogue's answers, kept in memory: a bounded number, shared by all workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::request::route::Catalogue;

/// How many answers are kept. The price of more is memory; model ids are the caller's to choose, so there must be an end.
const ANSWERS_MAX: usize = 256;

/// An answer of the upstream.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its body.
    pub body: Bytes,
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// When it was fetched, by the clock's elapsed time.
    pub at: Duration,
}

/// The answers. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Cache(Arc<Mutex<HashMap<Catalogue, Kept>>>);

impl Cache {
    /// The answer to a question, fresh or stale.
    #[must_use]
    pub fn get(&self, question: &Catalogue) -> Option<Kept> {
        self.lock().get(question).cloned()
    }

    /// Keeps an answer; when there are too many, the oldest goes.
    pub fn put(&self, question: Catalogue, kept: Kept) {
        let mut answers = self.lock();
        if answers.len() >= ANSWERS_MAX && !answers.contains_key(&question) {
            let oldest = answers.iter().min_by_key(|(_, kept)| kept.at).map(|(question, _)| question.clone());
            oldest.map(|question| answers.remove(&question));
        }
        answers.insert(question, kept);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Catalogue, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
