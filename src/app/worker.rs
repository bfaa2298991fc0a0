//! A worker: one thread, one runtime, one listening socket, its own stack, connections and ledger handle. Nothing it
//! does for a request wakes another thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Acquired;
use super::reload::Live;
use crate::admission::{ReservationManager, reservation_manager};
use crate::server::{self, Server};
use crate::stack::{Parts, stack};
use crate::telemetry::{MeasureTeamLayer, TraceAndCountLayer};
use crate::upstream::UpstreamClient;

/// Starts a worker for every listening socket, which it takes; `gone` is cancelled as soon as one of them ends, however
/// it ends.
///
/// # Errors
/// A thread, or its runtime, cannot be had.
pub fn start(acquired: &mut Acquired, gone: &CancellationToken) -> io::Result<Vec<JoinHandle<()>>> {
    let listeners = std::mem::take(&mut acquired.listeners).into_iter().enumerate();
    listeners.map(|(number, listener)| start_one(acquired, number, listener, gone)).collect()
}

fn start_one(
    acquired: &Acquired,
    number: usize,
    listener: TcpListener,
    gone: &CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ledger = acquired.ledger();
    let observer = Arc::clone(&acquired.metrics);
    let (keeper, duties) = ReservationManager::new(ledger, observer, acquired.admission, acquired.drain.open.clone());
    let parts = parts(acquired, Arc::clone(&keeper));
    let server = acquired.server.clone();
    let gone = gone.clone().drop_guard();
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        // Dropped last, also by a panic.
        let _gone = gone;
        runtime.block_on(work(listener, parts, server, keeper, duties));
    })
}

async fn work(
    listener: TcpListener,
    parts: Parts,
    server: Server,
    keeper: Arc<ReservationManager>,
    duties: reservation_manager::BackgroundTasks,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a worker cannot listen: the gateway stops"),
    };
    let (done, cut, open) = (CancellationToken::new(), keeper.cut().clone(), server.drain.open.clone());
    let mut keeping = tokio::spawn(keeper.work(duties, done.clone()));
    tokio::spawn(parts.wire.clone().tend(parts.upstream.clone(), done.clone()));
    tokio::select! {
        () = server::serve(listener, stack(parts), server) => {}
        _ = &mut keeping => return tracing::error!("a worker failed while it looked after its calls: the gateway stops"),
    }
    // What is still open hands its reservation over as it is dropped, so that the keeper ends it.
    cut.cancel();
    if tokio::time::timeout(CUT_MAX, open.wait()).await.is_err() {
        tracing::error!(open = open.len(), "calls that were cut off have not ended in time");
    }
    done.cancel();
    // What is still to be settled is written before the thread ends.
    let _ = keeping.await;
}

/// How long what was cut off may take to end, over all workers. It is only dropped; what is remembered of calls may
/// still be written.
const CUT_MAX: Duration = Duration::from_secs(2);

/// Puts together what one worker's stack is made of.
#[must_use]
pub fn parts(acquired: &Acquired, keeper: Arc<ReservationManager>) -> Parts {
    let Live { directory, upstream, prices, catalogue, catalogue_is_public, account, .. } = acquired.live.clone();
    Parts {
        trace_and_count: TraceAndCountLayer::new(
            Arc::clone(&acquired.metrics),
            acquired.access_log.clone(),
            acquired.clock.clone(),
        ),
        measure_team: MeasureTeamLayer::new(Arc::clone(&acquired.metrics), acquired.clock.clone()),
        request: acquired.request.clone(),
        header_bytes_max: acquired.server.settings.header_bytes_max,
        buffer: acquired.buffer.clone(),
        directory,
        gate: Arc::new(acquired.gate.clone()),
        keeper,
        permits: acquired.permits(),
        replays: acquired.replays(),
        upstream,
        upstream_observer: acquired.metrics.clone(),
        wire: UpstreamClient::new(acquired.buffer.clone()),
        catalogue: acquired.catalogue.clone(),
        latest: acquired.latest.clone(),
        misses: acquired.misses.clone(),
        prices,
        undelivered: acquired.undelivered.clone(),
        catalogue_settings: catalogue,
        catalogue_is_public,
        account,
        clock: acquired.clock.clone(),
    }
}
