//! What is counted and measured. [`catalogue`] is the table, [`family`] keeps series apart, [`teams`] resolves them
//! once.
//!
//! No label ever holds what a caller sent: teams, models, issuers and shared keys come from the configuration, all else
//! from closed lists. A series that was shown once is shown until the process ends.

pub mod catalogue;
pub mod family;
mod observe_admission;
mod observe_catalogue;
mod observe_identity;
mod observe_ledger;
mod observe_notice;
mod observe_replay;
mod observe_server;
mod observe_upstream;
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

pub use catalogue::Catalogue;

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

/// The route of requests that are none of ours.
pub const NO_ROUTE: &str = "none";

/// The result of a settlement that had been done before.
const REPEATED: &str = "repeated";

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The catalogue is not one that Prometheus accepts. A mistake in this program, found when it starts.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be registered: {0}")]
pub struct Unregistrable(String);

/// Every number the gateway shows, with the series of the known teams and routes at hand.
#[derive(Debug)]
pub struct Metrics {
    catalogue: Catalogue,
    registry: Registry,
    clock: Clock,
    routes: Vec<RouteSeries>,
    teams: ArcSwap<FastMap<TeamId, Arc<TeamSeries>>>,
    /// Made only when it is needed: a team that nobody made known.
    nobody: OnceLock<Arc<TeamSeries>>,
    /// When each issuer's key set was last read, by the clock's elapsed time.
    key_sets_read: Mutex<HashMap<String, Duration>>,
}

/// What is counted for a route.
#[derive(Debug)]
pub struct RouteSeries {
    name: &'static str,
    answered_ok: Counter,
    /// Its requests that have not ended.
    pub in_flight: InFlight,
    /// How long its requests take.
    pub duration: Histogram,
}

impl Metrics {
    /// The metrics of one process, with everything at zero that is known from the start.
    ///
    /// # Errors
    /// The table itself is wrong.
    pub fn new(clock: Clock) -> Result<Self, Unregistrable> {
        Self::register(clock).map_err(|error| Unregistrable(error.to_string()))
    }

    fn register(clock: Clock) -> prometheus::Result<Self> {
        let dropped = Counter::default();
        let mut catalogue = Catalogue::new(&dropped)?;
        catalogue.metric_series_dropped_total = catalogue.metric_series_dropped_total.showing(dropped);
        let registry = Registry::new();
        catalogue.register(&registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        catalogue.build_info.with([env!("CARGO_PKG_VERSION")]).set(1.0);
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
            routes,
            teams: ArcSwap::default(),
            nobody: OnceLock::new(),
            key_sets_read: Mutex::default(),
        };
        // A process that counts has read its configuration.
        metrics.reloaded(Ok(metrics.clock.now()));
        Ok(metrics)
    }

    /// Makes the configured teams known, with their limits, at zero. To be called at start and with every new
    /// configuration before it is in force; what was known before keeps its series. A series of a team and a model
    /// begins with its first call.
    pub fn register_teams<'a>(&self, teams: impl IntoIterator<Item = &'a Team>) {
        let before = self.teams.load();
        let mut known: FastMap<TeamId, Arc<TeamSeries>> = FastMap::default();
        for team in teams {
            for model in team.prices.models.keys() {
                self.catalogue.upstream_duration_seconds.init([model.as_str()]);
                self.catalogue.upstream_requests_total.init([model.as_str(), "200"]);
            }
            let series = TeamSeries::configured(&self.catalogue, team, before.get(&team.id).map(Arc::as_ref));
            known.insert(team.id.clone(), Arc::new(series));
        }
        for (team, series) in before.iter() {
            let gone = || Arc::new(TeamSeries::named(&self.catalogue, team.as_str(), Some(series)));
            known.entry(team.clone()).or_insert_with(gone);
        }
        self.teams.store(Arc::new(known));
    }

    /// The series of a team. One that was never made known is counted under no name: nothing but the configuration can
    /// make a label.
    #[must_use]
    pub fn team(&self, team: &TeamId) -> Arc<TeamSeries> {
        let nobody = || Arc::clone(self.nobody.get_or_init(|| Arc::new(TeamSeries::named(&self.catalogue, "", None))));
        self.teams.load().get(team).map_or_else(nobody, Arc::clone)
    }

    /// The series of a route, by its name in the table of routes.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&RouteSeries> {
        self.routes.iter().find(|route| route.name == name).or_else(|| self.routes.last())
    }

    /// A request of this route ended with this status.
    pub fn answered(&self, route: &RouteSeries, status: http::StatusCode) {
        if status == http::StatusCode::OK {
            route.answered_ok.inc();
        } else {
            self.catalogue.http_requests_total.with([route.name, status.as_str()]).inc();
        }
    }

    /// A request was refused. The team is named when it is a known one.
    pub fn refused(&self, team: Option<&TeamId>, kind: &Kind) {
        let teams = self.teams.load();
        let known = team.filter(|team| teams.contains_key(team)).map_or("", TeamId::as_str);
        self.catalogue.refusals_total.with([known, kind.code, kind.source.name()]).inc();
    }

    /// The configuration was read, or could not be: then the one before stays in force, and so does its time.
    pub fn reloaded(&self, at: Result<Timestamp, ()>) {
        self.catalogue.config_last_reload_success.set_whether(at.is_ok());
        if let Ok(at) = at {
            self.catalogue.config_last_reload_timestamp_seconds.set(at.as_duration().as_secs_f64());
        }
    }

    /// The table itself, for what counts on its own.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Everything as text, in Prometheus' exposition format ([`CONTENT_TYPE`]). Takes milliseconds when there are
    /// thousands of series.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        self.age_key_sets();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }

    fn key_set_read(&self, issuer: &str) {
        let mut read = self.key_sets_read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(issuer.to_owned(), self.clock.elapsed());
    }

    fn age_key_sets(&self) {
        let now = self.clock.elapsed();
        let read = self.key_sets_read.lock().unwrap_or_else(PoisonError::into_inner);
        for (issuer, at) in read.iter() {
            self.catalogue.jwks_age_seconds.with([issuer]).set(now.saturating_sub(*at).as_secs_f64());
        }
    }
}
