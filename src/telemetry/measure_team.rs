//! Counts and times the requests of each team, by outcome.
//!
//! Reads: the principal's team; at the end, the model in the log. Writes: metrics. Refuses:
//! nothing. Position: right below `authenticate`, so that strangers do not count for a team, and
//! above everything that can refuse a team's request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::metrics::series::InFlightGuard;
use super::metrics::teams::TeamSeries;
use super::{Metrics, Outcome};
use crate::clock::Clock;
use crate::http::Answer;
use crate::identity::Authenticated;
use crate::refusal::Refusal;
use crate::request::RequestLog;
use crate::team::TeamId;

/// Makes [`MeasureTeam`].
#[derive(Clone, Debug)]
pub struct MeasureTeamLayer {
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl MeasureTeamLayer {
    /// Counts in these metrics and measures by this clock.
    #[must_use]
    pub const fn new(metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { metrics, clock }
    }
}

impl<S> Layer<S> for MeasureTeamLayer {
    type Service = MeasureTeam<S>;

    fn layer(&self, inner: S) -> MeasureTeam<S> {
        MeasureTeam { inner, metrics: Arc::clone(&self.metrics), clock: self.clock.clone() }
    }
}

/// Measures each team's requests.
#[derive(Clone, Debug)]
pub struct MeasureTeam<S> {
    inner: S,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl<S, B> Service<Authenticated<B>> for MeasureTeam<S>
where
    S: Service<Authenticated<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, authenticated: Authenticated<B>) -> MeasuredFuture<S::Future> {
        let record = authenticated.arrival().record.clone();
        let measured =
            Measured::new(&self.metrics, &self.clock, &authenticated.principal().team, record);
        MeasuredFuture { inner: self.inner.call(authenticated), measured }
    }
}

pin_project! {
    /// Waits for the answer or refusal. Dropped earlier, the caller has left.
    #[derive(Debug)]
    pub struct MeasuredFuture<F> {
        #[pin]
        inner: F,
        measured: Measured,
    }
}

impl<F: Future<Output = Result<Answer, Refusal>>> Future for MeasuredFuture<F> {
    type Output = Result<Answer, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map(|result| {
            this.measured.outcome = Some(match &result {
                Ok(answer) => Outcome::of_answer(answer.status()),
                Err(refusal) => Outcome::of_refusal(&refusal.kind()),
            });
            result
        })
    }
}

/// A team's open request; counted when dropped.
#[derive(Debug)]
struct Measured {
    metrics: Arc<Metrics>,
    clock: Clock,
    series: Arc<TeamSeries>,
    record: RequestLog,
    started: Duration,
    outcome: Option<Outcome>,
    _inside: InFlightGuard,
}

impl Measured {
    fn new(metrics: &Arc<Metrics>, clock: &Clock, team: &TeamId, record: RequestLog) -> Self {
        let series = metrics.team(team);
        let inside = series.in_flight.enter();
        let (metrics, clock) = (Arc::clone(metrics), clock.clone());
        Self {
            started: clock.elapsed(),
            metrics,
            clock,
            series,
            record,
            outcome: None,
            _inside: inside,
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let facts = self.record.facts();
        // After a panic the future is dropped without a result; its refusal is in the log.
        let refused = || facts.refusal.as_ref().map(Outcome::of_refusal);
        let outcome = self.outcome.or_else(refused).unwrap_or(Outcome::Abandoned);
        let catalogue = self.metrics.catalogue();
        if facts.call_id.is_some() {
            let duration = self.clock.elapsed().saturating_sub(self.started);
            self.series.observe_duration(
                catalogue,
                outcome,
                (duration, facts.trace, self.clock.now()),
            );
        }
        self.series.ended(catalogue, facts.model_label(), outcome);
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::http::AnswerBody;
    use crate::ledger::ReservationId;
    use crate::model::ModelId;
    use crate::request::RequestFacts;

    /// Measures a team that was never registered, so that its series have an empty name.
    fn measured(metrics: &Arc<Metrics>) -> (Measured, RequestLog) {
        let record = RequestLog::default();
        let team = TeamId::parse("design").expect("a team");
        (Measured::new(metrics, &Clock::system(), &team, record.clone()), record)
    }

    fn counted(metrics: &Metrics, outcome: Outcome) -> u64 {
        metrics.catalogue().team_requests_total.with(["", "other", outcome.name()]).get()
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(Clock::system()).expect("a good table"))
    }

    #[tokio::test]
    async fn each_end_is_counted_once_under_its_outcome() {
        let metrics = metrics();
        let mut bad = Answer::new(AnswerBody::new("{}"));
        *bad.status_mut() = http::StatusCode::BAD_REQUEST;
        for (result, outcome) in [
            (Ok(Answer::default()), Outcome::Ok),
            (Ok(bad), Outcome::UpstreamError),
            (Err(Refusal::UpstreamTimeout), Outcome::UpstreamError),
            (Err(Refusal::TeamSuspended), Outcome::Refused),
        ] {
            let before = counted(&metrics, outcome);
            let _ = MeasuredFuture { inner: ready(result), measured: measured(&metrics).0 }.await;
            assert_eq!(counted(&metrics, outcome), before + 1);
        }
    }

    #[tokio::test]
    async fn a_request_is_in_flight_until_its_future_ends() {
        let metrics = metrics();
        let level = metrics.team(&TeamId::parse("design").expect("a team")).in_flight.clone();
        let future = MeasuredFuture {
            inner: pending::<Result<Answer, Refusal>>(),
            measured: measured(&metrics).0,
        };
        assert_eq!(level.get(), 1);
        drop(future);
        assert_eq!(level.get(), 0);
        assert_eq!(counted(&metrics, Outcome::Abandoned), 1);
    }

    #[test]
    fn a_panic_counts_as_refused_and_not_as_abandoned() {
        let metrics = metrics();
        let (measured, record) = measured(&metrics);
        record.facts().refusal = Some(Refusal::Internal.kind());
        drop(measured);
        assert_eq!(counted(&metrics, Outcome::Refused), 1);
    }

    #[test]
    fn only_generations_are_timed_under_their_outcome() {
        let metrics = metrics();
        for call_id in [None, Some(ReservationId::new())] {
            let (mut measured, record) = measured(&metrics);
            record.facts().call_id = call_id;
            measured.outcome = Some(Outcome::Refused);
            drop(measured);
        }
        let timed = |outcome: Outcome| {
            let durations = &metrics.catalogue().team_request_duration_seconds;
            durations.with(["", outcome.name()]).count()
        };
        assert_eq!((timed(Outcome::Refused), timed(Outcome::Ok)), (1, 0));
    }

    #[test]
    fn the_model_becomes_a_label_only_when_it_is_priced() {
        let metrics = metrics();
        for priced in [true, false] {
            let (measured, record) = measured(&metrics);
            let model = ModelId::parse("flux/dev");
            *record.facts() =
                RequestFacts { model, model_is_priced: priced, ..RequestFacts::default() };
            drop(measured);
        }
        assert_eq!(counted(&metrics, Outcome::Abandoned), 1);
        assert_eq!(
            metrics.catalogue().team_requests_total.with(["", "flux/dev", "abandoned"]).get(),
            1
        );
    }
}
