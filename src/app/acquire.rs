//! Acquires everything that may fail at start: sockets, certificates, stores, secrets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::outages::Outages;
use super::reload::Live;
use super::stores::Stores;
use super::unusable::{Listener, Unusable};
use crate::admin::{self, Details, Readiness};
use crate::admission::{Latest, Undelivered, reservation_manager};
use crate::catalogue;
use crate::clock::Clock;
use crate::config::settings::{ShutdownSettings, Store};
use crate::config::{self, FixedSettings, Settings};
use crate::idempotency::{self, Replays};
use crate::identity::{self, CredentialGuard, RegistrySync};
use crate::ledger::{self, Flaw, Ledger};
use crate::live;
use crate::permits::Permits;
use crate::refused;
use crate::request::cors::CorsLayer;
use crate::request::{self, Buffer};
use crate::server::{self, Drain, Server};
use crate::telemetry::traces::{self, Exporter, Tracer};
use crate::telemetry::{AccessLog, AuditLog, Metrics};
use crate::webhook;

/// A gateway that is ready to run.
pub struct Acquired {
    /// One listening socket per worker. It moves into the worker and closes when the worker ends.
    pub listeners: Vec<TcpListener>,
    /// The operator's listening socket.
    pub operator_listener: TcpListener,
    /// The operator's listener.
    pub operator: admin::Operator,
    /// State shared by the workers' accept loops.
    pub server: Server,
    /// Origins whose pages may call.
    pub cors: CorsLayer,
    /// The drain.
    pub drain: Drain,
    /// How long the drain may take.
    pub shutdown: ShutdownSettings,
    /// Settings that a reload replaces.
    pub live: Live,
    /// Synchronizes the key registry.
    pub registry_sync: Arc<RegistrySync>,
    /// Readiness of this replica.
    pub readiness: Readiness,
    /// Flaws of the ledger's store, as last found.
    pub flaws: live::Live<Vec<Flaw>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub access_log: AccessLog,
    /// The audit log.
    pub audit_log: AuditLog,
    /// Calls that were refused and are not in the store yet.
    pub recorder: refused::Recorder,
    /// Records spans, if traces are sent anywhere.
    pub tracer: Option<Arc<Tracer>>,
    /// Sends them.
    pub exporter: Option<Exporter>,
    /// Settings for stored answers.
    pub replay: idempotency::Settings,
    /// Sends the webhook's notices, if one is configured.
    pub notices: Option<Arc<webhook::Sender>>,
    /// Settings of admission.
    pub admission: reservation_manager::Settings,
    /// Guards the verification of credentials.
    pub credential_guard: CredentialGuard,
    /// Bounds of a well-formed request.
    pub request: request::Settings,
    /// Memory for bodies.
    pub buffer: Buffer,
    /// The catalogue's answers.
    pub catalogue: catalogue::Cache,
    /// The limits of callers, as last reported.
    pub latest: Latest,
    /// Limits on the catalogue's cache misses.
    pub misses: catalogue::Misses,
    /// Slots that stay taken because their answers are unread.
    pub undelivered: Undelivered,
    /// The time.
    pub clock: Clock,
    stores: Stores,
}

/// Addresses of the listeners, and the number of teams.
pub(super) struct Served {
    pub(super) team: String,
    pub(super) operator: String,
    pub(super) teams: usize,
}

/// Acquires what the settings need.
///
/// # Errors
/// The first thing that cannot be acquired.
pub fn acquire(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    access_log: &AccessLog,
    audit_log: &AuditLog,
    clock: Clock,
) -> Result<Acquired, Unusable> {
    let fixed = &settings.fixed;
    super::reload::warn(settings);
    let live = Live::new(settings, metrics, &clock).map_err(Unusable::Live)?;
    let notices = notices(fixed, metrics)?;
    let (tracer, exporter) = tracing(fixed, metrics, &clock)?;
    let observer = watching(metrics, notices.as_ref(), &fixed.ledger.store);
    let stores = Stores::new(&fixed.ledger, fixed.on_unknown, fixed.replay, &clock, &observer)?;
    let drain = Drain::default();
    let listeners = listeners(&fixed.server)?;
    let operator_listener = operator_listener(fixed.admin_address)?;
    let server = server(&fixed.server, &drain, metrics)?;
    let flaws = live::Live::new(Vec::new());
    let readiness =
        Readiness::new(details(live.clone(), flaws.clone(), stores.ledger(), clock.clone()));
    let registry_sync =
        RegistrySync::new(live.registry.clone(), live.authenticator.clone(), config::read_limits);
    let registry_sync = Arc::new(registry_sync);
    let api = operator_api(&live, &stores, &registry_sync, audit_log, &clock);
    let operator = admin::Operator::new(Arc::clone(metrics), readiness.clone(), api)
        .listening_on(fixed.admin_address);
    let request = fixed.request.clone();
    let buffer =
        Buffer::new(request.buffered_bytes_max, request.body_bytes_max, live.shares.clone());
    Ok(Acquired {
        listeners,
        operator_listener,
        operator,
        server,
        drain,
        shutdown: fixed.shutdown,
        live,
        registry_sync,
        readiness,
        flaws,
        metrics: Arc::clone(metrics),
        access_log: access_log.clone(),
        recorder: refused::Recorder::default(),
        audit_log: audit_log.clone(),
        tracer,
        exporter,
        replay: fixed.replay,
        notices,
        admission: reservation_manager::Settings {
            on_unknown: fixed.on_unknown,
            reservation_ttl: fixed.ledger.reservation_ttl,
        },
        cors: CorsLayer::new(fixed.cors_origins.clone()),
        credential_guard: CredentialGuard::new(fixed.trusted_proxies.clone(), clock.clone()),
        request,
        buffer,
        catalogue: catalogue::Cache::default(),
        latest: Latest::default(),
        misses: catalogue::Misses::default(),
        undelivered: Undelivered::default(),
        clock,
        stores,
    })
}

/// The sender of the webhook's notices, if a webhook is configured.
fn notices(
    settings: &FixedSettings,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<webhook::Sender>>, Unusable> {
    let webhook = settings.webhook.as_ref();
    let sender = webhook.map(|webhook| webhook::Sender::new(webhook, metrics.clone())).transpose();
    Ok(sender.map_err(Unusable::Webhook)?.map(Arc::new))
}

/// The recorder of spans and their sender, if traces are sent anywhere.
fn tracing(
    settings: &FixedSettings,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<(Option<Arc<Tracer>>, Option<Exporter>), Unusable> {
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    let started = settings
        .telemetry
        .otlp
        .as_ref()
        .map(|otlp| traces::start(otlp, metrics, clock.clone(), scheme));
    Ok(started.transpose().map_err(Unusable::Traces)?.unzip())
}

/// State of the accept loops, with no more connections than there are file descriptors for.
fn server(
    settings: &server::Settings,
    drain: &Drain,
    metrics: &Arc<Metrics>,
) -> Result<Server, Unusable> {
    let connections_max = super::descriptors::bound_connections(settings.connections_max);
    let settings = server::Settings { connections_max, ..settings.clone() };
    Server::new(settings, drain.clone(), metrics.clone()).map_err(Unusable::Certificate)
}

fn operator_api(
    live: &Live,
    stores: &Stores,
    registry_sync: &Arc<RegistrySync>,
    audit_log: &AuditLog,
    clock: &Clock,
) -> admin::Api {
    admin::Api::new(admin::api::Parts {
        shown: live.admin.clone(),
        audit_log: audit_log.clone(),
        registry_sync: Arc::clone(registry_sync),
        store: stores.registry(),
        ledger: stores.ledger(),
        teams: live.teams.clone(),
        upstream: live.upstream.clone(),
        permits: stores.permits(),
        refused: stores.refused(),
        clock: clock.clone(),
    })
}

/// State of what this replica depends on, for each probe.
fn details(
    live: Live,
    flaws: live::Live<Vec<Flaw>>,
    ledger: Arc<dyn Ledger>,
    clock: Clock,
) -> impl Fn() -> Details + Send + Sync {
    move || {
        let (upstream, authenticator, now) =
            (live.upstream.read(), live.authenticator.read(), clock.now());
        let keys = upstream.keys.iter();
        let keys = keys.map(|key| {
            (
                key.name.to_string(),
                key.current_cooldown(now).map_or("ok", |cooldown| cooldown.why.name()),
            )
        });
        let unknown = authenticator.issuers_without_keys();
        let state = |issuer| if unknown.contains(issuer) { "no_keys" } else { "ok" };
        Details {
            upstream: if upstream.breaker.is_open() { "breaker_open" } else { "ok" },
            upstream_keys: keys.collect(),
            issuers: authenticator
                .issuers()
                .map(|issuer| (issuer.to_string(), state(issuer)))
                .collect(),
            ledger_store: flaws.read().iter().map(ToString::to_string).collect(),
            closed_teams: ledger.closed().iter().map(ToString::to_string).collect(),
        }
    }
}

/// Observers of the stores: the log, then the webhook if there is one, then metrics.
fn watching(
    metrics: &Arc<Metrics>,
    notices: Option<&Arc<webhook::Sender>>,
    store: &Store,
) -> Arc<dyn ledger::Observer> {
    let counting: Arc<dyn ledger::Observer> = match notices {
        Some(sender) => Arc::new(webhook::Watch::new(metrics.clone(), Arc::clone(sender))),
        None => metrics.clone(),
    };
    Arc::new(Outages::new(counting, store))
}

impl Acquired {
    /// A ledger handle. Each worker takes its own.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        self.stores.ledger()
    }

    /// A handle for the shared account's permits. Each worker takes its own.
    #[must_use]
    pub fn permits(&self) -> Arc<dyn Permits> {
        self.stores.permits()
    }

    /// A handle for stored answers. Each worker takes its own.
    #[must_use]
    pub fn replays(&self) -> Replays {
        let (store, tracker) = (self.stores.replays(), self.drain.open.clone());
        Replays::new(store, self.metrics.clone(), self.replay, tracker, self.buffer.clone())
    }

    /// A handle for the calls that were refused lately. Each runtime takes its own.
    #[must_use]
    pub fn refused(&self) -> Arc<dyn refused::Store> {
        self.stores.refused()
    }

    /// A handle for the key registry. Each runtime takes its own.
    #[must_use]
    pub fn registry(&self) -> Arc<dyn identity::Store> {
        self.stores.registry()
    }

    /// Address of the team listener, with the port that was found.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn team_address(&self) -> io::Result<SocketAddr> {
        self.listeners
            .first()
            .map_or_else(|| Err(io::ErrorKind::NotFound.into()), TcpListener::local_addr)
    }

    /// Address of the operator's listener.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn operator_address(&self) -> io::Result<SocketAddr> {
        self.operator_listener.local_addr()
    }

    /// Logs both addresses.
    pub fn announce(&self) {
        let Served { team, operator, .. } = self.served();
        tracing::info!(team, operator, version = env!("CARGO_PKG_VERSION"), "listening");
    }

    /// What is served, for the log.
    pub(super) fn served(&self) -> Served {
        let text = |address: io::Result<SocketAddr>| {
            address.map(|address| address.to_string()).unwrap_or_default()
        };
        let teams = self.live.teams.read().len();
        Served { team: text(self.team_address()), operator: text(self.operator_address()), teams }
    }
}

fn listeners(settings: &server::Settings) -> Result<Vec<TcpListener>, Unusable> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = if settings.workers == 0 { cores() } else { settings.workers };
    server::listen::bind(settings.address, workers).map_err(taken(Listener::Team, settings.address))
}

fn operator_listener(address: SocketAddr) -> Result<TcpListener, Unusable> {
    server::listen::bind_one(address).map_err(taken(Listener::Operator, address))
}

fn taken(listener: Listener, address: SocketAddr) -> impl FnOnce(io::Error) -> Unusable {
    move |error| Unusable::Address { listener, address, error }
}
