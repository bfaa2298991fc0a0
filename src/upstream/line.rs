//! A connection to the upstream that is held for one call: the call is sent over it, or it goes back as it was.

use std::sync::Arc;

use super::origin::Origin;
use super::pool::{Found, Pool};

/// A connection that takes a request, held for one call. Dropped unused, it is the next call's.
pub struct Line {
    /// Until the call is sent, or gives it back.
    found: Option<Found>,
    origin: Arc<Origin>,
    pool: Arc<Pool>,
}

impl Line {
    pub(super) const fn new(found: Found, origin: Arc<Origin>, pool: Arc<Pool>) -> Self {
        Self { found: Some(found), origin, pool }
    }

    /// Whether it leads there, and still takes a request at once.
    #[must_use]
    pub fn is_ready(&self, origin: &Arc<Origin>) -> bool {
        let is_open = || self.found.as_ref().is_some_and(|found| found.connection.is_ready());
        Arc::ptr_eq(&self.origin, origin) && is_open()
    }

    /// A call is sent over it now.
    pub(super) fn use_up(mut self) -> Option<(Found, Arc<Origin>)> {
        Some((self.found.take()?, Arc::clone(&self.origin)))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(found) = self.found.take() {
            self.pool.give_back(&self.origin, found);
        }
    }
}
