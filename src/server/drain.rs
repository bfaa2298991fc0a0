//! How the server stops: first it says so, then it takes no new work, then it waits for what is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::request::check_request::Draining;

/// The stages of stopping, shared by all workers. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    leaving: Arc<AtomicBool>,
    /// Set when new requests are to be refused.
    pub refusing: Draining,
    /// Cancelled when open connections are to be closed as soon as they are idle.
    pub closing: CancellationToken,
    /// Cancelled when nobody is to be accepted any more.
    pub ended: CancellationToken,
    /// The connections that were open when the drain began, and the calls whose callers have left.
    pub open: TaskTracker,
}

impl Drain {
    /// Stage one: answers carry `Connection: close`, so that callers find another replica. Everything is still served.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Stage two: new requests are refused, open ones are finished, idle connections are closed.
    pub fn refuse(&self) {
        self.refusing.begin();
        self.closing.cancel();
        self.open.close();
    }

    /// Stage three: the sockets are closed.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Whether callers are being sent away.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }
}
