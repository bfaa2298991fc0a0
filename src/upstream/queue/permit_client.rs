//! A worker's client for permits: the operations of its calls go to the store in batches.
//!
//! Nothing runs while no call waits. The first waiting call starts a task that sends batches. It
//! ends when no call waits and nothing is left to send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::waiter::{Estimate, PermitRequest, WaitResult, Waiter};
use crate::clock::Clock;
use crate::live::Live;
use crate::permits::{
    AccountLimits, Ask, BatchResult, KeyName, KeyReport, Operation, POSITION_TTL, PermitId,
    Permits, QueuePosition,
};
use crate::refusal::Refusal;
use crate::store::Outage;
use crate::upstream::swap_credential::all_rest;
use crate::upstream::{Observer, Upstream};

/// How often a waiting call asks again: keeps its position, and learns of a permit that another
/// replica granted it.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The most calls in one batch, which keeps one step of the store below its deadline.
const BATCH_MAX: usize = 512;

/// The waiting calls of one worker.
pub struct PermitClient {
    permits: Arc<dyn Permits>,
    upstream: Live<Upstream>,
    observer: Arc<dyn Observer>,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Waiting calls in order of arrival.
    waiting: BTreeMap<PermitId, Waiter>,
    /// Permits given back, and reports of the upstream.
    unsent: Vec<Operation>,
    /// A task sends batches.
    running: bool,
    /// When the store last answered.
    answered: Option<Instant>,
}

/// The operations of one batch, and its limits.
struct Batch {
    upstream: Arc<Upstream>,
    limits: Arc<AccountLimits>,
    operations: Vec<Operation>,
}

impl PermitClient {
    /// A client without waiting calls.
    #[must_use]
    pub fn new(
        permits: Arc<dyn Permits>,
        upstream: Live<Upstream>,
        observer: Arc<dyn Observer>,
        clock: Clock,
    ) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { permits, upstream, observer, clock, state, changed })
    }

    /// Queues a call. The receiver gets the result; it gets nothing when the task is cut off.
    pub(super) fn wait(
        self: &Arc<Self>,
        id: PermitId,
        request: PermitRequest,
    ) -> oneshot::Receiver<WaitResult> {
        let (reply, result) = oneshot::channel();
        let waiter =
            Waiter { request, reply, offered: None, look_at: Instant::now(), estimate: None };
        self.lock().waiting.insert(id, waiter);
        self.ensure_running();
        result
    }

    /// Queues a report of the upstream about a key.
    pub(super) fn report(self: &Arc<Self>, report: KeyReport) {
        self.lock().unsent.push(Operation::Report(report));
        self.ensure_running();
    }

    /// Notes that a call does not wait any more, or did not use its permit.
    pub(super) fn leave(self: &Arc<Self>, id: PermitId) {
        {
            let mut state = self.lock();
            let gone = state.waiting.remove(&id);
            self.note_gone(gone.as_ref());
            if gone.is_some_and(|waiter| waiter.offered.is_none()) {
                // The store never had it.
                return;
            }
            state.unsent.push(Operation::Leave(id));
        }
        self.ensure_running();
    }

    /// Starts the task that sends batches, or wakes it. Outside a runtime the process is ending,
    /// and deadlines pass by themselves.
    fn ensure_running(self: &Arc<Self>) {
        let was_running = std::mem::replace(&mut self.lock().running, true);
        if was_running {
            return self.changed.notify_one();
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(send_batches(BatchSender(Arc::clone(self))))),
            Err(_) => self.lock().running = false,
        }
    }

    fn note_gone(&self, waiter: Option<&Waiter>) {
        if let Some(waiter) = waiter.filter(|waiter| waiter.estimate.is_some()) {
            self.observer.queue_left(&waiter.request.team);
        }
    }

    /// The next batch to send; `None` ends the task: no call waits and nothing is left to send.
    fn next_batch(&self) -> Option<Batch> {
        let upstream = self.upstream.read();
        let mut state = self.lock();
        let Some(limits) = upstream.limits.clone() else {
            state.unsent.clear();
            for (_, waiter) in std::mem::take(&mut state.waiting) {
                self.note_gone(Some(&waiter));
                // A dropped receiver waits for nothing.
                let _ = waiter.reply.send(WaitResult::Unlimited);
            }
            state.running = false;
            return None;
        };
        let usable = upstream.keys.usable(self.clock.now());
        if usable.is_empty() {
            self.refuse(&mut state, |_| Some(all_rest(&upstream.keys, self.clock.now())));
        }
        // The breaker is open, so no call waits: reservations are released, and callers learn when
        // to retry.
        if let Err(open) = upstream.breaker.check(self.clock.elapsed()) {
            self.refuse(&mut state, |_| Some(open.clone()));
        }
        let now = Instant::now();
        // A wait ends only after the first answer, however long the store takes for it.
        self.refuse(&mut state, |waiter| {
            waiter
                .estimate
                .filter(|_| waiter.request.until <= now)
                .map(|estimate| estimate.refusal())
        });
        let mut operations = std::mem::take(&mut state.unsent);
        if state.waiting.is_empty() && operations.is_empty() {
            state.running = false;
            return None;
        }
        let due =
            state.waiting.iter_mut().filter(|(_, waiter)| waiter.look_at <= now).take(BATCH_MAX);
        operations.extend(due.map(|(id, waiter)| self.operation(*id, waiter, &upstream, &usable)));
        Some(Batch { upstream, limits, operations })
    }

    /// Asks for a new call, or for one that may use other keys now; otherwise keeps its position.
    fn operation(
        &self,
        id: PermitId,
        waiter: &mut Waiter,
        upstream: &Upstream,
        usable: &Arc<[KeyName]>,
    ) -> Operation {
        if waiter.offered.as_ref() == Some(usable) {
            return Operation::Wait(id);
        }
        waiter.offered = Some(Arc::clone(usable));
        let PermitRequest { team, weight, turned_back, .. } = &waiter.request;
        let keys = upstream.keys.in_turn(self.clock.now());
        Operation::Ask(Ask {
            id,
            team: team.clone(),
            weight: *weight,
            keys,
            turned_back: *turned_back,
        })
    }

    fn hand_out(&self, batch: &Batch, answer: BatchResult) {
        for remaining in &answer.remaining {
            self.observer.limit_remaining(
                remaining.key.as_deref().unwrap_or(""),
                remaining.span.name(),
                remaining.calls,
            );
        }
        let mut state = self.lock();
        state.answered = Some(Instant::now());
        let asks = batch.operations.iter().filter_map(|operation| match operation {
            Operation::Ask(ask) => Some(ask.id),
            Operation::Wait(id) => Some(*id),
            Operation::Leave(_) | Operation::Report(_) => None,
        });
        for (id, position) in asks.zip(answer.positions) {
            let result = match position {
                QueuePosition::Granted { key, left } => WaitResult::Granted { key, left },
                QueuePosition::Full => WaitResult::Refused(Refusal::QueueFull),
                QueuePosition::Gone => {
                    // The position was lost with the store's data, or its deadline passed while
                    // this process was paused.
                    if let Some(waiter) = state.waiting.get_mut(&id) {
                        waiter.offered = None;
                    }
                    continue;
                }
                QueuePosition::Waiting { ahead, opens_at } => {
                    let estimate = Estimate::of(ahead, opens_at, answer.at, &batch.limits);
                    let opens_in =
                        answer.at.duration_until(opens_at).try_into().unwrap_or(Duration::ZERO);
                    match self.waits(&mut state, id, estimate, opens_in) {
                        Ok(()) => continue,
                        Err(refusal) => WaitResult::Refused(refusal),
                    }
                }
            };
            // A call that left meanwhile has queued that, and gives its permit back.
            if let Some(waiter) = state.waiting.remove(&id) {
                self.note_gone(Some(&waiter));
                let _ = waiter.reply.send(result);
            }
        }
    }

    /// Notes a waiting call's estimate. Fails when the call certainly cannot pass within its wait.
    fn waits(
        &self,
        state: &mut State,
        id: PermitId,
        estimate: Estimate,
        opens_in: Duration,
    ) -> Result<(), Refusal> {
        let Some(waiter) = state.waiting.get_mut(&id) else { return Ok(()) };
        let now = Instant::now();
        if waiter.request.until.saturating_duration_since(now) < opens_in {
            return Err(estimate.refusal());
        }
        if waiter.estimate.replace(estimate).is_none() {
            self.observer.queue_joined(&waiter.request.team);
        }
        waiter.look_at = now + opens_in.clamp(MOMENT, LOOK_AGAIN);
        Ok(())
    }

    /// Handles an outage: calls without a position are refused; the store keeps the positions of
    /// the others until their deadlines.
    fn failed(&self, outage: &Outage) {
        tracing::debug!(%outage, "permits of the shared account could not be requested");
        let mut state = self.lock();
        let now = Instant::now();
        let positions_are_kept =
            state.answered.is_some_and(|answered| now < answered + POSITION_TTL / 2);
        self.refuse(&mut state, |waiter| {
            let keeps = positions_are_kept && waiter.estimate.is_some();
            (!keeps).then_some(Refusal::LedgerUnavailable)
        });
        for waiter in state.waiting.values_mut() {
            waiter.look_at = now + LOOK_AGAIN;
        }
    }

    fn refuse(&self, state: &mut State, why: impl Fn(&Waiter) -> Option<Refusal>) {
        let refused: Vec<_> =
            state.waiting.iter().filter_map(|(id, waiter)| Some((*id, why(waiter)?))).collect();
        for (id, refusal) in refused {
            if let Some(waiter) = state.waiting.remove(&id) {
                self.note_gone(Some(&waiter));
                let _ = waiter.reply.send(WaitResult::Refused(refusal));
            }
        }
    }

    /// When the next call must ask again.
    fn next_look(&self) -> Instant {
        let state = self.lock();
        let soonest =
            state.waiting.values().map(|waiter| waiter.look_at.min(waiter.request.until)).min();
        soonest.unwrap_or_else(|| Instant::now() + LOOK_AGAIN)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least time between two batches for the same calls.
const MOMENT: Duration = Duration::from_millis(5);

/// Sends the batches. If it is cut off with its runtime, no call is left waiting.
struct BatchSender(Arc<PermitClient>);

impl Drop for BatchSender {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.running {
            state.running = false;
            self.0.refuse(&mut state, |_| Some(Refusal::LedgerUnavailable));
        }
    }
}

async fn send_batches(sender: BatchSender) {
    let client = &sender.0;
    while let Some(batch) = client.next_batch() {
        if !batch.operations.is_empty() {
            match client.permits.batch(&batch.limits, &batch.operations).await {
                Ok(answer) => client.hand_out(&batch, answer),
                Err(outage) => client.failed(&outage),
            }
        }
        drop(batch.upstream);
        if !client.has_more_to_send() {
            tokio::select! {
                () = sleep_until(client.next_look()) => {}
                () = client.changed.notified() => {}
            }
        }
    }
}

impl PermitClient {
    /// Whether the next batch can be sent, or the task can end, at once.
    fn has_more_to_send(&self) -> bool {
        let state = self.lock();
        !state.unsent.is_empty() || state.waiting.is_empty()
    }
}

#[cfg(test)]
#[path = "permit_client_tests.rs"]
mod tests;
