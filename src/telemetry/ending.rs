//! The end of a request: one guard that moves from the future into the body, and when it is dropped counts and logs.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::access_log::Ended;
use super::metrics::NO_ROUTE;
use super::metrics::series::InFlightGuard;
use super::{AccessLog, Metrics, Outcome};
use crate::clock::Clock;
use crate::ledger::ReservationId;
use crate::request::{RequestFacts, RequestId, RequestLog};

/// What watches requests, the same for all of them.
#[derive(Debug)]
pub struct Watch {
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Where their lines go.
    pub log: AccessLog,
    /// What they are measured by.
    pub clock: Clock,
}

/// One request that has not ended.
#[derive(Debug)]
pub struct Ending {
    watch: Arc<Watch>,
    id: RequestId,
    record: RequestLog,
    method: Method,
    started: Duration,
    /// In flight on its route; on no route until it is known.
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
        Self { watch, id, record, method, started, inside: None, route_is_known: false, answered: None }
    }

    /// The request's name.
    #[must_use]
    pub const fn id(&self) -> &RequestId {
        &self.id
    }

    /// The call's own id, when the request became a call.
    #[must_use]
    pub fn call_id(&self) -> Option<ReservationId> {
        self.record.facts().call_id
    }

    /// Counts the request in flight on its route as soon as the record names one, until then on none.
    pub fn look_for_route(&mut self) {
        if self.route_is_known {
            return;
        }
        let route = self.record.facts().route;
        self.route_is_known = route.is_some();
        if self.route_is_known || self.inside.is_none() {
            // The earlier guard goes first: a request is in one place at a time.
            self.inside = None;
            self.inside = self.watch.metrics.route(route.unwrap_or(NO_ROUTE)).map(|route| route.in_flight.enter());
        }
    }

    /// The answer is ready; `whole` when it has no body to write. The answer to `HEAD` never has one.
    pub fn answered(&mut self, status: StatusCode, whole: bool) {
        let after = self.watch.clock.elapsed().saturating_sub(self.started);
        let whole = whole || self.method == Method::HEAD;
        self.answered = Some(Answered { status, after, bytes: 0, whole });
    }

    /// So many bytes of the body were taken; `whole` when they were the last.
    pub fn wrote(&mut self, bytes: usize, whole: bool) {
        if let Some(answered) = &mut self.answered {
            answered.bytes = answered.bytes.saturating_add(bytes as u64);
            answered.whole |= whole;
        }
    }

    fn outcome(&self, facts: &RequestFacts) -> Outcome {
        match (&facts.refusal, &self.answered) {
            (Some(kind), Some(_)) => Outcome::of_refusal(kind),
            (None, Some(answered)) if answered.whole => Outcome::of_answer(answered.status),
            (_, None) | (None, Some(_)) => Outcome::Abandoned,
        }
    }
}

/// The status of a caller who left before the answer: only in metrics and logs, nobody is left to get it.
fn left() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

impl Drop for Ending {
    /// Does no I/O: the line goes into a buffer.
    fn drop(&mut self) {
        let duration = self.watch.clock.elapsed().saturating_sub(self.started);
        let metrics = &self.watch.metrics;
        let mut facts = self.record.facts();
        // A caller who left did not wait for the gateway either.
        facts.waited();
        let status = self.answered.as_ref().map_or_else(left, |answered| answered.status);
        // Writing the answer takes as long as the caller likes: it is not the gateway's own time.
        let until_answer = self.answered.as_ref().map_or(duration, |answered| answered.after);
        let own = until_answer.saturating_sub(facts.elsewhere());
        if let Some(route) = metrics.route(facts.route.unwrap_or(NO_ROUTE)) {
            route.duration.observe(duration);
            metrics.answered(route, status);
        }
        if self.answered.is_some() {
            metrics.catalogue().overhead_seconds.observe(own);
        }
        if let Some(kind) = &facts.refusal {
            metrics.refused(facts.team.as_ref(), kind);
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
    }
}
