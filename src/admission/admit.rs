//! Prices a call, reserves the most it can cost, passes it on, and settles what it did cost.
//!
//! Reads: the body's members that decide the price, the limits of the team, the user and the key.
//! Writes: the ledger, the record's charge, the cost headers, the stored outcome of the call.
//! Refuses: `invalid_body`, `budget_exhausted`, `rate_limited`, `quota_exhausted`,
//! `too_many_concurrent`, `ledger_unavailable`, `overloaded` (no room for its answer). Position:
//! below everything that may refuse the request for what it is, above everything that costs money.
//! Once it was sent, the call runs to its end, whether or not its caller stays.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tower::Service;

use super::admitted::{Admitted, Forwarded};
use super::at_hand::AtHand;
use super::latest::Latest;
use super::reservation::{Charged, Reservation};
use super::reservation_manager::ReservationManager;
use super::run_to_completion::RunToCompletion;
use super::undelivered::Undelivered;
use super::{build_admission, into_refusal, response_headers, settle};
use crate::call::{ExecutionOutcome, PaidCall, UpstreamResponse};
use crate::credits::Credits;
use crate::http::{Answer, Release};
use crate::idempotency::{self, Ended, NewCall, Replays};
use crate::ledger::{ExtrapolatedLimits, Level, Outcome, Phase, Verdict};
use crate::refusal::Refusal;
use crate::request::{Buffer, Stage};
use crate::step::{Below, Step, Under};
use crate::team::LimitKind;

/// The layer that admits calls and settles them.
pub struct Admit<W> {
    manager: Arc<ReservationManager>,
    latest: Latest,
    undelivered: Undelivered,
    buffer: Buffer,
    replays: Replays,
    access: W,
}

impl<S, W> Step<NewCall, S> for Admit<W>
where
    S: Under<Admitted<W::Connection>, Forwarded, Infallible>,
    W: AtHand,
{
    type HandsOn = Admitted<W::Connection>;
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn take(self: &Arc<Self>, new: NewCall, below: Below<'_, S>) -> Self::Future {
        let with = Arc::clone(self);
        below.later(|below| async move {
            let mut span = new.call().record.enter(Stage::Admit);
            let reserved = with.reserve(new).await;
            let (admitted, limits) =
                reserved.inspect_err(|refusal| span.refused(|| refusal.kind()))?;
            span.end();
            let (manager, state) =
                (Arc::clone(&with.manager), admitted.reservation().state().clone());
            RunToCompletion::new(with.run(below, admitted, limits), manager, state).await
        })
    }
}

impl<W: AtHand> Admit<W> {
    /// Admits through this worker's ledger, keeps the latest limits, claims room for answers in
    /// this memory, stores outcomes, and checks with this access whether a call can be sent at
    /// once.
    #[must_use]
    pub const fn new(
        manager: Arc<ReservationManager>,
        latest: Latest,
        undelivered: Undelivered,
        buffer: Buffer,
        replays: Replays,
        access: W,
    ) -> Self {
        Self { manager, latest, undelivered, buffer, replays, access }
    }

    /// Reserves a call and returns the statuses of its limits. A call that can go out at once is
    /// reserved as dispatched, which spares the ledger a mark.
    async fn reserve(
        &self,
        new: NewCall,
    ) -> Result<(Admitted<W::Connection>, ExtrapolatedLimits), Refusal> {
        let Self { manager, latest, undelivered, buffer, access, .. } = self;
        let (call, claimed) = new.into_parts();
        // Before the reservation: an answer that has arrived cannot be refused for want of room.
        let answer_permit = buffer.claim(&call.team.id, &call.model)?;
        // A call with an idempotency key must also mark its claim before the first byte.
        let at_hand = if claimed.is_some() { None } else { access.at_hand() };
        let phase = if at_hand.is_some() { Phase::Dispatched } else { Phase::Waiting };
        let admission = build_admission::admission(&call, phase)?;
        let price = admission.price;
        match undelivered.judged(admission, |admission| manager.ledger().admit(admission)).await {
            Ok(Verdict::Admitted { statuses, at }) => {
                latest.note(&call.principal, &call.team, &statuses, at);
                for status in statuses.iter().filter(|status| status.shadow_refused) {
                    manager.observer().shadow_refused(&call.team.id, status);
                }
                let reservation = Reservation::new(manager, (call, claimed), phase, price);
                Ok((
                    Admitted::new(reservation, answer_permit, at_hand),
                    ExtrapolatedLimits::new(statuses, at),
                ))
            }
            Ok(Verdict::Refused { statuses, binding, retry_at, at }) => {
                latest.note(&call.principal, &call.team, &statuses, at);
                Err(into_refusal::refusal(statuses, binding, retry_at, at, price))
            }
            Err(outage) => {
                tracing::debug!(
                    request_id = %call.id,
                    call_id = %call.call_id,
                    %outage,
                    "a call could not be reserved"
                );
                Err(Refusal::LedgerUnavailable)
            }
        }
    }

    /// Runs the reserved call to its settlement, even without its caller.
    async fn run<S>(
        self: Arc<Self>,
        mut below: S,
        admitted: Admitted<W::Connection>,
        mut limits: ExtrapolatedLimits,
    ) -> Result<Answer, Refusal>
    where
        S: Service<Admitted<W::Connection>, Response = Forwarded, Error = Infallible>,
    {
        let Self { manager, latest, undelivered, replays, .. } = &*self;
        let at = limits.at();
        let forwarded = match below.call(admitted).await {
            Ok(forwarded) => forwarded,
            Err(never) => match never {},
        };
        let levels = forwarded.reservation.levels();
        let mut end = settle::end(&forwarded, manager.on_unknown(), limits.age());
        end.settlement.keeps_slots = !forwarded.reservation.caller_has_left()
            && is_read_later(&forwarded, undelivered, &levels);
        let outcome = end.settlement.outcome;
        let Forwarded { reservation, execution, answer, upstream_time: upstream, queued } =
            forwarded;
        let reserved = reservation.price();
        let span = reservation.call().record.enter(Stage::Settle);
        let Charged { call, state, cost, slots, claim } = reservation.settle(end).await;
        span.end();
        limits.settle(outcome, reserved, cost);
        if outcome == Outcome::Released {
            latest.forget(&call.principal);
        }
        limits.bring_up_to_now(&levels, &call.team.time_zone);
        let slots: Option<Box<dyn Release>> = match slots {
            Some(slots) => Some(Box::new(slots)),
            None => {
                let slots = undelivered.keep(&call.team.id, &levels);
                slots.map(|slots| Box::new(slots) as Box<dyn Release>)
            }
        };
        let answer = answered(&call, answer, (&limits, cost), [queued, upstream], slots);
        let executed = match execution {
            ExecutionOutcome::Delivered | ExecutionOutcome::Unknown => true,
            ExecutionOutcome::NotSent | ExecutionOutcome::Refused => false,
        };
        let ended = Ended {
            team: call.team.id.clone(),
            call: idempotency::Call { id: call.call_id, model: call.model.clone(), outcome },
            id: call.id.clone(),
            claim,
            executed,
            cost,
            at,
        };
        replays.ended(ended, state.caller_has_left(), answer).await
    }
}

/// The answer or refusal of a settled call, with headers for its cost, its limits and its times.
fn answered(
    call: &PaidCall,
    answer: Result<UpstreamResponse, Refusal>,
    (limits, cost): (&ExtrapolatedLimits, Credits),
    [queued, upstream]: [Duration; 2],
    slots: Option<Box<dyn Release>>,
) -> Result<Answer, Refusal> {
    let mut facts = call.record.facts();
    facts.charged = Some(cost);
    let own = call.at.elapsed().saturating_sub(facts.elsewhere());
    let headers = response_headers::headers(limits, cost, [own, queued, upstream]);
    match answer {
        Ok(passed) => {
            let answer = response_headers::passed_on(passed, headers);
            Ok(answer.map(|body| body.releasing(slots, call.transport)))
        }
        Err(refusal) => {
            facts.pending_headers = headers;
            Err(refusal)
        }
    }
}

/// Whether the answer keeps slots in the ledger: its caller may have no room for all of it, or has
/// unread answers already.
fn is_read_later(forwarded: &Forwarded, undelivered: &Undelivered, levels: &[Level]) -> bool {
    let Ok(passed) = &forwarded.answer else { return false };
    let call = forwarded.reservation.call();
    levels.iter().any(|level| level.limits.get(LimitKind::Concurrent).is_some())
        && (call.transport.may_hold_up(passed.body.len())
            || undelivered.waits(&call.team.id, levels))
}
