//! The gateway as a process: acquire what may fail, put it together, run until told to stop, then drain.

pub mod acquire;
mod descriptors;
pub mod reload;
mod stores;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use acquire::{Acquired, Listener, Unusable, acquire};
pub use reload::Followed;

use crate::admin::{self, Readiness};
use crate::admission::patrol::patrol;
use crate::catalogue;
use crate::config::settings::ShutdownSettings;
use crate::identity::Registrar;
use crate::ledger::{Ledger, Outage};
use crate::upstream::Wire;
use crate::upstream::breaker::Probe;
use crate::upstream::queue::watch::watch;
use crate::upstream::reconcile::Reconcile;

/// Runs what was acquired until SIGTERM or SIGINT, or until a worker ends by itself, then drains. Returns when every open call
/// has been answered and settled, or when the grace is over.
///
/// # Errors
/// A thread or a signal handler cannot be had; a worker ended by itself; calls were still open after the grace.
pub async fn run(mut acquired: Acquired, followed: Option<Followed>) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let operator = serve_operator(&acquired, stop.clone())?;
    acquired.announce();
    let gone = CancellationToken::new();
    let workers = worker::start(&mut acquired, &gone)?;
    let beside = look_after(&acquired, followed, &stop);
    let told = tokio::select! {
        () = signals.received() => true,
        () = gone.cancelled() => false,
    };
    if !told {
        tracing::error!("a worker has ended by itself: the gateway stops");
    }
    let cut_off = drain(&acquired.drain, &acquired.readiness, acquired.shutdown, &mut signals).await;
    stop.cancel();
    beside.close();
    beside.wait().await;
    join_workers(workers, &mut signals).await;
    join(operator).await;
    match (told, cut_off) {
        (true, 0) => Ok(()),
        (true, _) => Err(io::Error::other(format!("{cut_off} connections or calls were cut off after shutdown.grace"))),
        (false, _) => Err(io::Error::other("a worker ended by itself")),
    }
}

/// The signals that stop the process; a second one does not wait any longer.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns how many connections and calls were still open after the grace.
async fn drain(
    drain: &crate::server::Drain,
    readiness: &Readiness,
    shutdown: ShutdownSettings,
    signals: &mut Signals,
) -> usize {
    tracing::info!(delay = ?shutdown.delay, grace = ?shutdown.grace, "stopping: not ready any more");
    readiness.drain();
    drain.leave();
    wait(shutdown.delay, signals).await;
    drain.refuse();
    tracing::info!("stopping: new requests are refused, open calls are finished");
    let open = tokio::select! {
        () = drain.open.wait() => 0,
        () = wait(shutdown.grace, signals) => drain.open.len(),
    };
    if open == 0 {
        tracing::info!("stopped: every open call was finished");
    } else {
        tracing::error!(open, "stopped: open calls were cut off");
    }
    drain.end();
    open
}

async fn wait(time: Duration, signals: &mut Signals) {
    let _ = tokio::time::timeout(time, signals.received()).await;
}

/// The operator's listener has a thread of its own: a busy worker never starves a probe.
fn serve_operator(acquired: &Acquired, stop: CancellationToken) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = acquired.operator_listener.try_clone()?;
    let operator = acquired.operator.clone();
    std::thread::Builder::new().name("operator".to_owned()).spawn(move || {
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => admin::serve(listener, operator, stop).await,
                Err(error) => tracing::error!(%error, "the operator's listener cannot be served"),
            }
        });
    })
}

/// What goes on beside the requests: the round over the teams, the shared account's windows, the register, the webhook, the
/// issuers' keys, reloads, the readiness of the ledger.
fn look_after(
    acquired: &Acquired,
    followed: Option<Followed>,
    stop: &CancellationToken,
) -> tokio_util::task::TaskTracker {
    let beside = tokio_util::task::TaskTracker::new();
    let live = acquired.live.clone();
    let teams = move || live.teams.read().values().cloned().collect();
    let observer = Arc::clone(&acquired.metrics);
    beside.spawn(patrol(acquired.ledger(), observer, teams, acquired.admission.reservation_ttl / 6, stop.clone()));
    let (upstream, observer) = (acquired.live.upstream.clone(), Arc::clone(&acquired.metrics));
    beside.spawn(watch(acquired.permits(), upstream, observer, WATCH_EVERY, stop.clone()));
    let (registrar, register) = (Arc::clone(&acquired.registrar), acquired.register());
    let told = stop.clone();
    beside.spawn(async move { registrar.keep(&*register, told).await });
    let registrar = Arc::clone(&acquired.registrar);
    beside.spawn(probe_ledger(acquired.ledger(), registrar, acquired.readiness.clone(), stop.clone()));
    let teams = {
        let live = acquired.live.clone();
        move || live.teams.read().values().cloned().collect()
    };
    let reconcile = Reconcile {
        upstream: acquired.live.upstream.clone(),
        ledger: acquired.ledger(),
        teams,
        wire: Wire::new(acquired.buffer.clone()),
        observer: acquired.metrics.clone(),
        clock: acquired.clock.clone(),
    };
    beside.spawn(reconcile.run(stop.clone()));
    let probe = Probe {
        upstream: acquired.live.upstream.clone(),
        wire: Wire::new(acquired.buffer.clone()),
        observer: acquired.metrics.clone(),
        clock: acquired.clock.clone(),
    };
    beside.spawn(probe.run(stop.clone()));
    beside.spawn(watch_prices(acquired).run(stop.clone()));
    if let Some(desk) = acquired.notices.clone() {
        beside.spawn(desk.work(stop.clone()));
    }
    beside.spawn(probe_issuers(acquired.live.clone(), acquired.readiness.clone(), stop.clone()));
    beside.spawn(reload::keep(acquired.live.clone(), followed, Arc::clone(&acquired.metrics), stop.clone()));
    beside
}

/// What holds the configured prices against the upstream's.
fn watch_prices(acquired: &Acquired) -> catalogue::watch::Watch {
    let answers = catalogue::Answers::new(catalogue::Parts {
        cache: acquired.catalogue.clone(),
        misses: acquired.misses.clone(),
        wire: Wire::new(acquired.buffer.clone()),
        upstream: acquired.live.upstream.clone(),
        settings: acquired.live.catalogue.clone(),
        prices: acquired.live.prices.clone(),
        proxies: Arc::clone(acquired.gate.proxies()),
        clock: acquired.clock.clone(),
    });
    catalogue::watch::Watch { answers, teams: acquired.live.teams.clone(), observer: acquired.metrics.clone() }
}

/// Asks the ledger until it has answered once, and has what other replicas know: only then is the gateway ready, and only
/// with the register, so that no replica is given requests before it knows who is suspended.
async fn probe_ledger(
    ledger: Arc<dyn Ledger>,
    registrar: Arc<Registrar>,
    readiness: Readiness,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match ledger.probe().await {
            Ok(()) => {
                tokio::select! {
                    () = registrar.until_read() => readiness.ledger_answered(),
                    () = stop.cancelled() => {}
                }
                return;
            }
            Err(Outage::Lost) => readiness.ledger_is_new(),
            Err(outage) => tracing::warn!(%outage, "the ledger has not answered yet"),
        }
        let _ = tokio::time::timeout(PROBE_AGAIN, stop.cancelled()).await;
    }
}

/// Looks until a credential could be judged: only then is the gateway ready.
async fn probe_issuers(live: reload::Live, readiness: Readiness, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if live.directory.read().can_let_in() {
            return readiness.someone_can_be_let_in();
        }
        let _ = tokio::time::timeout(PROBE_AGAIN, stop.cancelled()).await;
    }
}

/// How often what is left of the shared account is looked at while nobody calls.
const WATCH_EVERY: Duration = Duration::from_secs(5);
const PROBE_AGAIN: Duration = Duration::from_millis(250);

/// Waits until the workers have written what waits for the ledger. Each write is bounded by the ledger's deadline, and each is
/// tried once; one more signal ends the wait.
async fn join_workers(workers: Vec<JoinHandle<()>>, signals: &mut Signals) {
    tokio::select! {
        () = ended(workers) => {}
        () = signals.received() => tracing::error!("stopped before everything was settled"),
    }
}

async fn join(thread: JoinHandle<()>) {
    if tokio::time::timeout(JOIN_MAX, ended(vec![thread])).await.is_err() {
        tracing::error!("a thread did not end");
    }
}

/// Waits for threads in a thread of its own: the end of the process waits for none that is stuck, as it would for a task.
async fn ended(threads: Vec<JoinHandle<()>>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let joining = std::thread::Builder::new().name("join".to_owned()).spawn(move || {
        threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tell.send(());
    });
    if joining.is_ok() {
        let _ = told.await;
    }
}

/// How long the operator's thread may take to end once everything it served is over.
const JOIN_MAX: Duration = Duration::from_secs(5);
