//! The series of one team, resolved once per request.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;

use super::catalogue::{Catalogue, CreditCounter, VideoCounter};
use super::series::{Counter, Gauge, Histogram, InFlight};
use crate::credits::Credits;
use crate::ledger::LimitStatus;
use crate::maps::FastMap;
use crate::request::Traceparent;
use crate::team::limit::{Shape, Unit};
use crate::team::{LimitKind, Team};
use crate::telemetry::Outcome;

/// The model label of models without a price.
pub const OTHER: &str = "other";

/// Series of a team.
#[derive(Debug)]
pub struct TeamSeries {
    /// The label.
    name: Box<str>,
    /// Requests in flight.
    pub in_flight: InFlight,
    /// Durations of generations, by outcome.
    durations: [OnceLock<Histogram>; Outcome::ALL.len()],
    /// Calls that wait for the shared account.
    pub queue_depth: InFlight,
    /// Waits for the shared account.
    pub queue_wait: Histogram,
    /// Open reservations.
    pub open: Gauge,
    /// Reservations ended by a sweep.
    pub swept: Counter,
    models: FastMap<Box<str>, ModelSeries>,
    /// Series of limits, in the order of [`LimitKind::ALL`].
    limits: [Option<LimitSeries>; LimitKind::ALL.len()],
}

/// Series of a team and a model, each made when it first counts: teams times models times outcomes
/// are too many for a scrape, and most pairs never occur.
#[derive(Debug)]
pub struct ModelSeries {
    /// The label.
    model: Box<str>,
    outcomes: [OnceLock<Counter>; Outcome::ALL.len()],
    settled: OnceLock<SettledSeries>,
}

/// Series of the results of a team's calls to a model.
#[derive(Debug)]
pub struct SettledSeries {
    /// Credits charged.
    pub credits: CreditCounter,
    /// Images delivered.
    pub images: Counter,
    /// Video delivered.
    pub video: VideoCounter,
}

impl ModelSeries {
    fn new(model: &str) -> Self {
        Self {
            model: model.into(),
            outcomes: [const { OnceLock::new() }; Outcome::ALL.len()],
            settled: OnceLock::new(),
        }
    }

    fn outcome(&self, catalogue: &Catalogue, team: &str, outcome: Outcome) -> &Counter {
        let make = || catalogue.team_requests_total.with([team, &self.model, outcome.name()]);
        self.outcomes[outcome as usize].get_or_init(make)
    }

    fn settled(&self, catalogue: &Catalogue, team: &str) -> &SettledSeries {
        self.settled.get_or_init(|| SettledSeries {
            credits: catalogue.team_credits_total.with([team, &self.model]),
            images: catalogue.team_images_total.with([team, &self.model]),
            video: catalogue.team_video_seconds_total.with([team, &self.model]),
        })
    }
}

#[derive(Debug)]
struct LimitSeries {
    max: Gauge,
    /// Shown once the ledger has answered, because a zero before that would be a guess.
    used: OnceLock<Gauge>,
    reset_at: OnceLock<Gauge>,
}

impl TeamSeries {
    /// The series of a team as configured now; series shown for `before` stay.
    #[must_use]
    pub fn configured(catalogue: &Catalogue, team: &Team, before: Option<&Self>) -> Self {
        let name = team.id.as_str();
        let mut series = Self::named(catalogue, name, before);
        for model in team.prices.models.keys().filter(|model| team.models.allow(model)) {
            series.add_model(model.as_str());
        }
        for limit in team.limits.iter() {
            series.limit(catalogue, limit.kind).set(amount(limit.kind, limit.burst));
            if limit.shadow {
                catalogue.shadow_refusals_total.init([name, &limit_label(limit.kind)]);
            }
            if limit.soft.is_some() {
                catalogue.soft_limit_crossings_total.init([name, &limit_label(limit.kind)]);
            }
        }
        series
    }

    /// The series of a team that is not configured, or not yet.
    #[must_use]
    pub fn named(catalogue: &Catalogue, name: &str, before: Option<&Self>) -> Self {
        let mut series = Self {
            name: name.into(),
            in_flight: catalogue.team_in_flight.with([name]),
            durations: [const { OnceLock::new() }; Outcome::ALL.len()],
            queue_depth: catalogue.team_queue_depth.with([name]),
            queue_wait: catalogue.queue_wait_seconds.with([name]),
            open: catalogue.reservations_open.with([name]),
            swept: catalogue.reservations_swept_total.with([name]),
            models: FastMap::default(),
            limits: [const { None }; LimitKind::ALL.len()],
        };
        series.add_model(OTHER);
        if let Some(before) = before {
            before.models.keys().for_each(|model| series.add_model(model));
            for kind in
                LimitKind::ALL.into_iter().filter(|kind| before.limits[index(*kind)].is_some())
            {
                series.limit(catalogue, kind).set(f64::INFINITY);
            }
        }
        series
    }

    fn add_model(&mut self, model: &str) {
        if !self.models.contains_key(model) {
            self.models.insert(model.into(), ModelSeries::new(model));
        }
    }

    fn limit(&mut self, catalogue: &Catalogue, kind: LimitKind) -> &Gauge {
        let make = || LimitSeries {
            max: catalogue.limit.with([&self.name, &limit_label(kind)]),
            used: OnceLock::new(),
            reset_at: OnceLock::new(),
        };
        &self.limits[index(kind)].get_or_insert_with(make).max
    }

    /// Runs with the result series of a model, by its label: a priced model, or `other`.
    pub fn settled(
        &self,
        catalogue: &Catalogue,
        model_label: &str,
        count: impl FnOnce(&SettledSeries),
    ) {
        self.with_model(model_label, |series| count(series.settled(catalogue, &self.name)));
    }

    /// Counts a request with this outcome.
    pub fn ended(&self, catalogue: &Catalogue, model_label: &str, outcome: Outcome) {
        self.with_model(model_label, |series| series.outcome(catalogue, &self.name, outcome).inc());
    }

    /// Observes the duration of a generation.
    pub fn observe_duration(
        &self,
        catalogue: &Catalogue,
        outcome: Outcome,
        (duration, trace, at): (Duration, Option<Traceparent>, Timestamp),
    ) {
        let make = || catalogue.team_request_duration_seconds.with([&self.name, outcome.name()]);
        self.durations[outcome as usize].get_or_init(make).observe_traced(duration, trace, at);
    }

    /// The label of a model given by name only, which another replica may have priced.
    #[must_use]
    pub fn label<'a>(&self, model: &'a str) -> &'a str {
        if self.models.contains_key(model) { model } else { OTHER }
    }

    fn with_model(&self, model_label: &str, count: impl FnOnce(&ModelSeries)) {
        match self.models.get(model_label) {
            Some(series) => count(series),
            // Priced, but not for this team: rare, because such a call is refused.
            None => count(&ModelSeries::new(model_label)),
        }
    }

    /// Sets the gauges of one of the team's own limits.
    pub fn set_limit(&self, catalogue: &Catalogue, status: &LimitStatus) {
        let kind = status.kind;
        let Some(series) = &self.limits[index(kind)] else { return };
        series.max.set(amount(kind, status.max));
        let used =
            series.used.get_or_init(|| catalogue.limit_used.with([&self.name, &limit_label(kind)]));
        used.set(amount(kind, status.used.saturating_add(status.reserved)));
        if let Some(at) = status.reset_at {
            let label =
                || catalogue.limit_reset_timestamp_seconds.with([&self.name, &limit_label(kind)]);
            series.reset_at.get_or_init(label).set(at.as_duration().as_secs_f64());
        }
    }
}

/// The label of a team's own limit, `team:credits_per_month`. Limits of users and keys have none,
/// because their number is unbounded.
#[must_use]
pub fn limit_label(kind: LimitKind) -> String {
    format!("team:{kind}")
}

const fn index(kind: LimitKind) -> usize {
    kind as usize
}

/// An amount as it is shown: credits in credits, everything else as a count.
#[allow(clippy::cast_precision_loss)]
fn amount(kind: LimitKind, number: u64) -> f64 {
    match kind.shape() {
        Shape::Window(_, Unit::Credits) => Credits::from_micros(number).for_display(),
        Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => number as f64,
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_kinds_index_matches_its_place_in_the_list() {
        for (at, kind) in LimitKind::ALL.into_iter().enumerate() {
            assert_eq!(index(kind), at);
        }
    }

    #[test]
    fn an_outcome_is_found_where_the_list_has_it() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
    }
}
