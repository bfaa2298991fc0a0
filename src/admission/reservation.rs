//! One call's money as one value, from the ledger's admission to the settlement. It is settled
//! once, or hands its end over when dropped; it is never lost.

use std::sync::Arc;

use super::ReservationManager;
use super::call_state::CallState;
use super::open::Listed;
use super::reservation_manager::{End, Unwritten};
use super::slots::AnswerSlots;
use crate::call::PaidCall;
use crate::credits::Credits;
use crate::idempotency::{Claim, Claimed};
use crate::ledger::{CallResult, Level, OnUnknown, Outage, Outcome, Phase, Settlement};
use crate::pricing::Delivered;
use crate::refusal::Refusal;

/// A running call and the money that it holds. Only admission makes it, after the ledger has
/// reserved. Not `Clone`: its one owner reports the phase and settles. Dropped before that, it is
/// ended by its phase.
pub struct Reservation {
    manager: Arc<ReservationManager>,
    /// Shared with the attempts to send it.
    call: Arc<PaidCall>,
    price: Credits,
    /// Keeps the deadline put off for as long as it lives; `None`: settled.
    listed: Option<Listed>,
    /// Shared with the part that waits for the call.
    state: CallState,
    /// The claim on the call's idempotency key.
    claimed: Option<Claimed>,
}

/// The rest of a settled reservation.
pub(super) struct Charged {
    pub(super) call: Arc<PaidCall>,
    pub(super) state: CallState,
    /// What the call cost.
    pub(super) cost: Credits,
    /// The slots that its answer keeps in the ledger.
    pub(super) slots: Option<AnswerSlots>,
    /// The claim that ends with the outcome.
    pub(super) claim: Option<Claim>,
}

impl Reservation {
    /// The reservation of a call that the ledger has just admitted in this phase.
    pub(super) fn new(
        manager: &Arc<ReservationManager>,
        (call, claimed): (PaidCall, Option<Claimed>),
        phase: Phase,
        price: Credits,
    ) -> Self {
        let listed = Some(manager.list(call.call_id, call.team.id.clone()));
        let (manager, call, state) = (Arc::clone(manager), Arc::new(call), CallState::new(phase));
        Self { manager, call, price, listed, state, claimed }
    }

    /// The call.
    #[must_use]
    pub const fn call(&self) -> &Arc<PaidCall> {
        &self.call
    }

    /// The most it can cost.
    #[must_use]
    pub const fn price(&self) -> Credits {
        self.price
    }

    /// The levels whose limits hold it.
    pub(super) fn levels(&self) -> Vec<Level> {
        self.call.principal.levels(&self.call.team)
    }

    pub(super) const fn state(&self) -> &CallState {
        &self.state
    }

    /// The call's phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Whether the caller has left, so that the call is not worth waiting for.
    #[must_use]
    pub fn caller_has_left(&self) -> bool {
        self.state.caller_has_left()
    }

    /// Marks the call as dispatched in the ledger, and its claim as sent, just before the first
    /// byte. From here on the call runs to its end.
    ///
    /// # Errors
    /// `ledger_unavailable`: the ledger did not answer, or the reservation has ended. The call must
    /// not be sent.
    pub async fn dispatch(&self) -> Result<(), Refusal> {
        let ledger = self.manager.ledger();
        let (dispatched, sent) =
            tokio::join!(ledger.dispatch(&self.call.team.id, self.call.call_id), self.claim_sent());
        self.noted(Phase::Dispatched, dispatched)?;
        self.noted(Phase::Dispatched, sent)?;
        self.state.reached(Phase::Dispatched);
        Ok(())
    }

    /// Takes the mark back in the ledger: not a byte was sent, and the call waits for another
    /// connection. If this replica dies now, the call costs no credits; if the caller leaves,
    /// nothing at all.
    ///
    /// # Errors
    /// As for [`Reservation::dispatch`].
    pub async fn recall_unsent(&self) -> Result<(), Refusal> {
        self.recall(Phase::Waiting).await
    }

    /// Marks the call as turned back in the ledger: the upstream did not execute it. If this
    /// replica dies now, or the caller leaves, it costs no credits.
    ///
    /// # Errors
    /// As for [`Reservation::dispatch`].
    pub async fn recall_turned_back(&self) -> Result<(), Refusal> {
        self.recall(Phase::TurnedBack).await
    }

    async fn recall(&self, phase: Phase) -> Result<(), Refusal> {
        self.state.reached(phase);
        let ledger = self.manager.ledger();
        self.noted(phase, ledger.recall(&self.call.team.id, self.call.call_id).await)
    }

    async fn claim_sent(&self) -> Result<bool, Outage> {
        match &self.claimed {
            Some(claimed) => claimed.sent().await,
            None => Ok(true),
        }
    }

    fn noted(&self, phase: Phase, response: Result<bool, Outage>) -> Result<(), Refusal> {
        let call_id = self.call.call_id;
        match response {
            Ok(true) => return Ok(()),
            Ok(false) => {
                tracing::warn!(
                    %call_id,
                    ?phase,
                    "a call was not sent: its reservation, or the claim of its Idempotency-Key, \
                     was ended while it waited"
                )
            }
            Err(outage) => {
                tracing::debug!(
                    %call_id,
                    ?phase,
                    %outage,
                    "a call's phase could not be written to the ledger"
                )
            }
        }
        Err(Refusal::LedgerUnavailable)
    }

    /// Frees the memory of the body, which is not sent any more, before the settlement.
    pub(super) fn let_go_of_body(&mut self) {
        // No attempt shares the call any more.
        if let Some(call) = Arc::get_mut(&mut self.call) {
            call.let_go_of_body();
        }
    }

    /// Settles the call. A settlement that the store does not take waits until it does.
    pub(super) async fn settle(mut self, mut end: End) -> Charged {
        let (call, meant) = (Arc::clone(&self.call), end.settlement.charged);
        let (team, label) = (&call.team.id, call.model_label());
        let (cost, slots) = match self.manager.ledger().settle(team, end.settlement.clone()).await {
            Ok(settled) => {
                let charged = self.manager.report(team, label, &end, settled).await;
                // A sweep came first, without knowing the outcome.
                let cost = charged.unwrap_or_else(|| self.cost_unknown());
                let listed = self.listed.take().filter(|_| end.settlement.keeps_slots);
                (cost, listed.map(|listed| AnswerSlots::new(Arc::clone(&self.manager), listed)))
            }
            Err(outage) => {
                tracing::debug!(
                    %outage,
                    call_id = %end.settlement.id,
                    "a settlement waits for the ledger"
                );
                // Until it is settled the reservation keeps its slots, and by then the answer has
                // most likely been read.
                end.settlement.keeps_slots = false;
                let listed = self.listed.take();
                let (team, model_label) = (team.clone(), label.into());
                let later = Unwritten { team, model_label, end, listed };
                self.listed = self.manager.write_later(later);
                (meant, None)
            }
        };
        let claim = self.claimed.take().and_then(Claimed::ended);
        Charged { state: self.state.clone(), call, cost, slots, claim }
    }

    /// The charge of a call with an unknown outcome.
    fn cost_unknown(&self) -> Credits {
        match self.manager.on_unknown() {
            OnUnknown::Charge => self.price,
            OnUnknown::Release => Credits::ZERO,
        }
    }
}

impl Drop for Reservation {
    /// Does no I/O: hands the end to the task that settles orphans.
    fn drop(&mut self) {
        let phase = self.state.phase();
        if let Some(claimed) = self.claimed.take() {
            claimed.left_behind(phase);
        }
        if self.listed.take().is_none() {
            return;
        }
        let (outcome, charged) = match phase {
            Phase::Waiting => (Outcome::Released, Credits::ZERO),
            Phase::TurnedBack => (Outcome::Refused, Credits::ZERO),
            Phase::Dispatched => (Outcome::Unknown, self.cost_unknown()),
        };
        let (id, result) = (self.call.call_id, CallResult::default());
        let settlement = Settlement { id, outcome, charged, result, keeps_slots: false };
        self.manager.orphaned(Unwritten {
            team: self.call.team.id.clone(),
            model_label: self.call.model_label().into(),
            end: End { settlement, delivered: Delivered::default() },
            listed: None,
        });
    }
}

#[cfg(test)]
#[path = "reservation_tests.rs"]
mod tests;
