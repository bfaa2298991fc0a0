//! A worker's desk at the shared account: what its calls have to say goes to the store in rounds, many calls in one.
//!
//! Nothing goes on while no call waits. The first that comes starts the rounds; they go on until nobody waits and
//! nothing is left to say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::waiter::{Heard, Told, Waiter, Wanted};
use crate::clock::Clock;
use crate::live::Live;
use crate::permits::{
    AccountLimits, Ask, BatchResult, KeyName, KeyTold, Operation, PLACE_TTL, PermitId, Permits, QueuePosition,
};
use crate::refusal::Refusal;
use crate::store::Outage;
use crate::upstream::swap_credential::all_rest;
use crate::upstream::{Observer, Upstream};

/// How often a waiting call is looked after: its place is kept, and a permit that another replica let it have is heard
/// of.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The most calls that one round speaks of: keeps one step of the store below its deadline.
const ROUND_MOST: usize = 512;

/// The calls of one worker that wait for the shared account.
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
    /// In the order in which they came.
    waiting: BTreeMap<PermitId, Waiter>,
    /// What was given back, and what the upstream told.
    words: Vec<Operation>,
    /// Somebody goes the rounds.
    busy: bool,
    /// When the store last answered.
    answered: Option<Instant>,
}

/// What one round says, and under which limits.
struct Saying {
    upstream: Arc<Upstream>,
    limits: Arc<AccountLimits>,
    words: Vec<Operation>,
}

impl PermitClient {
    /// A desk at which nobody waits.
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

    /// Lets a call wait. What comes back hears in the end whether it may be sent; nothing is heard when the rounds are
    /// cut off.
    pub(super) fn wait(self: &Arc<Self>, id: PermitId, wanted: Wanted) -> oneshot::Receiver<Heard> {
        let (reply, heard) = oneshot::channel();
        let waiter = Waiter { wanted, reply, offered: None, look_at: Instant::now(), told: None };
        self.lock().waiting.insert(id, waiter);
        self.see_to_it();
        heard
    }

    /// Passes on what the upstream said of a key.
    pub(super) fn told(self: &Arc<Self>, told: KeyTold) {
        self.lock().words.push(Operation::Told(told));
        self.see_to_it();
    }

    /// A call does not wait any more, or did not use its permit.
    pub(super) fn leave(self: &Arc<Self>, id: PermitId) {
        {
            let mut state = self.lock();
            let gone = state.waiting.remove(&id);
            self.note_gone(gone.as_ref());
            if gone.is_some_and(|waiter| waiter.offered.is_none()) {
                // The store never heard of it.
                return;
            }
            state.words.push(Operation::Leave(id));
        }
        self.see_to_it();
    }

    /// Makes sure that somebody goes the rounds. Outside a runtime the process is ending, and deadlines pass by
    /// themselves.
    fn see_to_it(self: &Arc<Self>) {
        let was_busy = std::mem::replace(&mut self.lock().busy, true);
        if was_busy {
            return self.changed.notify_one();
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(go_the_rounds(Rounds(Arc::clone(self))))),
            Err(_) => self.lock().busy = false,
        }
    }

    fn note_gone(&self, waiter: Option<&Waiter>) {
        if let Some(waiter) = waiter.filter(|waiter| waiter.told.is_some()) {
            self.observer.queue_left(&waiter.wanted.team);
        }
    }

    /// What is to be said now; `None` when nobody waits and nothing is left to say, which ends the rounds.
    fn saying(&self) -> Option<Saying> {
        let upstream = self.upstream.read();
        let mut state = self.lock();
        let Some(limits) = upstream.limits.clone() else {
            state.words.clear();
            for (_, waiter) in std::mem::take(&mut state.waiting) {
                self.note_gone(Some(&waiter));
                // A receiver that is gone waits for nothing.
                let _ = waiter.reply.send(Heard::Free);
            }
            state.busy = false;
            return None;
        };
        let usable = upstream.keys.usable(self.clock.now());
        if usable.is_empty() {
            self.refuse(&mut state, |_| Some(all_rest(&upstream.keys, self.clock.now())));
        }
        // Nobody waits for an upstream that is left alone: what was reserved is released, and the caller knows when to
        // come again.
        if let Err(open) = upstream.breaker.check(self.clock.elapsed()) {
            self.refuse(&mut state, |_| Some(open.clone()));
        }
        let now = Instant::now();
        // Its first answer is everyone's, however long the store takes for it.
        self.refuse(&mut state, |waiter| waiter.told.filter(|_| waiter.wanted.until <= now).map(|told| told.refusal()));
        let mut words = std::mem::take(&mut state.words);
        if state.waiting.is_empty() && words.is_empty() {
            state.busy = false;
            return None;
        }
        let due = state.waiting.iter_mut().filter(|(_, waiter)| waiter.look_at <= now).take(ROUND_MOST);
        words.extend(due.map(|(id, waiter)| self.word(*id, waiter, &upstream, &usable)));
        Some(Saying { upstream, limits, words })
    }

    /// Asks for a call that was not asked for yet, or that may use other keys by now; else keeps its place.
    fn word(&self, id: PermitId, waiter: &mut Waiter, upstream: &Upstream, usable: &Arc<[KeyName]>) -> Operation {
        if waiter.offered.as_ref() == Some(usable) {
            return Operation::Wait(id);
        }
        waiter.offered = Some(Arc::clone(usable));
        let Wanted { team, weight, turned_back, .. } = &waiter.wanted;
        let keys = upstream.keys.in_turn(self.clock.now());
        Operation::Ask(Ask { id, team: team.clone(), weight: *weight, keys, turned_back: *turned_back })
    }

    fn hand_out(&self, saying: &Saying, round: BatchResult) {
        for remaining in &round.remaining {
            self.observer.limit_remaining(
                remaining.key.as_deref().unwrap_or(""),
                remaining.span.name(),
                remaining.calls,
            );
        }
        let mut state = self.lock();
        state.answered = Some(Instant::now());
        let asked = saying.words.iter().filter_map(|word| match word {
            Operation::Ask(ask) => Some(ask.id),
            Operation::Wait(id) => Some(*id),
            Operation::Leave(_) | Operation::Told(_) => None,
        });
        for (id, place) in asked.zip(round.places) {
            let heard = match place {
                QueuePosition::Granted { key, left } => Heard::Granted { key, left },
                QueuePosition::Full => Heard::Refused(Refusal::QueueFull),
                QueuePosition::Gone => {
                    // Its place was lost with the store's data, or its deadline passed while this process stood still.
                    if let Some(waiter) = state.waiting.get_mut(&id) {
                        waiter.offered = None;
                    }
                    continue;
                }
                QueuePosition::Waiting { ahead, opens_at } => {
                    let told = Told::of(ahead, opens_at, round.at, &saying.limits);
                    let opens_in = round.at.duration_until(opens_at).try_into().unwrap_or(Duration::ZERO);
                    match self.waits(&mut state, id, told, opens_in) {
                        Ok(()) => continue,
                        Err(refusal) => Heard::Refused(refusal),
                    }
                }
            };
            // Who left meanwhile has said so, and gives back what it was granted.
            if let Some(waiter) = state.waiting.remove(&id) {
                self.note_gone(Some(&waiter));
                let _ = waiter.reply.send(heard);
            }
        }
    }

    /// Notes how a waiting call stands. The error: it cannot pass while it may wait, and that is already certain.
    fn waits(&self, state: &mut State, id: PermitId, told: Told, opens_in: Duration) -> Result<(), Refusal> {
        let Some(waiter) = state.waiting.get_mut(&id) else { return Ok(()) };
        let now = Instant::now();
        if waiter.wanted.until.saturating_duration_since(now) < opens_in {
            return Err(told.refusal());
        }
        if waiter.told.replace(told).is_none() {
            self.observer.queue_joined(&waiter.wanted.team);
        }
        waiter.look_at = now + opens_in.clamp(MOMENT, LOOK_AGAIN);
        Ok(())
    }

    /// The store did not answer: who had no place is refused; the others' places are kept as long as the store keeps
    /// them.
    fn failed(&self, outage: &Outage) {
        tracing::debug!(%outage, "the shared account's permits could not be asked for");
        let mut state = self.lock();
        let now = Instant::now();
        let places_are_kept = state.answered.is_some_and(|answered| now < answered + PLACE_TTL / 2);
        self.refuse(&mut state, |waiter| {
            let keeps = places_are_kept && waiter.told.is_some();
            (!keeps).then_some(Refusal::LedgerUnavailable)
        });
        for waiter in state.waiting.values_mut() {
            waiter.look_at = now + LOOK_AGAIN;
        }
    }

    fn refuse(&self, state: &mut State, why: impl Fn(&Waiter) -> Option<Refusal>) {
        let refused: Vec<_> = state.waiting.iter().filter_map(|(id, waiter)| Some((*id, why(waiter)?))).collect();
        for (id, refusal) in refused {
            if let Some(waiter) = state.waiting.remove(&id) {
                self.note_gone(Some(&waiter));
                let _ = waiter.reply.send(Heard::Refused(refusal));
            }
        }
    }

    /// When somebody must be looked after next.
    fn next_look(&self) -> Instant {
        let state = self.lock();
        let soonest = state.waiting.values().map(|waiter| waiter.look_at.min(waiter.wanted.until)).min();
        soonest.unwrap_or_else(|| Instant::now() + LOOK_AGAIN)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least time between two looks at one call.
const MOMENT: Duration = Duration::from_millis(5);

/// The duty to go the rounds. Cut off with its runtime, it leaves nobody waiting for ever.
struct Rounds(Arc<PermitClient>);

impl Drop for Rounds {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.busy {
            state.busy = false;
            self.0.refuse(&mut state, |_| Some(Refusal::LedgerUnavailable));
        }
    }
}

async fn go_the_rounds(rounds: Rounds) {
    let desk = &rounds.0;
    while let Some(saying) = desk.saying() {
        if !saying.words.is_empty() {
            match desk.permits.batch(&saying.limits, &saying.words).await {
                Ok(round) => desk.hand_out(&saying, round),
                Err(outage) => desk.failed(&outage),
            }
        }
        drop(saying.upstream);
        if !desk.has_more_to_say() {
            tokio::select! {
                () = sleep_until(desk.next_look()) => {}
                () = desk.changed.notified() => {}
            }
        }
    }
}

impl PermitClient {
    /// Whether the next round can begin at once, or end the rounds.
    fn has_more_to_say(&self) -> bool {
        let state = self.lock();
        !state.words.is_empty() || state.waiting.is_empty()
    }
}

#[cfg(test)]
#[path = "permit_client_tests.rs"]
mod tests;
