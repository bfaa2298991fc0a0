//! Slots that the ledger keeps for an answer while that is being read: over all replicas, who does not read has no more
//! calls than who does.
//!
//! They are kept with the settlement where the answer may not be gone at once, and freed by an operation of their own:
//! a small answer over HTTP/1 costs no further one. Should this replica die, the ledger frees them when nobody puts off
//! their deadline any more.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::open::Listed;
use crate::http::Kept;
use crate::ledger::Ledger;
use crate::team::TeamId;

/// The slots of one answer: freed before the last of its bytes is handed over, so that whoever has read it finds them
/// free on every replica; or when it is dropped.
pub struct KeptSlots {
    held: Option<SlotHolder>,
    freeing: Option<JoinHandle<()>>,
}

/// What frees them.
pub(super) struct SlotHolder {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) team: TeamId,
    /// Their deadline is put off for as long as they are held.
    pub(super) listed: Listed,
    /// The drain waits for what frees them.
    pub(super) tracker: TaskTracker,
}

impl KeptSlots {
    pub(super) const fn new(held: SlotHolder) -> Self {
        Self { held: Some(held), freeing: None }
    }
}

impl SlotHolder {
    /// Begins to free them. `None`: it is done, or the process is ending.
    fn free(self) -> Option<JoinHandle<()>> {
        let runtime = Handle::try_current().ok()?;
        let Self { ledger, team, listed, tracker } = self;
        let mut freeing = async move {
            if let Err(outage) = ledger.release_slots(&team, listed.id()).await {
                // Their deadline is no longer put off: the sweep frees them.
                tracing::debug!(%outage, call_id = %listed.id(), "the slots of an answer are left to the sweep");
            }
        }
        .boxed();
        // Asked now, and not when a task has its turn: who comes next through this process stands behind it.
        if (&mut freeing).now_or_never().is_some() {
            return None;
        }
        Some(tracker.spawn_on(freeing, &runtime))
    }
}

impl Kept for KeptSlots {
    fn poll_given_back(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(held) = self.held.take() {
            self.freeing = held.free();
        }
        // A task that was ended has nothing to say, and is not waited for.
        self.freeing.as_mut().map_or(Poll::Ready(()), |freeing| Pin::new(freeing).poll(cx).map(drop))
    }
}

impl Drop for KeptSlots {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            drop(held.free());
        }
    }
}

impl fmt::Debug for KeptSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.held.as_ref().map(|held| held.listed.id());
        f.debug_tuple("KeptSlots").field(&id).finish()
    }
}
