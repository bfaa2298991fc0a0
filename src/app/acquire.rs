//! Everything that may fail at start: sockets, certificates, stores, secrets. What comes out can be run.

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
use crate::request::{self, Buffer};
use crate::server::{self, Drain, Server};
use crate::telemetry::{AccessLog, AuditLog, Metrics};
use crate::webhook;

/// A gateway, ready to be run.
pub struct Acquired {
    /// One listening socket per worker. Each moves into its worker, so that it closes when the worker ends.
    pub listeners: Vec<TcpListener>,
    /// The operator's listening socket.
    pub operator_listener: TcpListener,
    /// What the operator's listener serves.
    pub operator: admin::Operator,
    /// What the workers' accept loops share.
    pub server: Server,
    /// How it stops.
    pub drain: Drain,
    /// How long stopping may take.
    pub shutdown: ShutdownSettings,
    /// What a reload replaces.
    pub live: Live,
    /// Keeps what operators decide while running.
    pub registrar: Arc<RegistrySync>,
    /// Whether it is ready.
    pub readiness: Readiness,
    /// What is wrong with the ledger's store, as it was found last.
    pub flaws: live::Live<Vec<Flaw>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub access_log: AccessLog,
    /// What is remembered of calls, and how long.
    pub replay: idempotency::Settings,
    /// Tells the webhook, where there is one.
    pub notices: Option<Arc<webhook::Sender>>,
    /// How admission behaves.
    pub admission: reservation_manager::Settings,
    /// Where unknown callers are judged.
    pub gate: CredentialGuard,
    /// What a well-formed request may be.
    pub request: request::Settings,
    /// Memory for bodies.
    pub buffer: Buffer,
    /// The catalogue's answers.
    pub catalogue: catalogue::Cache,
    /// What is known of callers' limits.
    pub latest: Latest,
    /// How often the upstream was asked for it.
    pub misses: catalogue::Misses,
    /// Slots of answers that nobody has read yet.
    pub undelivered: Undelivered,
    /// The time.
    pub clock: Clock,
    stores: Stores,
}

/// What a gateway serves: where teams and operators reach it, and how many teams it knows.
pub(super) struct Served {
    pub(super) team: String,
    pub(super) operator: String,
    pub(super) teams: usize,
}

/// Acquires what the settings ask for.
///
/// # Errors
/// The first thing that cannot be had.
pub fn acquire(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    access_log: &AccessLog,
    audit_log: &AuditLog,
    clock: Clock,
) -> Result<Acquired, Unusable> {
    let FixedSettings {
        server,
        trusted_proxies,
        admin_address,
        request,
        ledger,
        on_unknown,
        replay,
        webhook,
        shutdown,
        ..
    } = &settings.fixed;
    super::reload::warn(settings);
    let live = Live::new(settings, metrics, &clock).map_err(Unusable::Live)?;
    let desk = webhook.as_ref().map(|webhook| webhook::Sender::new(webhook, metrics.clone()));
    let notices = desk.transpose().map_err(Unusable::Webhook)?.map(Arc::new);
    let observer = watching(metrics, notices.as_ref(), &ledger.store);
    let stores = Stores::new(ledger, *on_unknown, *replay, &clock, &observer)?;
    let drain = Drain::default();
    let listeners = listeners(server)?;
    let operator_listener = operator_listener(*admin_address)?;
    let connections_max = super::descriptors::bound_connections(server.connections_max);
    let server = server::Settings { connections_max, ..server.clone() };
    let server = Server::new(server, drain.clone(), metrics.clone()).map_err(Unusable::Certificate)?;
    let flaws = live::Live::new(Vec::new());
    let readiness = Readiness::new(details(live.clone(), flaws.clone(), stores.ledger(), clock.clone()));
    let registrar = RegistrySync::new(live.register.clone(), live.directory.clone(), config::read_limits);
    let registrar = Arc::new(registrar);
    let api = admin::Api::new(admin::api::Parts {
        shown: live.admin.clone(),
        audit_log: audit_log.clone(),
        registrar: Arc::clone(&registrar),
        store: stores.register(),
        ledger: stores.ledger(),
        teams: live.teams.clone(),
        upstream: live.upstream.clone(),
        clock: clock.clone(),
    });
    let operator = admin::Operator::new(Arc::clone(metrics), readiness.clone(), api).listening_on(*admin_address);
    let buffer = Buffer::new(request.buffered_bytes_max, request.body_bytes_max, live.shares.clone());
    Ok(Acquired {
        listeners,
        operator_listener,
        operator,
        server,
        drain,
        shutdown: *shutdown,
        live,
        registrar,
        readiness,
        flaws,
        metrics: Arc::clone(metrics),
        access_log: access_log.clone(),
        replay: *replay,
        notices,
        admission: reservation_manager::Settings { on_unknown: *on_unknown, reservation_ttl: ledger.reservation_ttl },
        gate: CredentialGuard::new(trusted_proxies.clone(), clock.clone()),
        request: request.clone(),
        buffer,
        catalogue: catalogue::Cache::default(),
        latest: Latest::default(),
        misses: catalogue::Misses::default(),
        undelivered: Undelivered::default(),
        clock,
        stores,
    })
}

/// How the parts are that this replica works with, looked at for every probe.
fn details(
    live: Live,
    flaws: live::Live<Vec<Flaw>>,
    ledger: Arc<dyn Ledger>,
    clock: Clock,
) -> impl Fn() -> Details + Send + Sync {
    move || {
        let (upstream, directory, now) = (live.upstream.read(), live.directory.read(), clock.now());
        let keys = upstream.keys.iter();
        let keys = keys.map(|key| (key.name.to_string(), key.resting(now).map_or("ok", |rest| rest.why.name())));
        let unknown = directory.issuers_without_keys();
        let state = |issuer| if unknown.contains(issuer) { "no_keys" } else { "ok" };
        Details {
            upstream: if upstream.breaker.is_open() { "breaker_open" } else { "ok" },
            upstream_keys: keys.collect(),
            issuers: directory.issuers().map(|issuer| (issuer.to_string(), state(issuer))).collect(),
            ledger_store: flaws.read().iter().map(ToString::to_string).collect(),
            closed_teams: ledger.closed().iter().map(ToString::to_string).collect(),
        }
    }
}

/// Who watches the stores: the metrics, before them the webhook's desk, where there is one, and before that the log.
fn watching(
    metrics: &Arc<Metrics>,
    notices: Option<&Arc<webhook::Sender>>,
    store: &Store,
) -> Arc<dyn ledger::Observer> {
    let counting: Arc<dyn ledger::Observer> = match notices {
        Some(desk) => Arc::new(webhook::Watch::new(metrics.clone(), Arc::clone(desk))),
        None => metrics.clone(),
    };
    Arc::new(Outages::new(counting, store))
}

impl Acquired {
    /// A handle to the ledger. Each worker takes one of its own.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        self.stores.ledger()
    }

    /// A handle to the shared account's permits. Each worker takes one of its own.
    #[must_use]
    pub fn permits(&self) -> Arc<dyn Permits> {
        self.stores.permits()
    }

    /// A handle to what is remembered of calls. Each worker takes one of its own.
    #[must_use]
    pub fn replays(&self) -> Replays {
        let (store, tracker) = (self.stores.replays(), self.drain.open.clone());
        Replays::new(store, self.metrics.clone(), self.replay, tracker, self.buffer.clone())
    }

    /// A handle to the register. Each runtime takes one of its own.
    #[must_use]
    pub fn register(&self) -> Arc<dyn identity::Store> {
        self.stores.register()
    }

    /// Where the team listener listens, now that a port was found.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn team_address(&self) -> io::Result<SocketAddr> {
        self.listeners.first().map_or_else(|| Err(io::ErrorKind::NotFound.into()), TcpListener::local_addr)
    }

    /// Where the operator's listener listens.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn operator_address(&self) -> io::Result<SocketAddr> {
        self.operator_listener.local_addr()
    }

    /// Says in the log where it listens.
    pub fn announce(&self) {
        let Served { team, operator, .. } = self.served();
        tracing::info!(team, operator, version = env!("CARGO_PKG_VERSION"), "listening");
    }

    /// What it serves, for the log.
    pub(super) fn served(&self) -> Served {
        let told = |address: io::Result<SocketAddr>| address.map(|address| address.to_string()).unwrap_or_default();
        let teams = self.live.teams.read().len();
        Served { team: told(self.team_address()), operator: told(self.operator_address()), teams }
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
