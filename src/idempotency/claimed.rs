//! A claim held by its call, which must end it: with an outcome, as lost, or by giving the key
//! back.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{Claim, Replays};
use crate::ledger::Phase;
use crate::store::Outage;

/// A claim held by its call, and part of the call's reservation once that exists. Dropped before
/// the call is sent, it is released: nothing was spent, and the key may be used again. Once the
/// call may have been sent, the claim ends with the call's outcome. If there never is one (a panic,
/// a killed process), it ends as lost, and the call is never made again with this key.
pub struct Claimed {
    claim: Option<Claim>,
    longest: Duration,
    replays: Replays,
}

impl Claimed {
    /// A claim for a call that takes at most `longest` once it was sent. It exists before the store
    /// is asked, so that it is released if the caller leaves meanwhile.
    pub(super) const fn new(claim: Claim, longest: Duration, replays: Replays) -> Self {
        Self { claim: Some(claim), longest, replays }
    }

    /// Notes in the store that the call is about to be sent, with its reservation. `false`: it must
    /// not be sent.
    ///
    /// # Errors
    /// The store did not answer, so the call must not be sent.
    pub async fn sent(&self) -> Result<bool, Outage> {
        match &self.claim {
            Some(claim) => self.replays.sent(claim, self.longest).await,
            None => Ok(false),
        }
    }

    /// Takes the claim out, to end it with the call's outcome.
    #[must_use]
    pub fn ended(mut self) -> Option<Claim> {
        self.claim.take()
    }

    /// Ends the claim of a call that was dropped in this phase, without a known outcome.
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

    /// Drops the claim without releasing the key, which belongs to another call.
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
