//! How the server stops: first it says so, then it takes no new work, then it waits for what is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The stages of stopping, shared by all workers. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Cancelled when callers are to be sent away.
    pub leaving: CancellationToken,
    /// Cancelled when open connections are to be closed as soon as they are idle, and what comes on new ones is
    /// refused.
    pub closing: CancellationToken,
    /// Cancelled when nobody is to be accepted any more, and connections that are still open are cut off.
    pub ended: CancellationToken,
    /// The connections that were open when the drain began, and the calls whose callers have left.
    pub open: TaskTracker,
    /// That callers are to be sent away, for every answer to look at: a token is behind a lock that all workers share.
    is_leaving: Arc<AtomicBool>,
}

impl Drain {
    /// Stage one: answers carry `Connection: close`, and HTTP/2 connections are told GOAWAY in two steps (RFC 9113,
    /// 6.8), so that callers find another replica without losing a call. Everything is still served.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        self.leaving.cancel();
    }

    /// Stage two: connections accepted from now on are refused; those that are open are served to their end, and closed
    /// when they are idle.
    pub fn refuse(&self) {
        self.leave();
        self.closing.cancel();
        self.open.close();
    }

    /// Stage three: the sockets are closed, and what is still open is cut off.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Whether callers are being sent away.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Whether a connection accepted now is refused.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.closing.is_cancelled()
    }
}
