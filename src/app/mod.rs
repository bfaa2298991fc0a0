//! The gateway as a process: acquire what may fail, put it together, run until told to stop, then drain.

pub mod acquire;
pub mod reload;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use acquire::{Acquired, Unusable, acquire};
pub use reload::Followed;

use crate::admin::{self, Readiness};
use crate::admission::patrol::patrol;
use crate::config::settings::ShutdownSettings;

/// Runs what was acquired until SIGTERM or SIGINT, then drains. Returns when every open call has been answered and settled,
/// or when the grace is over.
///
/// # Errors
/// A thread or a signal handler cannot be had.
pub async fn run(acquired: Acquired, followed: Option<Followed>) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let operator = serve_operator(&acquired, stop.clone())?;
    let workers = worker::start(&acquired)?;
    let beside = look_after(&acquired, followed, &stop);
    acquired.announce();
    signals.received().await;
    drain(&acquired.drain, &acquired.readiness, acquired.shutdown, &mut signals).await;
    stop.cancel();
    beside.close();
    beside.wait().await;
    join(workers).await;
    join(vec![operator]).await;
    Ok(())
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

async fn drain(drain: &crate::server::Drain, readiness: &Readiness, shutdown: ShutdownSettings, signals: &mut Signals) {
    tracing::info!(delay = ?shutdown.delay, grace = ?shutdown.grace, "stopping: not ready any more");
    readiness.drain();
    drain.leave();
    wait(shutdown.delay, signals).await;
    drain.refuse();
    tracing::info!("stopping: new requests are refused, open calls are finished");
    tokio::select! {
        () = drain.open.wait() => tracing::info!("stopped: every open call was finished"),
        () = wait(shutdown.grace, signals) => tracing::error!(open = drain.open.len(), "stopped: open calls were cut off"),
    }
    drain.end();
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

/// What goes on beside the requests: the round over the teams, the issuers' keys, reloads, the readiness of the ledger.
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
    beside.spawn(probe_ledger(acquired.ledger(), acquired.readiness.clone(), stop.clone()));
    beside.spawn(reload::keep(acquired.live.clone(), followed, Arc::clone(&acquired.metrics), stop.clone()));
    beside
}

/// Asks the ledger until it has answered once: only then is the gateway ready.
async fn probe_ledger(ledger: Arc<dyn crate::ledger::Ledger>, readiness: Readiness, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match ledger.probe().await {
            Ok(()) => return readiness.ledger_answered(),
            Err(outage) => tracing::warn!(%outage, "the ledger has not answered yet"),
        }
        let _ = tokio::time::timeout(PROBE_AGAIN, stop.cancelled()).await;
    }
}

const PROBE_AGAIN: Duration = Duration::from_millis(250);

async fn join(threads: Vec<JoinHandle<()>>) {
    let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
    if tokio::time::timeout(JOIN_MAX, joined).await.is_err() {
        tracing::error!("a thread did not end");
    }
}

/// How long threads may take to end once everything they served is over.
const JOIN_MAX: Duration = Duration::from_secs(5);
