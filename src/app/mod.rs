//! The gateway as a process: acquire, run until stopped, drain.

pub mod acquire;
mod background;
mod descriptors;
mod key_expiry;
mod outages;
pub mod reload;
mod store_watch;
mod stores;
pub mod unusable;
pub mod worker;

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use acquire::{Acquired, acquire};
pub use reload::Followed;
pub use unusable::{Listener, Unusable};

use crate::admin::{self, Readiness};
use crate::config::settings::ShutdownSettings;

/// Runs until SIGTERM or SIGINT, until a worker ends by itself, or until the store is found unfit;
/// then drains. Returns when every open call has been answered and settled, or the grace period is
/// over.
///
/// # Errors
/// A thread or a signal handler cannot be acquired; a worker ended by itself; the ledger's store is
/// unfit at start; calls were still open after the grace period.
pub async fn run(mut acquired: Acquired, followed: Option<Followed>) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let own = tokio::runtime::Handle::current();
    acquired.metrics.add_runtime("main", own.metrics());
    let operator = serve_operator(&acquired, stop.clone())?;
    acquired.announce();
    let served = acquired.served();
    let gone = CancellationToken::new();
    let workers = worker::start(&mut acquired, &gone)?;
    let (exporter, all_ended) = (acquired.exporter.take(), CancellationToken::new());
    let exporting = exporter.map(|exporter| tokio::spawn(exporter.work(all_ended.clone())));
    let (unfit, found_unfit) = oneshot::channel();
    let tasks = background::start(&acquired, followed, (served, unfit), &stop);
    let mut shutdown = acquired.shutdown;
    let why = tokio::select! {
        () = signals.received() => None,
        () = gone.cancelled() => Some("a worker has ended by itself".to_owned()),
        Ok(why) = found_unfit => {
            // The gateway never was ready, so no balancer has to notice first.
            shutdown.delay = Duration::ZERO;
            Some(why)
        }
    };
    if let Some(why) = &why {
        tracing::error!(why, "the gateway stops");
    }
    let cut_off = drain(&acquired.drain, &acquired.readiness, shutdown, &mut signals).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    join_workers(workers, &mut signals).await;
    // Last, since calls that were cut off are recorded too. Its own end is bounded.
    all_ended.cancel();
    if let Some(exporting) = exporting {
        let _ = exporting.await;
    }
    join(operator).await;
    match (why, cut_off) {
        (None, 0) => Ok(()),
        (None, _) => Err(io::Error::other(format!(
            "{cut_off} connections or calls were cut off after shutdown.grace"
        ))),
        (Some(why), _) => Err(io::Error::other(why)),
    }
}

/// Signals that stop the process; a second one stops it at once.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Drains. Returns how many connections and calls were still open after the grace period.
async fn drain(
    drain: &crate::server::Drain,
    readiness: &Readiness,
    shutdown: ShutdownSettings,
    signals: &mut Signals,
) -> usize {
    tracing::info!(
        delay = ?shutdown.delay,
        grace = ?shutdown.grace,
        "stopping: not ready any more"
    );
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

/// The operator's listener has its own thread, so that busy workers never delay a probe.
fn serve_operator(acquired: &Acquired, stop: CancellationToken) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    acquired.metrics.add_runtime("operator", runtime.metrics());
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

/// Waits until the workers have written their pending changes to the ledger. Each write is bounded
/// by the ledger's deadline and tried once; another signal ends the wait.
async fn join_workers(workers: Vec<JoinHandle<()>>, signals: &mut Signals) {
    tokio::select! {
        () = ended(workers) => {}
        () = signals.received() => tracing::error!(
            "stopped by a second signal before every call was settled: whoever runs then settles \
             the rest as unknown"
        ),
    }
}

async fn join(thread: JoinHandle<()>) {
    if tokio::time::timeout(JOIN_MAX, ended(vec![thread])).await.is_err() {
        tracing::error!("a thread of the gateway did not end in time");
    }
}

/// Joins threads in a thread of its own: unlike a blocking task, it does not hold up the end of the
/// process when one is stuck.
async fn ended(threads: Vec<JoinHandle<()>>) {
    let (sender, ended) = oneshot::channel();
    let joining = std::thread::Builder::new().name("join".to_owned()).spawn(move || {
        threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = sender.send(());
    });
    if joining.is_ok() {
        let _ = ended.await;
    }
}

/// How long the operator's thread may take to end after its last answer.
const JOIN_MAX: Duration = Duration::from_secs(5);
