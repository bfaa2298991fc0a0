//! Prices a call, reserves the most it can cost, lets it go, and settles what it did cost.
//!
//! Reads: the body's members that decide the price, the limits of the team, the user and the key. Writes: the ledger,
//! the record's charge, the cost headers, what is remembered of the call. Refuses: `invalid_body`, `budget_exhausted`,
//! `rate_limited`, `quota_exhausted`, `too_many_concurrent`, `ledger_unavailable`, `overloaded` (no room for its
//! answer). Position: below everything that may still refuse the request for what it is, above everything that costs
//! money. Once it was sent, the call runs to its end, whether its caller stays or not.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::at_hand::AtHand;
use super::latest::Latest;
use super::passage::Passage;
use super::reservation_manager::ReservationManager;
use super::run_to_completion::{Caller, RunToCompletion};
use super::undelivered::Undelivered;
use super::{build_admission, into_refusal, response_headers, settle};
use crate::call::{ExecutionOutcome, Forwarded, PaidCall};
use crate::http::{Answer, Kept, Transport};
use crate::idempotency::{self, Claimed, Ended, NewCall, Replays};
use crate::ledger::{Level, Outcome, Phase, Reservation, Snapshot, Verdict};
use crate::refusal::Refusal;
use crate::request::{Buffer, Room};
use crate::team::{LimitKind, TeamId};

/// A call that was paid for: only admission makes it, so nothing else can reach the upstream.
pub struct Admitted<L> {
    call: PaidCall,
    passage: Passage,
    room: Arc<Room>,
    at_hand: Option<L>,
}

impl<L> Admitted<L> {
    /// The connection that is held for it: it was reserved as sent, and is to be sent over it at once. `None`: it
    /// waits.
    #[must_use]
    pub const fn take_at_hand(&mut self) -> Option<L> {
        self.at_hand.take()
    }

    /// The call.
    #[must_use]
    pub const fn call(&self) -> &PaidCall {
        &self.call
    }

    /// How far it is, and whom to tell.
    #[must_use]
    pub const fn passage(&self) -> &Passage {
        &self.passage
    }

    /// Room for its answer.
    #[must_use]
    pub const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The model as a metric label.
    #[must_use]
    pub fn model_label(&self) -> &str {
        self.call.team.prices.label(&self.call.model)
    }
}

/// Makes [`Admit`].
#[derive(Clone)]
pub struct AdmitLayer<W> {
    keeper: Arc<ReservationManager>,
    latest: Latest,
    undelivered: Undelivered,
    buffer: Buffer,
    replays: Replays,
    ways: W,
}

impl<W> AdmitLayer<W> {
    /// A layer that admits through this worker's ledger, notes what that says of limits, has room for answers in this
    /// memory, remembers what was answered, and sees by these ways whether a call can be sent at once.
    #[must_use]
    pub const fn new(
        keeper: Arc<ReservationManager>,
        latest: Latest,
        undelivered: Undelivered,
        buffer: Buffer,
        replays: Replays,
        ways: W,
    ) -> Self {
        Self { keeper, latest, undelivered, buffer, replays, ways }
    }
}

impl<S, W: Clone> Layer<S> for AdmitLayer<W> {
    type Service = Admit<S, W>;

    fn layer(&self, inner: S) -> Admit<S, W> {
        Admit { inner, with: Arc::new(self.clone()) }
    }
}

/// The service of [`AdmitLayer`].
#[derive(Clone)]
pub struct Admit<S, W> {
    inner: S,
    with: Arc<AdmitLayer<W>>,
}

impl<S, W> Service<NewCall> for Admit<S, W>
where
    S: Service<Admitted<W::Line>, Response = Forwarded, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    W: AtHand,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, new: NewCall) -> Self::Future {
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let with = Arc::clone(&self.with);
        Box::pin(async move {
            let (call, claimed) = new.into_parts();
            // Before it is paid for: an answer that is on its way cannot be refused any more.
            let room = with.buffer.claim(&call.team.id, &call.model)?;
            let granted = reserve(&with, &call, claimed.is_some()).await?;
            let (tracker, cut) = (with.keeper.tracker().clone(), with.keeper.cut().clone());
            let (caller, progress) = (Caller::default(), granted.reservation.progress().clone());
            let run = run(with, inner, (call, claimed, room), granted, caller.clone());
            RunToCompletion::new(run, tracker, cut, caller, progress).await
        })
    }
}

/// What an admission granted: the money, how the limits stood, and what is held for the call so that it need not wait.
struct Granted<L> {
    reservation: Reservation,
    limits: Snapshot,
    at_hand: Option<L>,
}

/// Reserves a call: as sent when nothing stands between its admission and its first byte, which spares the ledger the
/// mark.
async fn reserve<W: AtHand>(
    with: &AdmitLayer<W>,
    call: &PaidCall,
    is_claimed: bool,
) -> Result<Granted<W::Line>, Refusal> {
    let AdmitLayer { keeper, latest, undelivered, ways, .. } = with;
    // Under an idempotency key there is one more to be told before the first byte.
    let at_hand = if is_claimed { None } else { ways.at_hand() };
    let phase = if at_hand.is_some() { Phase::Dispatched } else { Phase::Waiting };
    let admission = build_admission::admission(call, phase)?;
    let (id, price) = (admission.id, admission.price);
    match undelivered.judged(admission, |admission| keeper.ledger().admit(admission)).await {
        Ok(Verdict::Admitted { standings, at }) => {
            latest.note(&call.principal, &call.team, &standings, at);
            for standing in standings.iter().filter(|standing| standing.shadow_refused) {
                keeper.observer().shadow_refused(&call.team.id, standing);
            }
            Ok(Granted {
                reservation: keeper.take_charge((id, phase), &call.team, &call.model, price),
                limits: Snapshot::new(standings, at),
                at_hand,
            })
        }
        Ok(Verdict::Refused { standings, binding, retry_at, at }) => {
            latest.note(&call.principal, &call.team, &standings, at);
            Err(into_refusal::refusal(standings, binding, retry_at, at, price))
        }
        Err(outage) => {
            tracing::debug!(request_id = %call.id, call_id = %call.call_id, %outage, "nothing could be reserved");
            Err(Refusal::LedgerUnavailable)
        }
    }
}

/// The call itself, from its reservation to its settlement. Runs to the end, also without its caller.
async fn run<S, W>(
    with: Arc<AdmitLayer<W>>,
    mut inner: S,
    (call, mut claimed, room): (PaidCall, Option<Claimed>, Arc<Room>),
    granted: Granted<W::Line>,
    caller: Caller,
) -> Result<Answer, Refusal>
where
    S: Service<Admitted<W::Line>, Response = Forwarded, Error = Infallible>,
    W: AtHand,
{
    let AdmitLayer { keeper, latest, undelivered, replays, .. } = &*with;
    let Granted { reservation, mut limits, at_hand } = granted;
    let listed = keeper.open().list(reservation.id(), reservation.team().clone());
    let (team, price, reserved) = (Arc::clone(&call.team), call.price.clone(), reservation.price());
    let (id, record, arrived, model) = (call.id.clone(), call.record.clone(), call.at, call.model.clone());
    let (principal, at) = (Arc::clone(&call.principal), limits.at());
    let (call_id, transport) = (reservation.id(), call.transport);
    let progress = reservation.progress().clone();
    let claim = claimed.as_mut().and_then(|claimed| claimed.goes_with(progress.clone()));
    let ledger = Arc::clone(keeper.ledger());
    let passage = Passage::new(ledger, team.id.clone(), reservation.id(), progress, caller.clone(), claim);
    let forwarded = match inner.call(Admitted { call, passage, room, at_hand }).await {
        Ok(forwarded) => forwarded,
        Err(never) => match never {},
    };
    let levels = principal.levels(&team);
    let mut end = settle::end(reservation.id(), &price, reserved, &forwarded, keeper.on_unknown(), limits.age());
    end.settlement.keeps_slots =
        !caller.has_left() && is_read_later(&forwarded, undelivered, &team.id, &levels, transport);
    let outcome = end.settlement.outcome;
    let ended = idempotency::Call { id: call_id, model, outcome };
    let (cost, kept_slots) = keeper.settle(reservation, listed, end).await;
    limits.settle(outcome, reserved, cost);
    if outcome == Outcome::Released {
        latest.forget(&principal);
    }
    limits.bring_up_to_now(&levels, &team.time_zone);
    let slots: Option<Box<dyn Kept>> = match kept_slots {
        Some(slots) => Some(Box::new(slots)),
        None => undelivered.keep(&team.id, &levels).map(|slots| Box::new(slots) as Box<dyn Kept>),
    };
    let claim = claimed.and_then(Claimed::ended);
    let Forwarded { fate, answer, took: upstream, queued } = forwarded;
    let headers = {
        let mut facts = record.facts();
        facts.charged = Some(cost);
        let own = arrived.elapsed().saturating_sub(facts.elsewhere());
        response_headers::headers(&limits, cost, [own, queued, upstream])
    };
    let told = match answer {
        Ok(passed) => Ok(response_headers::passed_on(passed, headers).map(|body| body.keeping(slots, transport))),
        Err(refusal) => {
            record.facts().pending_headers = headers;
            Err(refusal)
        }
    };
    let executed = match fate {
        ExecutionOutcome::Delivered | ExecutionOutcome::Unknown => true,
        ExecutionOutcome::NotSent | ExecutionOutcome::Refused => false,
    };
    replays
        .ended(Ended { team: team.id.clone(), call: ended, id, claim, executed, cost, at }, caller.has_left(), told)
        .await
}

/// Whether the answer has slots to keep and may not be gone at once: its caller may have no room for all of it, or
/// others wait already that nobody reads.
fn is_read_later(
    forwarded: &Forwarded,
    undelivered: &Undelivered,
    team: &TeamId,
    levels: &[Level],
    transport: Transport,
) -> bool {
    let Ok(passed) = &forwarded.answer else { return false };
    levels.iter().any(|level| level.limits.get(LimitKind::Concurrent).is_some())
        && (transport.may_hold_up(passed.body.len()) || undelivered.waits(team, levels))
}
