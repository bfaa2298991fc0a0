//! The gateway as a process: acquire what may fail, put it together, run until told to stop, then drain.

pub mod acquire;
mod descriptors;
mod outages;
pub mod reload;
mod store_watch;
mod stores;
pub mod unusable;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use acquire::Served;
pub use acquire::{Acquired, acquire};
pub use reload::Followed;
use store_watch::StoreWatch;
pub use unusable::{Listener, Unusable};

use crate::admin::{self, Readiness};
use crate::admission::sweeper::run_sweeper;
use crate::catalogue;
use crate::config::settings::ShutdownSettings;
use crate::upstream::UpstreamClient;
use crate::upstream::breaker::Probe;
use crate::upstream::queue::watch::watch;
use crate::upstream::reconcile::Reconcile;

/// Runs what was acquired until SIGTERM or SIGINT, until a worker ends by itself, or until the store is found unfit,
/// then drains. Returns when every open call has been answered and settled, or when the grace is over.
///
/// # Errors
/// A thread or a signal handler cannot be had; a worker ended by itself; the ledger's store is not fit to begin with; calls were still open after the grace.
pub async fn run(mut acquired: Acquired, followed: Option<Followed>) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let operator = serve_operator(&acquired, stop.clone())?;
    acquired.announce();
    let served = acquired.served();
    let gone = CancellationToken::new();
    let workers = worker::start(&mut acquired, &gone)?;
    let (unfit, found_unfit) = oneshot::channel();
    let beside = look_after(&acquired, followed, served, unfit, &stop);
    let mut shutdown = acquired.shutdown;
    let why = tokio::select! {
        () = signals.received() => None,
        () = gone.cancelled() => Some("a worker has ended by itself".to_owned()),
        Ok(why) = found_unfit => {
            // It never was ready: nobody was led to it who would have to be led away.
            shutdown.delay = Duration::ZERO;
            Some(why)
        }
    };
    if let Some(why) = &why {
        tracing::error!(why, "the gateway stops");
    }
    let cut_off = drain(&acquired.drain, &acquired.readiness, shutdown, &mut signals).await;
    stop.cancel();
    beside.close();
    beside.wait().await;
    join_workers(workers, &mut signals).await;
    join(operator).await;
    match (why, cut_off) {
        (None, 0) => Ok(()),
        (None, _) => Err(io::Error::other(format!("{cut_off} connections or calls were cut off after shutdown.grace"))),
        (Some(why), _) => Err(io::Error::other(why)),
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

/// What goes on beside the requests: the round over the teams, the shared account's windows, the register, the webhook,
/// the issuers' keys, reloads, whether the ledger's store is there and fit.
fn look_after(
    acquired: &Acquired,
    followed: Option<Followed>,
    served: Served,
    unfit: oneshot::Sender<String>,
    stop: &CancellationToken,
) -> tokio_util::task::TaskTracker {
    let beside = tokio_util::task::TaskTracker::new();
    let live = acquired.live.clone();
    let teams = move || live.teams.read().values().cloned().collect();
    let observer = Arc::clone(&acquired.metrics);
    beside.spawn(run_sweeper(acquired.ledger(), observer, teams, acquired.admission.reservation_ttl / 6, stop.clone()));
    let (upstream, observer) = (acquired.live.upstream.clone(), Arc::clone(&acquired.metrics));
    beside.spawn(watch(acquired.permits(), upstream, observer, WATCH_EVERY, stop.clone()));
    let (registrar, register) = (Arc::clone(&acquired.registrar), acquired.register());
    let told = stop.clone();
    beside.spawn(async move { registrar.keep(&*register, told).await });
    let store = StoreWatch {
        ledger: acquired.ledger(),
        registrar: Arc::clone(&acquired.registrar),
        readiness: acquired.readiness.clone(),
        flaws: acquired.flaws.clone(),
        served,
        unfit,
    };
    beside.spawn(store.run(stop.clone()));
    let teams = {
        let live = acquired.live.clone();
        move || live.teams.read().values().cloned().collect()
    };
    let reconcile = Reconcile {
        upstream: acquired.live.upstream.clone(),
        ledger: acquired.ledger(),
        teams,
        wire: UpstreamClient::new(acquired.buffer.clone()),
        observer: acquired.metrics.clone(),
        clock: acquired.clock.clone(),
    };
    beside.spawn(reconcile.run(stop.clone()));
    let probe = Probe {
        upstream: acquired.live.upstream.clone(),
        wire: UpstreamClient::new(acquired.buffer.clone()),
        observer: acquired.metrics.clone(),
        clock: acquired.clock.clone(),
    };
    beside.spawn(probe.run(stop.clone()));
    beside.spawn(watch_prices(acquired).run(stop.clone()));
    if let Some(desk) = acquired.notices.clone() {
        beside.spawn(desk.work(stop.clone()));
    }
    beside.spawn(reload::keep(acquired.live.clone(), followed, Arc::clone(&acquired.metrics), stop.clone()));
    beside
}

/// What holds the configured prices against the upstream's.
fn watch_prices(acquired: &Acquired) -> catalogue::watch::Watch {
    let answers = catalogue::Answers::new(catalogue::Parts {
        cache: acquired.catalogue.clone(),
        misses: acquired.misses.clone(),
        wire: UpstreamClient::new(acquired.buffer.clone()),
        upstream: acquired.live.upstream.clone(),
        settings: acquired.live.catalogue.clone(),
        prices: acquired.live.prices.clone(),
        proxies: Arc::clone(acquired.gate.proxies()),
        clock: acquired.clock.clone(),
    });
    catalogue::watch::Watch { answers, teams: acquired.live.teams.clone(), observer: acquired.metrics.clone() }
}

/// How often what is left of the shared account is looked at while nobody calls.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Waits until the workers have written what waits for the ledger. Each write is bounded by the ledger's deadline, and
/// each is tried once; one more signal ends the wait.
async fn join_workers(workers: Vec<JoinHandle<()>>, signals: &mut Signals) {
    tokio::select! {
        () = ended(workers) => {}
        () = signals.received() => tracing::error!("stopped by a second signal before every call was settled: whoever runs then settles the rest as unknown"),
    }
}

async fn join(thread: JoinHandle<()>) {
    if tokio::time::timeout(JOIN_MAX, ended(vec![thread])).await.is_err() {
        tracing::error!("a thread of the gateway did not end in time");
    }
}

/// Waits for threads in a thread of its own: the end of the process waits for none that is stuck, as it would for a
/// task.
async fn ended(threads: Vec<JoinHandle<()>>) {
    let (tell, told) = oneshot::channel();
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
