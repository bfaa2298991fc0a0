//! A connection to the upstream that is reserved for one call, and goes back unused if the call is
//! not sent.

use std::sync::Arc;

use super::origin::Origin;
use super::pool::{Found, Pool};

/// A connection reserved for one call. If it is dropped unused, the next call gets it.
pub struct ReservedConnection {
    /// Set until the call is sent, or gives it back.
    found: Option<Found>,
    origin: Arc<Origin>,
    pool: Arc<Pool>,
}

impl ReservedConnection {
    pub(super) const fn new(found: Found, origin: Arc<Origin>, pool: Arc<Pool>) -> Self {
        Self { found: Some(found), origin, pool }
    }

    /// Whether it leads to this origin and can take a request at once.
    #[must_use]
    pub fn is_ready(&self, origin: &Arc<Origin>) -> bool {
        let is_open = || self.found.as_ref().is_some_and(|found| found.connection.is_ready());
        Arc::ptr_eq(&self.origin, origin) && is_open()
    }

    /// Takes the connection to send the call.
    pub(super) fn use_up(mut self) -> Option<(Found, Arc<Origin>)> {
        Some((self.found.take()?, Arc::clone(&self.origin)))
    }
}

impl Drop for ReservedConnection {
    fn drop(&mut self) {
        if let Some(found) = self.found.take() {
            self.pool.give_back(&self.origin, found);
        }
    }
}
