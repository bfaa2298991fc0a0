//! A claim in the hands of its call: the right, and the duty, to make the call that an idempotency
//! key stands for.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{Claim, Replays};
use crate::ledger::Phase;
use crate::store::Outage;

/// A claim in the hands of the call that makes it: once that is paid for, a part of its money.
/// Dropped, it is released: nothing was spent, and the key may be used again. Once the call may
/// have been sent, the claim ends with the call's outcome or, should there never be one (a panic, a
/// process that is killed), as lost: nobody makes the call again under its key.
pub struct Claimed {
    claim: Option<Claim>,
    longest: Duration,
    replays: Replays,
}

impl Claimed {
    /// A claim for a call that takes at most so long once it was sent. It is released when dropped,
    /// so it exists before the store is asked: a caller may leave meanwhile.
    pub(super) const fn new(claim: Claim, longest: Duration, replays: Replays) -> Self {
        Self { claim: Some(claim), longest, replays }
    }

    /// Tells the store that the call is about to be sent, paid for by its reservation. `false`: it
    /// must not be sent.
    ///
    /// # Errors
    /// The store did not answer: the call must not be sent either.
    pub async fn sent(&self) -> Result<bool, Outage> {
        match &self.claim {
            Some(claim) => self.replays.sent(claim, self.longest).await,
            None => Ok(false),
        }
    }

    /// The call has ended, and its claim ends with its outcome.
    #[must_use]
    pub fn ended(mut self) -> Option<Claim> {
        self.claim.take()
    }

    /// The call was dropped when it was that far: nobody knows its outcome, if it has one.
    pub fn left_behind(mut self, phase: Phase) {
        match phase {
            Phase::Waiting | Phase::TurnedBack => {}
            Phase::Dispatched => {
                // Outside a runtime the process is ending, and the claim ends with its reservation.
                if let Some((claim, runtime)) = self.claim.take().zip(Handle::try_current().ok()) {
                    self.replays.mark_lost(claim, &runtime);
                }
            }
        }
    }

    /// The claim.
    pub(super) const fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// The key turned out to be somebody else's: there is nothing to release.
    pub(super) fn not_ours(mut self) {
        self.claim = None;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let Some(claim) = self.claim.take() else { return };
        // Outside a runtime the process is ending: the claim ends with its own time.
        if let Ok(runtime) = Handle::try_current() {
            self.replays.release(claim, &runtime);
        }
    }
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claimed").field(&self.claim).finish()
    }
}
