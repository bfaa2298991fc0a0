//! The metrics. [`catalogue`] is the table, [`family`] holds the series of one metric, [`teams`]
//! resolves a team's series once.
//!
//! No label ever holds what a caller sent: teams, models, issuers and shared keys come from the
//! configuration, everything else from closed lists. A series that was shown once is shown until
//! the process ends.

pub mod catalogue;
pub mod exemplars;
pub mod family;
mod observe_admission;
mod observe_catalogue;
mod observe_identity;
mod observe_ledger;
mod observe_notice;
mod observe_replay;
mod observe_server;
mod observe_upstream;
mod openmetrics;
mod runtimes;
pub mod series;
pub mod teams;
#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::runtime::RuntimeMetrics;

pub use catalogue::Catalogue;

use self::openmetrics::ByHistogram;
use self::runtimes::Runtimes;
use self::series::{Counter, Histogram, InFlight};
use self::teams::TeamSeries;
use crate::clock::Clock;
use crate::idempotency;
use crate::ledger::Outcome as Settled;
use crate::maps::FastMap;
use crate::refusal::Kind;
use crate::request::Route;
use crate::server::observe::Stall;
use crate::team::{Team, TeamId};
use crate::version::{COMMIT, VERSION};

/// The route label of requests outside the table of routes.
pub const NO_ROUTE: &str = "none";

/// The result label of a repeated settlement.
const REPEATED: &str = "repeated";

/// The text format of a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// `OpenMetrics` 1.0, which has exemplars.
    OpenMetrics,
}

impl Format {
    /// The format's content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Prometheus does not accept the catalogue: a mistake in this program, found at its start.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be registered: {0}")]
pub struct Unregistrable(String);

/// All metrics of the process, with the series of known teams and routes resolved.
#[derive(Debug)]
pub struct Metrics {
    catalogue: Catalogue,
    registry: Registry,
    clock: Clock,
    runtimes: Runtimes,
    routes: Vec<RouteSeries>,
    teams: ArcSwap<FastMap<TeamId, Arc<TeamSeries>>>,
    /// Series without a team's name, for teams that are not configured. Made on demand.
    nobody: OnceLock<Arc<TeamSeries>>,
    /// When each issuer's key set was last read, on the monotonic clock.
    key_sets_read: Mutex<HashMap<String, Duration>>,
}

/// Series of a route.
#[derive(Debug)]
pub struct RouteSeries {
    name: &'static str,
    answered_ok: Counter,
    /// Requests in flight.
    pub in_flight: InFlight,
    /// Durations of requests.
    pub duration: Histogram,
}

impl Metrics {
    /// The metrics of one process; series known from the start are at zero.
    ///
    /// # Errors
    /// The table itself is wrong.
    pub fn new(clock: Clock) -> Result<Self, Unregistrable> {
        Self::register(clock).map_err(|error| Unregistrable(error.to_string()))
    }

    fn register(clock: Clock) -> prometheus::Result<Self> {
        let dropped = Counter::default();
        let mut catalogue = Catalogue::new(&dropped)?;
        catalogue.metric_series_dropped_total =
            catalogue.metric_series_dropped_total.showing(dropped);
        let registry = Registry::new();
        catalogue.register(&registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let runtimes = Runtimes::default();
        registry.register(Box::new(runtimes.clone()))?;
        catalogue.build_info.with([VERSION, COMMIT]).set(1.0);
        catalogue.certificate_expiry_timestamp_seconds.set(f64::INFINITY);
        for result in [Settled::Charged, Settled::Released, Settled::Unknown] {
            catalogue.settlements_total.init([result.name()]);
        }
        catalogue.settlements_total.init([REPEATED]);
        for kind in idempotency::Kind::ALL {
            catalogue.replays_total.init([kind.name()]);
        }
        for stall in Stall::ALL {
            catalogue.accept_stalls_total.init([stall.name()]);
        }
        let route = |name| RouteSeries {
            name,
            answered_ok: catalogue.http_requests_total.with([name, "200"]),
            in_flight: catalogue.http_in_flight.with([name]),
            duration: catalogue.http_request_duration_seconds.with([name]),
        };
        let routes = Route::NAMES.into_iter().chain([NO_ROUTE]).map(route).collect();
        let metrics = Self {
            catalogue,
            registry,
            clock,
            runtimes,
            routes,
            teams: ArcSwap::default(),
            nobody: OnceLock::new(),
            key_sets_read: Mutex::default(),
        };
        // The process has read its configuration before it counts.
        metrics.reloaded(Ok(metrics.clock.now()));
        Ok(metrics)
    }

    /// Adds metrics of a tokio runtime under this name.
    pub fn add_runtime(&self, name: impl Into<String>, runtime: RuntimeMetrics) {
        self.runtimes.add(name.into(), runtime);
    }

    /// Makes the series of configured teams and limits, at zero. Called at start and before each
    /// new configuration takes effect; earlier series stay. A series of a team and a model begins
    /// with its first call.
    pub fn register_teams<'a>(&self, teams: impl IntoIterator<Item = &'a Team>) {
        let before = self.teams.load();
        let mut known: FastMap<TeamId, Arc<TeamSeries>> = FastMap::default();
        for team in teams {
            for model in team.prices.models.keys() {
                self.catalogue.upstream_duration_seconds.init([model.as_str()]);
                self.catalogue.upstream_requests_total.init([model.as_str(), "200"]);
            }
            let series = TeamSeries::configured(
                &self.catalogue,
                team,
                before.get(&team.id).map(Arc::as_ref),
            );
            known.insert(team.id.clone(), Arc::new(series));
        }
        for (team, series) in before.iter() {
            let gone = || Arc::new(TeamSeries::named(&self.catalogue, team.as_str(), Some(series)));
            known.entry(team.clone()).or_insert_with(gone);
        }
        self.teams.store(Arc::new(known));
    }

    /// The series of a team. An unknown team is counted without a name, because labels come only
    /// from the configuration.
    #[must_use]
    pub fn team(&self, team: &TeamId) -> Arc<TeamSeries> {
        let nobody = || {
            Arc::clone(
                self.nobody.get_or_init(|| Arc::new(TeamSeries::named(&self.catalogue, "", None))),
            )
        };
        self.teams.load().get(team).map_or_else(nobody, Arc::clone)
    }

    /// The series of a route of the table of routes.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&RouteSeries> {
        self.routes.iter().find(|route| route.name == name).or_else(|| self.routes.last())
    }

    /// Counts a request of this route that ended with this status.
    pub fn answered(&self, route: &RouteSeries, status: http::StatusCode) {
        if status == http::StatusCode::OK {
            route.answered_ok.inc();
        } else {
            self.catalogue.http_requests_total.with([route.name, status.as_str()]).inc();
        }
    }

    /// Counts a refusal, and the limit if one refused. Names the team if it is known.
    pub fn refused(&self, team: Option<&TeamId>, kind: &Kind, limit: Option<&str>) {
        let teams = self.teams.load();
        let known = team.filter(|team| teams.contains_key(team)).map_or("", TeamId::as_str);
        self.catalogue.refusals_total.with([known, kind.code, kind.source.name()]).inc();
        if let Some(limit) = limit {
            self.catalogue.limit_refusals_total.with([known, limit]).inc();
        }
    }

    /// Sets when the first of a team's gateway keys expires; `None` when none does.
    pub fn keys_expire(&self, team: &TeamId, first: Option<Timestamp>) {
        let at = first.map_or(f64::INFINITY, |at| at.as_duration().as_secs_f64());
        self.catalogue.key_expiry_timestamp_seconds.with([team.as_str()]).set(at);
    }

    /// Notes whether the configuration was read. After a failure the former one stays in force,
    /// with its time.
    pub fn reloaded(&self, at: Result<Timestamp, ()>) {
        self.catalogue.config_last_reload_success.set_whether(at.is_ok());
        if let Ok(at) = at {
            self.catalogue.config_last_reload_timestamp_seconds.set(at.as_duration().as_secs_f64());
        }
    }

    /// The table, for parts that count for themselves.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// All metrics as text. Takes milliseconds for thousands of series.
    #[must_use]
    pub fn render(&self, format: Format) -> Vec<u8> {
        self.age_key_sets();
        let families = self.registry.gather();
        match format {
            Format::Text => {
                let mut text = Vec::new();
                if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
                    tracing::error!(%error, "the metrics cannot be written");
                }
                text
            }
            Format::OpenMetrics => {
                let (mut text, mut exemplars) = (String::new(), ByHistogram::new());
                self.catalogue.http_request_duration_seconds.exemplars(&mut exemplars);
                self.catalogue.team_request_duration_seconds.exemplars(&mut exemplars);
                if let Err(error) = openmetrics::write(&families, &exemplars, &mut text) {
                    tracing::error!(%error, "the metrics cannot be written");
                }
                text.into_bytes()
            }
        }
    }

    fn key_set_read(&self, issuer: &str) {
        let mut read = self.key_sets_read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(issuer.to_owned(), self.clock.elapsed());
    }

    fn age_key_sets(&self) {
        let now = self.clock.elapsed();
        let read = self.key_sets_read.lock().unwrap_or_else(PoisonError::into_inner);
        for (issuer, at) in read.iter() {
            self.catalogue
                .jwks_age_seconds
                .with([issuer])
                .set(now.saturating_sub(*at).as_secs_f64());
        }
    }
}
