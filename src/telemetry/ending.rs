//! End of a request: a guard that moves from the future into the body, and counts and logs the
//! request when dropped.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::access_log::Ended;
use super::metrics::NO_ROUTE;
use super::metrics::series::InFlightGuard;
use super::traces::{Tracer, of_request};
use super::{AccessLog, Metrics, Outcome};
use crate::clock::Clock;
use crate::ledger::ReservationId;
use crate::refusal::Kind;
use crate::refused::{Recorder, RefusedCall};
use crate::request::{RequestFacts, RequestId, RequestLog};
use crate::team::Credential;

/// Metrics, logs and tracer, shared by all requests.
#[derive(Debug)]
pub struct Watch {
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Access log.
    pub log: AccessLog,
    /// Records spans, if traces are sent anywhere.
    pub tracer: Option<Arc<Tracer>>,
    /// Clock.
    pub clock: Clock,
    /// Recorder of refused calls.
    pub refused: Recorder,
}

/// A request that has not ended.
#[derive(Debug)]
pub struct Ending {
    watch: Arc<Watch>,
    id: RequestId,
    record: RequestLog,
    method: Method,
    started: Duration,
    /// Counts it in flight on its route, or on none until the route is known.
    inside: Option<InFlightGuard>,
    route_is_known: bool,
    answered: Option<Answered>,
}

#[derive(Debug)]
struct Answered {
    status: StatusCode,
    after: Duration,
    bytes: u64,
    whole: bool,
}

impl Ending {
    /// A request that has just arrived.
    #[must_use]
    pub fn new(watch: &Arc<Watch>, id: RequestId, record: RequestLog, method: Method) -> Self {
        let started = watch.clock.elapsed();
        let watch = Arc::clone(watch);
        Self {
            watch,
            id,
            record,
            method,
            started,
            inside: None,
            route_is_known: false,
            answered: None,
        }
    }

    /// The request's id.
    #[must_use]
    pub const fn id(&self) -> &RequestId {
        &self.id
    }

    /// The call's own id, once the request is a call.
    #[must_use]
    pub fn call_id(&self) -> Option<ReservationId> {
        self.record.facts().call_id
    }

    /// Counts the request in flight on its route once the log has one, until then on none.
    pub fn look_for_route(&mut self) {
        if self.route_is_known {
            return;
        }
        let route = self.record.facts().route;
        self.route_is_known = route.is_some();
        if self.route_is_known || self.inside.is_none() {
            // The earlier guard is dropped first, so that a request counts only once.
            self.inside = None;
            self.inside = self
                .watch
                .metrics
                .route(route.unwrap_or(NO_ROUTE))
                .map(|route| route.in_flight.enter());
        }
    }

    /// Notes that the answer is ready; `whole` when it has no body, as for `HEAD`.
    pub fn answered(&mut self, status: StatusCode, whole: bool) {
        let after = self.watch.clock.elapsed().saturating_sub(self.started);
        let whole = whole || self.method == Method::HEAD;
        self.answered = Some(Answered { status, after, bytes: 0, whole });
    }

    /// Notes that so many bytes of the body were sent; `whole` when they were the last.
    pub fn wrote(&mut self, bytes: usize, whole: bool) {
        if let Some(answered) = &mut self.answered {
            answered.bytes = answered.bytes.saturating_add(bytes as u64);
            answered.whole |= whole;
        }
    }

    /// Records a refused call, so that the team and its operators can look up why.
    fn record(&self, facts: &RequestFacts, kind: &Kind, status: StatusCode) {
        let (Some(team), Some(user), Some(call)) = (&facts.team, &facts.user, facts.call_id) else {
            return;
        };
        let key = facts.credential.as_ref().and_then(Credential::key_id);
        let refused = RefusedCall {
            created_at: self.watch.clock.now(),
            call_id: call.to_string(),
            request_id: self.id.as_str().to_owned(),
            user: user.as_str().to_owned(),
            key_id: key.map(|id| id.as_str().to_owned()),
            endpoint: facts.model.as_ref().map(|model| model.as_str().to_owned()),
            status: status.as_u16(),
            code: kind.code.to_owned(),
            limit: facts.limit.clone(),
            message: facts.message.clone().unwrap_or_default(),
        };
        self.watch.refused.note(team, refused);
    }

    fn outcome(&self, facts: &RequestFacts) -> Outcome {
        match (&facts.refusal, &self.answered) {
            (Some(kind), Some(_)) => Outcome::of_refusal(kind),
            (None, Some(answered)) if answered.whole => Outcome::of_answer(answered.status),
            (_, None) | (None, Some(_)) => Outcome::Abandoned,
        }
    }
}

/// Status 499 in metrics and logs, when the caller left before the answer.
fn left() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

impl Drop for Ending {
    /// Counts and logs. Does no I/O: the line goes into a buffer.
    fn drop(&mut self) {
        let duration = self.watch.clock.elapsed().saturating_sub(self.started);
        let metrics = &self.watch.metrics;
        let mut facts = self.record.facts();
        // A caller who left ended its wait.
        facts.waited();
        let status = self.answered.as_ref().map_or_else(left, |answered| answered.status);
        // Sending the answer takes as long as the caller likes, so it is not the gateway's time.
        let until_answer = self.answered.as_ref().map_or(duration, |answered| answered.after);
        let own = until_answer.saturating_sub(facts.elsewhere());
        if let Some(route) = metrics.route(facts.route.unwrap_or(NO_ROUTE)) {
            route.duration.observe_traced(duration, facts.trace, self.watch.clock.now());
            metrics.answered(route, status);
        }
        // A refusal is quick, and many of them would hide what calls wait for.
        if self.answered.is_some() && facts.refusal.is_none() {
            metrics.catalogue().overhead_seconds.observe(own);
        }
        if let Some(kind) = &facts.refusal {
            metrics.refused(facts.team.as_ref(), kind, facts.limit.as_deref());
            self.record(&facts, kind, status);
        }
        let ended = Ended {
            at: self.watch.clock.now(),
            id: &self.id,
            method: &self.method,
            status,
            outcome: self.outcome(&facts),
            bytes_out: self.answered.as_ref().map_or(0, |answered| answered.bytes),
            duration,
            own,
        };
        self.watch.log.write(&ended, &facts);
        if let (Some(recording), Some(tracer)) = (self.record.recording(), &self.watch.tracer) {
            of_request::end(recording, &ended, &facts, tracer.scheme(), self.answered.is_some());
        }
    }
}
