//! The attempts of one admitted call: each takes a key, a permit and a connection, and then sends
//! the call.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tower::Service;

use super::permit::Permit;
use super::waiter::PermitRequest;
use super::{Connected, PermitClient, Permitted};
use crate::admission::{Admitted, Forwarded, Reservation};
use crate::call::{ExecutionOutcome, PaidCall, UpstreamResponse};
use crate::ledger::Phase;
use crate::permits::KeyReport;
use crate::refusal::Refusal;
use crate::request::{Stage, Wait};
use crate::upstream::keys::{Cooldown, Key, Why};
use crate::upstream::swap_credential::{Gone, Sent, all_rest};
use crate::upstream::{Observer, ReservedConnection, Upstream, UpstreamAccess};

/// Sends each call of a worker as soon as it has a permit: the innermost part of the queue's layer.
pub struct Queue {
    permits: Arc<PermitClient>,
    access: UpstreamAccess,
    observer: Arc<dyn Observer>,
}

impl Queue {
    /// Calls wait through this worker's permit client, and are sent through this access.
    #[must_use]
    pub fn new(
        permits: Arc<PermitClient>,
        access: UpstreamAccess,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { permits, access, observer }
    }
}

/// A call on its way: how long it has waited, and how its last attempt ended.
pub(super) struct Attempts {
    by: Arc<Queue>,
    admitted: Admitted<ReservedConnection>,
    queued: Duration,
    upstream_time: Duration,
    has_queued: bool,
    /// Keys that refused it. With limits, a key in cooldown is not offered any more.
    tried: Vec<String>,
    last: Option<(ExecutionOutcome, Result<UpstreamResponse, Refusal>)>,
}

/// The end of an attempt.
enum Attempt {
    Over(ExecutionOutcome, Result<UpstreamResponse, Refusal>),
    /// The upstream turned it back without executing it.
    TurnedBack(ExecutionOutcome, Result<UpstreamResponse, Refusal>),
}

impl Attempts {
    pub(super) const fn new(by: Arc<Queue>, admitted: Admitted<ReservedConnection>) -> Self {
        let (queued, upstream_time) = (Duration::ZERO, Duration::ZERO);
        Self {
            by,
            admitted,
            queued,
            upstream_time,
            has_queued: false,
            tried: Vec::new(),
            last: None,
        }
    }

    pub(super) async fn go<S>(mut self, inner: &mut S) -> Forwarded
    where
        S: Service<Permitted, Response = Sent, Error = Gone>,
    {
        let (execution, answer) = loop {
            match self.attempt(inner).await {
                Ok(Attempt::Over(execution, answer)) => break (self.execution(execution), answer),
                Ok(Attempt::TurnedBack(execution, answer)) => self.last = Some((execution, answer)),
                Err(refusal) => break self.stopped(refusal),
            }
        };
        if self.has_queued {
            self.by.observer.queue_waited(&self.call().team.id, self.queued);
        }
        self.admitted.forwarded(execution, answer, self.upstream_time, self.queued)
    }

    const fn money(&self) -> &Reservation {
        self.admitted.reservation()
    }

    const fn call(&self) -> &Arc<PaidCall> {
        self.money().call()
    }

    /// The outcome of all its attempts: a call that was sent and refused before does not count as
    /// never sent.
    fn execution(&self, last: ExecutionOutcome) -> ExecutionOutcome {
        match (&self.last, last) {
            (Some((before, _)), ExecutionOutcome::NotSent) => *before,
            (Some(_) | None, execution) => execution,
        }
    }

    /// The result when no further attempt can be made.
    fn stopped(
        &mut self,
        refusal: Refusal,
    ) -> (ExecutionOutcome, Result<UpstreamResponse, Refusal>) {
        match self.last.take() {
            // The reason for turning it back says more than the lack of another key.
            Some(last) if !passes_by_itself(&refusal) => last,
            Some((execution, _)) => (execution, Err(refusal)),
            None => (ExecutionOutcome::NotSent, Err(refusal)),
        }
    }

    /// Makes one attempt as soon as it may. Each attempt uses the current settings, because the
    /// call may have waited long.
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
        let Sent { execution, answer, cooldown, report } = sent;
        let limited = permit.is_some();
        let left = permit.as_ref().and_then(|permit| permit.left);
        match execution {
            ExecutionOutcome::NotSent => permit.as_mut().into_iter().for_each(Permit::take_back),
            // Reported only if it is lower, because the store counts these calls itself.
            ExecutionOutcome::Refused | ExecutionOutcome::Delivered | ExecutionOutcome::Unknown => {
                report
                    .filter(|report| limited && left.is_none_or(|left| report.remaining < left))
                    .into_iter()
                    .for_each(|report| self.by.permits.report(report));
            }
        }
        drop(permit);
        let Some(cooldown) = cooldown else {
            if execution == ExecutionOutcome::Delivered {
                self.note_working(&key, began);
            }
            return Ok(Attempt::Over(execution, answer));
        };
        self.note_cooldown(&key, cooldown, limited);
        if !limited {
            self.tried.push(key.name.to_string());
        } else if self.money().caller_has_left() {
            return Ok(Attempt::Over(execution, answer));
        } else {
            self.money().recall_turned_back().await?;
        }
        Ok(Attempt::TurnedBack(execution, answer))
    }

    /// Sends it over one connection, marked just before; returns when. If the connection turns out
    /// to be closed, the call waits again.
    async fn send<S>(
        &mut self,
        inner: &mut S,
        (upstream, key, permit): (&Arc<Upstream>, &Arc<Key>, Option<&mut Permit>),
    ) -> Result<Result<(Sent, Timestamp), Gone>, Refusal>
    where
        S: Service<Permitted, Response = Sent, Error = Gone>,
    {
        let connected = self.connected(upstream).await?;
        if connected.connection.is_ok() && self.money().phase() != Phase::Dispatched {
            self.money().dispatch().await?;
        }
        permit.into_iter().for_each(Permit::spend);
        let (started, began) = (Instant::now(), self.by.access.clock.now());
        let permitted = Permitted {
            call: Arc::clone(self.call()),
            answer_permit: Arc::clone(self.admitted.answer_permit()),
            upstream: Arc::clone(upstream),
            key: Arc::clone(key),
            connected,
        };
        self.waits_for(Wait::Upstream);
        let sent = inner.call(permitted).await;
        self.waited();
        self.upstream_time += started.elapsed();
        Ok(sent.map(|sent| (sent, began)))
    }

    /// A connection: the one held for it, an idle one, or one that it waits for. While it waits it
    /// is not marked as dispatched.
    async fn connected(&mut self, upstream: &Upstream) -> Result<Connected, Refusal> {
        let (client, origin) = (&self.by.access.client, &upstream.origin);
        let held = self.admitted.take_at_hand().filter(|connection| connection.is_ready(origin));
        if let Some(connection) = held.or_else(|| client.at_hand(origin, upstream.bounds)) {
            return Ok(Connected { connection: Ok(connection), waited: Duration::ZERO });
        }
        if self.money().phase() == Phase::Dispatched {
            self.wait_again().await?;
        }
        let started = Instant::now();
        let mut span = self.call().record.enter(Stage::Connect);
        self.waits_for(Wait::Upstream);
        let connection = Box::pin(self.by.access.client.connect(origin, upstream.bounds)).await;
        if connection.is_err() {
            span.record(|span| span.fail(Refusal::UpstreamUnreachable.kind().code));
        }
        span.end();
        self.waited();
        let waited = started.elapsed();
        self.upstream_time += waited;
        Ok(Connected { connection, waited })
    }

    /// Takes the mark of a waiting call back, because it was turned back or not sent after all.
    ///
    /// # Errors
    /// Its caller has left, so that it is not worth waiting for; or the ledger does not take the
    /// change.
    async fn wait_again(&self) -> Result<(), Refusal> {
        if self.money().caller_has_left() {
            return Err(Refusal::UpstreamUnreachable);
        }
        match &self.last {
            Some(_) => self.money().recall_turned_back().await,
            None => self.money().recall_unsent().await,
        }
    }

    /// The key to use: the permit's where the account has limits, otherwise the next in turn.
    async fn key(&mut self) -> Result<(Arc<Upstream>, Arc<Key>, Option<Permit>), Refusal> {
        loop {
            let upstream = self.by.access.upstream.read();
            // The breaker may have opened since the call was admitted.
            upstream.breaker.check(self.by.access.clock.elapsed())?;
            if upstream.limits.is_none() {
                let now = self.by.access.clock.now();
                let tried: Vec<&str> = self.tried.iter().map(String::as_str).collect();
                let key = upstream.keys.next(now, &tried).map(Arc::clone);
                let key = key.ok_or_else(|| all_rest(&upstream.keys, now))?;
                return Ok((upstream, key, None));
            }
            if self.money().phase() == Phase::Dispatched {
                // Limits were configured after the call was admitted without them.
                drop(self.admitted.take_at_hand());
                self.wait_again().await?;
            }
            let (team, started) = (&self.call().team, Instant::now());
            let wanted = PermitRequest {
                team: team.id.clone(),
                weight: team.weight,
                until: started + upstream.queue.max_wait.saturating_sub(self.queued),
                turned_back: self.last.is_some(),
            };
            self.has_queued = true;
            let mut span = self.call().record.enter(Stage::Queue);
            self.waits_for(Wait::Queue);
            let permit = self.by.permits.permit(wanted).await;
            self.waited();
            self.queued += started.elapsed();
            let permit = permit.inspect_err(|refusal| span.refused(|| refusal.kind()))?;
            span.end();
            let Some(permit) = permit else { continue };
            // A reload has removed the key, so its permit is given back.
            let upstream = self.by.access.upstream.read();
            upstream.breaker.check(self.by.access.clock.elapsed())?;
            if let Some(key) = upstream.keys.named(&permit.key).map(Arc::clone) {
                return Ok((upstream, key, Some(permit)));
            }
        }
    }

    /// Noted at its start, because the caller may leave before its end, and the wait is not the
    /// gateway's own time.
    fn waits_for(&self, wait: Wait) {
        self.call().record.facts().waits_for(wait);
    }

    fn waited(&self) {
        self.call().record.facts().waited();
    }

    fn note_working(&self, key: &Key, began: Timestamp) {
        if key.works(began) {
            tracing::info!(key = &*key.name, "the upstream accepts the shared key again");
            self.by.observer.key_healthy(&key.name, true);
        }
    }

    /// Where the account has limits, a full window is reported to the store, for all replicas.
    fn note_cooldown(&self, key: &Key, cooldown: Cooldown, limited: bool) {
        match cooldown.why {
            Why::RateLimited if limited => {
                let report = KeyReport {
                    key: Arc::clone(&key.name),
                    remaining: 0,
                    reset_at: cooldown.until,
                };
                self.by.permits.report(report);
            }
            Why::RateLimited => key.cool_down(cooldown),
            Why::Rejected | Why::NoCredits => {
                key.cool_down(cooldown);
                let (why, until) = (cooldown.why.name(), format!("{:.0}", cooldown.until));
                tracing::error!(
                    key = &*key.name,
                    why,
                    until,
                    "the upstream refuses a shared key: it is in cooldown until then"
                );
                self.by.observer.key_healthy(&key.name, false);
            }
        }
    }
}

/// Full windows, a full queue and an open breaker end by themselves, and state their own time.
const fn passes_by_itself(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::SharedRateLimited { .. }
            | Refusal::QueueFull
            | Refusal::UpstreamUnavailable { .. }
    )
}
