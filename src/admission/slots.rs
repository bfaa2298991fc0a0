//! Slots that the ledger keeps for an answer that is being read, so that a caller who does not read
//! has no more calls than one who does, over all replicas.
//!
//! The settlement keeps them where the answer may not be sent at once, and an operation of their
//! own frees them; a small answer over HTTP/1 needs none. If this replica dies, the ledger frees
//! them at their deadline.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::ReservationManager;
use super::open::Listed;
use crate::http::Release;

/// The slots of one answer. Freed before its last byte is handed over, so that a caller who has
/// read it finds them free on every replica; or when dropped.
pub struct AnswerSlots {
    manager: Arc<ReservationManager>,
    /// Keeps their deadline put off.
    listed: Option<Listed>,
    freeing: Option<JoinHandle<()>>,
}

impl AnswerSlots {
    pub(super) const fn new(manager: Arc<ReservationManager>, listed: Listed) -> Self {
        Self { manager, listed: Some(listed), freeing: None }
    }

    /// Begins to free them, once. `None`: they are free, or the process is ending.
    fn free(&mut self) -> Option<JoinHandle<()>> {
        let listed = self.listed.take()?;
        let runtime = Handle::try_current().ok()?;
        let ledger = Arc::clone(self.manager.ledger());
        let mut freeing = async move {
            if let Err(outage) = ledger.release_slots(listed.team(), listed.id()).await {
                // The deadline is no longer put off, so the sweep frees them.
                tracing::debug!(
                    %outage,
                    call_id = %listed.id(),
                    "the slots of an answer are left to the sweep"
                );
            }
        }
        .boxed();
        // Polled here and not in a task, so that the caller's next call through this process is
        // queued behind it.
        if (&mut freeing).now_or_never().is_some() {
            return None;
        }
        // The drain waits for it.
        Some(self.manager.tracker().spawn_on(freeing, &runtime))
    }
}

impl Release for AnswerSlots {
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.listed.is_some() {
            self.freeing = self.free();
        }
        // A task that was ended is not waited for.
        self.freeing
            .as_mut()
            .map_or(Poll::Ready(()), |freeing| Pin::new(freeing).poll(cx).map(drop))
    }
}

impl Drop for AnswerSlots {
    fn drop(&mut self) {
        drop(self.free());
    }
}

impl fmt::Debug for AnswerSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.listed.as_ref().map(Listed::id);
        f.debug_tuple("AnswerSlots").field(&id).finish()
    }
}
