//! Drain in three stages: announce it, refuse new work, wait for what is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Stages of the drain, shared by all workers. Clones share state.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Cancelled when callers are to leave.
    pub leaving: CancellationToken,
    /// Cancelled when open connections close as soon as they are idle, and requests on new ones are
    /// refused.
    pub closing: CancellationToken,
    /// Cancelled when no connection is accepted any more and open ones are cut off.
    pub ended: CancellationToken,
    /// Connections that were open when the drain began, and calls whose callers have left.
    pub open: TaskTracker,
    /// Copy of `leaving`, read for every answer: a token is behind a lock that all workers share.
    is_leaving: Arc<AtomicBool>,
}

impl Drain {
    /// Stage one: answers carry `Connection: close` and HTTP/2 connections get GOAWAY in two steps
    /// (RFC 9113, 6.8), so that callers move to another replica without losing a call. Everything
    /// is still served.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        self.leaving.cancel();
    }

    /// Stage two: refuses connections accepted from now on. Open ones are served to their end and
    /// closed when idle.
    pub fn refuse(&self) {
        self.leave();
        self.closing.cancel();
        self.open.close();
    }

    /// Stage three: closes the listening sockets and cuts off open connections.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Whether callers are to leave.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Whether new connections are refused.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.closing.is_cancelled()
    }
}
