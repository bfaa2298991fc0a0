//! How far an admitted call has come: told to the ledger first, and then known to whoever must decide what its end
//! means.

use std::sync::Arc;

use super::run_to_completion::Caller;
use crate::idempotency::Departure;
use crate::ledger::reservation::Progress;
use crate::ledger::{Ledger, Outage, Phase, ReservationId};
use crate::refusal::Refusal;
use crate::team::TeamId;

/// The way of one reserved call to the upstream and, when it is turned back, to it again.
pub struct Passage {
    ledger: Arc<dyn Ledger>,
    team: TeamId,
    id: ReservationId,
    progress: Progress,
    caller: Caller,
    /// The claim on the call's idempotency key.
    claim: Option<Departure>,
}

impl Passage {
    pub(super) fn new(
        ledger: Arc<dyn Ledger>,
        team: TeamId,
        id: ReservationId,
        progress: Progress,
        caller: Caller,
        claim: Option<Departure>,
    ) -> Self {
        Self { ledger, team, id, progress, caller, claim }
    }

    /// How far the call is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.progress.phase()
    }

    /// Whether nobody waits for the call any more: then it is not worth waiting for.
    #[must_use]
    pub fn caller_has_left(&self) -> bool {
        self.caller.has_left()
    }

    /// Tells the ledger that the first byte is about to be sent, and whoever may ask for the call under its idempotency
    /// key. From here on the call runs to its end.
    ///
    /// # Errors
    /// `ledger_unavailable`: the ledger did not answer, or the reservation was ended meanwhile. The call must not be sent.
    pub async fn dispatch(&self) -> Result<(), Refusal> {
        let (dispatched, sent) = tokio::join!(self.ledger.dispatch(&self.team, self.id), self.claim_sent());
        self.told(Phase::Dispatched, dispatched)?;
        self.told(Phase::Dispatched, sent)?;
        self.progress.reached(Phase::Dispatched);
        Ok(())
    }

    /// Tells the ledger that not a byte of the call went out after all, and that it waits for another connection:
    /// should this replica die now, it costs no credits; should the caller leave, nothing at all.
    ///
    /// # Errors
    /// As above.
    pub async fn wait_unsent(&self) -> Result<(), Refusal> {
        self.progress.reached(Phase::Waiting);
        self.told(Phase::Waiting, self.ledger.recall(&self.team, self.id).await)
    }

    /// Tells the ledger that the upstream turned the call back and did nothing with it: should this replica die now, or
    /// the caller leave, the call costs nothing.
    ///
    /// # Errors
    /// As above.
    pub async fn wait_again(&self) -> Result<(), Refusal> {
        self.progress.reached(Phase::TurnedBack);
        self.told(Phase::TurnedBack, self.ledger.recall(&self.team, self.id).await)
    }

    async fn claim_sent(&self) -> Result<bool, Outage> {
        match &self.claim {
            Some(claim) => claim.sent().await,
            None => Ok(true),
        }
    }

    fn told(&self, phase: Phase, told: Result<bool, Outage>) -> Result<(), Refusal> {
        match told {
            Ok(true) => return Ok(()),
            Ok(false) => {
                tracing::warn!(call_id = %self.id, ?phase, "a call was not sent: its reservation, or the claim of its Idempotency-Key, was ended while it waited")
            }
            Err(outage) => tracing::debug!(call_id = %self.id, ?phase, %outage, "a call's phase could not be told"),
        }
        Err(Refusal::LedgerUnavailable)
    }
}
