//! The way of one admitted call: its key, its permit, its connection, and then the call itself, as often as it takes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tower::Service;

use super::permit::Permit;
use super::waiter::Wanted;
use super::{Connected, PermitClient, Permitted};
use crate::admission::Admitted;
use crate::call::{ExecutionOutcome, Forwarded, UpstreamResponse};
use crate::ledger::Phase;
use crate::permits::KeyTold;
use crate::refusal::Refusal;
use crate::request::Wait;
use crate::upstream::keys::{Cooldown, Key, Why};
use crate::upstream::swap_credential::{Gone, Sent, all_rest};
use crate::upstream::{Line, Observer, Upstream, Ways};

/// What a worker's calls go by.
pub(super) struct Means {
    pub(super) desk: Arc<PermitClient>,
    pub(super) ways: Ways,
    pub(super) observer: Arc<dyn Observer>,
}

/// One call on its way: what it has waited, and how its last attempt ended.
pub(super) struct Attempts {
    by: Arc<Means>,
    admitted: Arc<Admitted<Line>>,
    /// The connection that was at hand when it was admitted.
    at_hand: Option<Line>,
    queued: Duration,
    took: Duration,
    has_queued: bool,
    /// Keys that refused it. With limits a resting key is no longer offered.
    tried: Vec<String>,
    last: Option<(ExecutionOutcome, Result<UpstreamResponse, Refusal>)>,
}

/// How an attempt ended.
enum Attempt {
    Over(ExecutionOutcome, Result<UpstreamResponse, Refusal>),
    /// The upstream turned it back, and did nothing with it.
    TurnedBack(ExecutionOutcome, Result<UpstreamResponse, Refusal>),
}

impl Attempts {
    pub(super) fn new(by: Arc<Means>, mut admitted: Admitted<Line>) -> Self {
        let at_hand = admitted.take_at_hand();
        let admitted = Arc::new(admitted);
        let (queued, took) = (Duration::ZERO, Duration::ZERO);
        Self { by, admitted, at_hand, queued, took, has_queued: false, tried: Vec::new(), last: None }
    }

    pub(super) async fn go<S>(mut self, inner: &mut S) -> Forwarded
    where
        S: Service<Permitted, Response = Sent, Error = Gone>,
    {
        let (fate, answer) = loop {
            match self.attempt(inner).await {
                Ok(Attempt::Over(fate, answer)) => break (self.fate(fate), answer),
                Ok(Attempt::TurnedBack(fate, answer)) => self.last = Some((fate, answer)),
                Err(refusal) => break self.stopped(refusal),
            }
        };
        if self.has_queued {
            self.by.observer.queue_waited(&self.admitted.call().team.id, self.queued);
        }
        Forwarded { fate, answer, took: self.took, queued: self.queued }
    }

    /// Of all its attempts together: what was sent before and refused is not as if it had never been sent.
    fn fate(&self, last: ExecutionOutcome) -> ExecutionOutcome {
        match (&self.last, last) {
            (Some((before, _)), ExecutionOutcome::NotSent) => *before,
            (Some(_) | None, fate) => fate,
        }
    }

    /// How it ends when no attempt can be made any more.
    fn stopped(&mut self, refusal: Refusal) -> (ExecutionOutcome, Result<UpstreamResponse, Refusal>) {
        match self.last.take() {
            // Why it was turned back says more than that nothing else can be tried.
            Some(last) if !passes_by_itself(&refusal) => last,
            Some((fate, _)) => (fate, Err(refusal)),
            None => (ExecutionOutcome::NotSent, Err(refusal)),
        }
    }

    /// Sends it once, as soon as that may be. Each attempt goes by the settings of its own time: it may have waited
    /// long.
    async fn attempt<S>(&mut self, inner: &mut S) -> Result<Attempt, Refusal>
    where
        S: Service<Permitted, Response = Sent, Error = Gone>,
    {
        let (upstream, key, mut permit) = self.key().await?;
        let (sent, began) = loop {
            match self.send(inner, (&upstream, &key, permit.as_mut())).await? {
                Ok(sent) => break sent,
                Err(Gone) => permit.as_mut().into_iter().for_each(Permit::take_back),
            }
        };
        let Sent { fate, answer, rest, told } = sent;
        let limited = permit.is_some();
        let left = permit.as_ref().and_then(|permit| permit.left);
        match fate {
            ExecutionOutcome::NotSent => permit.as_mut().into_iter().for_each(Permit::take_back),
            // Only news: the store counts what goes through here itself.
            ExecutionOutcome::Refused | ExecutionOutcome::Delivered | ExecutionOutcome::Unknown => {
                told.filter(|told| limited && left.is_none_or(|left| told.remaining < left))
                    .into_iter()
                    .for_each(|told| self.by.desk.told(told));
            }
        }
        drop(permit);
        let Some(rest) = rest else {
            if fate == ExecutionOutcome::Delivered {
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

    /// Sends it over one connection, marked just before; says when that was. Where the connection turns out to be
    /// closed, the call waits again.
    async fn send<S>(
        &mut self,
        inner: &mut S,
        (upstream, key, permit): (&Arc<Upstream>, &Arc<Key>, Option<&mut Permit>),
    ) -> Result<Result<(Sent, Timestamp), Gone>, Refusal>
    where
        S: Service<Permitted, Response = Sent, Error = Gone>,
    {
        let connected = self.connected(upstream).await?;
        if connected.line.is_ok() && self.admitted.passage().phase() != Phase::Dispatched {
            self.admitted.passage().dispatch().await?;
        }
        permit.into_iter().for_each(Permit::spend);
        let (admitted, started, began) = (Arc::clone(&self.admitted), Instant::now(), self.by.ways.clock.now());
        let permitted = Permitted { admitted, upstream: Arc::clone(upstream), key: Arc::clone(key), connected };
        self.waits_for(Wait::Upstream);
        let sent = inner.call(permitted).await;
        self.waited();
        self.took += started.elapsed();
        Ok(sent.map(|sent| (sent, began)))
    }

    /// A connection for it: the one that was at hand, or another that is, or one that it waits for. While it waits it
    /// is not marked as sent.
    async fn connected(&mut self, upstream: &Upstream) -> Result<Connected, Refusal> {
        let (wire, origin) = (&self.by.ways.wire, &upstream.origin);
        let held = self.at_hand.take().filter(|line| line.is_ready(origin));
        if let Some(line) = held.or_else(|| wire.at_hand(origin, upstream.bounds)) {
            return Ok(Connected { line: Ok(line), took: Duration::ZERO });
        }
        if self.admitted.passage().phase() == Phase::Dispatched {
            self.wait_again().await?;
        }
        let started = Instant::now();
        self.waits_for(Wait::Upstream);
        let line = Box::pin(self.by.ways.wire.connect(origin, upstream.bounds)).await;
        self.waited();
        let took = started.elapsed();
        self.took += took;
        Ok(Connected { line, took })
    }

    /// It waits, and was marked as sent: because it was sent and turned back, or was about to be sent.
    ///
    /// # Errors
    /// Its caller has left meanwhile, so that it is not worth waiting for; or the ledger does not take it.
    async fn wait_again(&self) -> Result<(), Refusal> {
        if self.admitted.passage().caller_has_left() {
            return Err(Refusal::UpstreamUnreachable);
        }
        match &self.last {
            Some(_) => self.admitted.passage().wait_again().await,
            None => self.admitted.passage().wait_unsent().await,
        }
    }

    /// The key to send it with: what the store permits where the account has limits, else the next in turn.
    async fn key(&mut self) -> Result<(Arc<Upstream>, Arc<Key>, Option<Permit>), Refusal> {
        loop {
            let upstream = self.by.ways.upstream.read();
            // It may have opened since the call was admitted.
            upstream.breaker.check(self.by.ways.clock.elapsed())?;
            if upstream.limits.is_none() {
                let now = self.by.ways.clock.now();
                let tried: Vec<&str> = self.tried.iter().map(String::as_str).collect();
                let key = upstream.keys.next(now, &tried).map(Arc::clone);
                let key = key.ok_or_else(|| all_rest(&upstream.keys, now))?;
                return Ok((upstream, key, None));
            }
            if self.admitted.passage().phase() == Phase::Dispatched {
                // The limits are new: it was admitted without them.
                self.at_hand = None;
                self.wait_again().await?;
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
            let permit = self.by.desk.permit(wanted).await;
            self.waited();
            self.queued += started.elapsed();
            let Some(permit) = permit? else { continue };
            // A key that a reload took away meanwhile is no key; its permit is given back.
            let upstream = self.by.ways.upstream.read();
            upstream.breaker.check(self.by.ways.clock.elapsed())?;
            if let Some(key) = upstream.keys.named(&permit.key).map(Arc::clone) {
                return Ok((upstream, key, Some(permit)));
            }
        }
    }

    /// Noted as it begins: its caller may leave before it is over, and what is told of it then is no time of the
    /// gateway's.
    fn waits_for(&self, wait: Wait) {
        self.admitted.call().record.facts().waits_for(wait);
    }

    fn waited(&self) {
        self.admitted.call().record.facts().waited();
    }

    fn note_working(&self, key: &Key, began: Timestamp) {
        if key.works(began) {
            tracing::info!(key = &*key.name, "the shared key works again");
            self.by.observer.key_healthy(&key.name, true);
        }
    }

    /// Where the account has limits, a full window is the store's to know, for all replicas.
    fn note_rest(&self, key: &Key, rest: Cooldown, limited: bool) {
        match rest.why {
            Why::RateLimited if limited => {
                let told = KeyTold { key: Arc::clone(&key.name), remaining: 0, reset_at: rest.until };
                self.by.desk.told(told);
            }
            Why::RateLimited => key.cool_down(rest),
            Why::Rejected | Why::NoCredits => {
                key.cool_down(rest);
                let (why, until) = (rest.why.name(), format!("{:.0}", rest.until));
                tracing::error!(key = &*key.name, why, until, "the upstream refuses a shared key: it rests until then");
                self.by.observer.key_healthy(&key.name, false);
            }
        }
    }
}

/// A full window or line and an open breaker pass by themselves, and tell their own time.
const fn passes_by_itself(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::SharedRateLimited { .. } | Refusal::QueueFull | Refusal::UpstreamUnavailable { .. })
}
