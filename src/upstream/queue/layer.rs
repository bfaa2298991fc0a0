//! Lets a call pass when the shared account has room for it, and has it wait in turn until then.
//!
//! Reads: the team and its weight, the account's limits, the keys that can be used. Writes: the permits, the reservation's
//! phase, the record's queue time, how a key stands. Refuses: `shared_rate_limited`, `queue_full`, `ledger_unavailable`,
//! `upstream_key_rejected`, `shared_credits_exhausted`, `upstream_unavailable`.
//! Position: below admission: who waits has paid, and is released when it leaves; above the layer that puts the shared key
//! in: the permit says which one. A call is sent again only after an answer that proves that it was not executed.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::waiter::{Permit, Spent, Wanted};
use super::{Desk, Permitted};
use crate::admission::Admitted;
use crate::clock::Clock;
use crate::ledger::Phase;
use crate::ledger::permits::KeyTold;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::Wait;
use crate::upstream::judge::{Fate, Passed};
use crate::upstream::keys::{Key, Rest, Why};
use crate::upstream::swap_credential::{Sent, all_rest};
use crate::upstream::{Observer, Upstream};

/// What became of an admitted call.
#[derive(Debug)]
pub struct Forwarded {
    /// For the money.
    pub fate: Fate,
    /// For the caller.
    pub answer: Result<Passed, Refusal>,
    /// At the upstream.
    pub took: Duration,
    /// Waiting for the shared account.
    pub queued: Duration,
}

/// Makes [`Queue`].
#[derive(Clone)]
pub struct QueueLayer {
    desk: Arc<Desk>,
    upstream: Live<Upstream>,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl QueueLayer {
    /// A layer whose calls wait at this worker's desk.
    #[must_use]
    pub fn new(desk: Arc<Desk>, upstream: Live<Upstream>, clock: Clock, observer: Arc<dyn Observer>) -> Self {
        Self { desk, upstream, clock, observer }
    }
}

impl<S> Layer<S> for QueueLayer {
    type Service = Queue<S>;

    fn layer(&self, inner: S) -> Queue<S> {
        Queue { inner, with: self.clone() }
    }
}

/// The service of [`QueueLayer`].
#[derive(Clone)]
pub struct Queue<S> {
    inner: S,
    with: QueueLayer,
}

impl<S> Service<Admitted> for Queue<S>
where
    S: Service<Permitted, Response = Sent, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Forwarded;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Forwarded, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, admitted: Admitted) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let way = Way::new(self.with.clone(), admitted);
        Box::pin(async move { Ok(way.go(&mut inner).await) })
    }
}

/// One call on its way: what it has waited, and how its last attempt ended.
struct Way {
    with: QueueLayer,
    admitted: Arc<Admitted>,
    queued: Duration,
    took: Duration,
    has_queued: bool,
    /// Keys that refused it. With limits a resting key is no longer offered.
    tried: Vec<String>,
    last: Option<(Fate, Result<Passed, Refusal>)>,
}

/// How an attempt ended.
enum Attempt {
    Over(Fate, Result<Passed, Refusal>),
    /// The upstream turned it back, and did nothing with it.
    TurnedBack(Fate, Result<Passed, Refusal>),
}

impl Way {
    fn new(with: QueueLayer, admitted: Admitted) -> Self {
        let admitted = Arc::new(admitted);
        let (queued, took) = (Duration::ZERO, Duration::ZERO);
        Self { with, admitted, queued, took, has_queued: false, tried: Vec::new(), last: None }
    }

    async fn go<S>(mut self, inner: &mut S) -> Forwarded
    where
        S: Service<Permitted, Response = Sent, Error = Infallible>,
    {
        let (fate, answer) = loop {
            match self.attempt(inner).await {
                Ok(Attempt::Over(fate, answer)) => break (self.fate(fate), answer),
                Ok(Attempt::TurnedBack(fate, answer)) => self.last = Some((fate, answer)),
                Err(refusal) => break self.stopped(refusal),
            }
        };
        if self.has_queued {
            self.with.observer.queue_waited(&self.admitted.call().team.id, self.queued);
        }
        Forwarded { fate, answer, took: self.took, queued: self.queued }
    }

    /// Of all its attempts together: what was sent before and refused is not as if it had never been sent.
    fn fate(&self, last: Fate) -> Fate {
        match (&self.last, last) {
            (Some((before, _)), Fate::NotSent) => *before,
            (Some(_) | None, fate) => fate,
        }
    }

    /// How it ends when no attempt can be made any more.
    fn stopped(&mut self, refusal: Refusal) -> (Fate, Result<Passed, Refusal>) {
        match self.last.take() {
            // Why it was turned back says more than that nothing else can be tried.
            Some(last) if !passes_by_itself(&refusal) => last,
            Some((fate, _)) => (fate, Err(refusal)),
            None => (Fate::NotSent, Err(refusal)),
        }
    }

    /// Sends it once, as soon as that may be. Each attempt goes by the settings of its own time: it may have waited long.
    async fn attempt<S>(&mut self, inner: &mut S) -> Result<Attempt, Refusal>
    where
        S: Service<Permitted, Response = Sent, Error = Infallible>,
    {
        let (upstream, key, permit) = self.key().await?;
        if self.admitted.passage().phase() != Phase::Dispatched {
            self.admitted.passage().dispatch().await?;
        }
        let left = permit.as_ref().and_then(|permit| permit.left);
        let spent = permit.map(Permit::spend);
        let (admitted, started, began) = (Arc::clone(&self.admitted), Instant::now(), self.with.clock.now());
        let permitted = Permitted { admitted, upstream, key: Arc::clone(&key) };
        self.waits_for(Wait::Upstream);
        let sent = match inner.call(permitted).await {
            Ok(sent) => sent,
            Err(never) => match never {},
        };
        self.waited();
        self.took += started.elapsed();
        let Sent { fate, answer, rest, told } = sent;
        let limited = spent.is_some();
        match fate {
            Fate::NotSent => spent.into_iter().for_each(Spent::give_back),
            // Only news: the store counts what goes through here itself.
            Fate::Refused | Fate::Delivered | Fate::Unknown => {
                told.filter(|told| limited && left.is_none_or(|left| told.remaining < left))
                    .into_iter()
                    .for_each(|told| self.with.desk.told(told));
            }
        }
        let Some(rest) = rest else {
            if fate == Fate::Delivered {
                self.note_working(&key, began);
            }
            return Ok(Attempt::Over(fate, answer));
        };
        self.note_rest(&key, rest, limited);
        if !limited {
            self.tried.push(key.name.to_string());
        } else if self.admitted.passage().caller_has_left() {
            return Ok(Attempt::Over(fate, answer));
        } else {
            self.admitted.passage().wait_again().await?;
        }
        Ok(Attempt::TurnedBack(fate, answer))
    }

    /// The key to send it with: what the store permits where the account has limits, else the next in turn.
    async fn key(&mut self) -> Result<(Arc<Upstream>, Arc<Key>, Option<Permit>), Refusal> {
        loop {
            let upstream = self.with.upstream.read();
            // It may have opened since the call was admitted.
            upstream.breaker.check(self.with.clock.elapsed())?;
            if upstream.limits.is_none() {
                let now = self.with.clock.now();
                let tried: Vec<&str> = self.tried.iter().map(String::as_str).collect();
                let key = upstream.keys.next(now, &tried).map(Arc::clone);
                let key = key.ok_or_else(|| all_rest(&upstream.keys, now))?;
                return Ok((upstream, key, None));
            }
            if self.admitted.passage().phase() == Phase::Dispatched {
                // The limits are new: it was admitted without them.
                self.admitted.passage().wait_again().await?;
            }
            let (team, started) = (&self.admitted.call().team, Instant::now());
            let wanted = Wanted {
                team: team.id.clone(),
                weight: team.weight,
                until: started + upstream.queue.max_wait.saturating_sub(self.queued),
                turned_back: self.last.is_some(),
            };
            self.has_queued = true;
            self.waits_for(Wait::Queue);
            let permit = self.with.desk.permit(wanted).await;
            self.waited();
            self.queued += started.elapsed();
            let Some(permit) = permit? else { continue };
            // A key that a reload took away meanwhile is no key; its permit is given back.
            let upstream = self.with.upstream.read();
            upstream.breaker.check(self.with.clock.elapsed())?;
            if let Some(key) = upstream.keys.named(&permit.key).map(Arc::clone) {
                return Ok((upstream, key, Some(permit)));
            }
        }
    }

    /// Noted as it begins: its caller may leave before it is over, and what is told of it then is no time of the gateway's.
    fn waits_for(&self, wait: Wait) {
        self.admitted.call().record.facts().waits_for(wait);
    }

    fn waited(&self) {
        self.admitted.call().record.facts().waited();
    }

    fn note_working(&self, key: &Key, began: jiff::Timestamp) {
        if key.works(began) {
            tracing::info!(key = &*key.name, "the shared key works again");
            self.with.observer.key_healthy(&key.name, true);
        }
    }

    /// Where the account has limits, a full window is the store's to know, for all replicas.
    fn note_rest(&self, key: &Key, rest: Rest, limited: bool) {
        match rest.why {
            Why::RateLimited if limited => {
                let told = KeyTold { key: Arc::clone(&key.name), remaining: 0, reset_at: rest.until };
                self.with.desk.told(told);
            }
            Why::RateLimited => key.leave_alone(rest),
            Why::Rejected | Why::NoCredits => {
                key.leave_alone(rest);
                let (why, until) = (rest.why.name(), format!("{:.0}", rest.until));
                tracing::error!(key = &*key.name, why, until, "the upstream refuses a shared key: it rests until then");
                self.with.observer.key_healthy(&key.name, false);
            }
        }
    }
}

/// A full window or line and an open breaker pass by themselves, and tell their own time.
const fn passes_by_itself(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::SharedRateLimited { .. } | Refusal::QueueFull | Refusal::UpstreamUnavailable { .. })
}
