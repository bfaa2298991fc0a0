//! Worker: one thread with its own runtime, listening socket, stack, upstream connections and
//! ledger handle. Nothing it does for a request wakes another thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Acquired;
use super::reload::Live;
use crate::admission::{ReservationManager, reservation_manager};
use crate::request::health::Health;
use crate::server::{self, Server};
use crate::stack::{Parts, stack};
use crate::telemetry::{MeasureTeamLayer, TraceAndCountLayer};
use crate::upstream::UpstreamClient;

/// Starts a worker for every listening socket, which it takes. `gone` is cancelled when one of them
/// ends for any reason.
///
/// # Errors
/// A thread, or its runtime, cannot be made.
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
    acquired.metrics.add_runtime(format!("worker-{number}"), runtime.metrics());
    let ledger = acquired.ledger();
    let observer = Arc::clone(&acquired.metrics);
    let (manager, queues) =
        ReservationManager::new(ledger, observer, acquired.admission, acquired.drain.open.clone());
    let parts = parts(acquired, Arc::clone(&manager));
    let server = acquired.server.clone();
    let gone = gone.clone().drop_guard();
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        // Dropped last, even after a panic.
        let _gone = gone;
        runtime.block_on(work(listener, parts, server, manager, queues));
    })
}

async fn work(
    listener: TcpListener,
    parts: Parts,
    server: Server,
    manager: Arc<ReservationManager>,
    queues: reservation_manager::ManagerQueues,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a worker cannot listen: the gateway stops"),
    };
    let (done, cut, open) =
        (CancellationToken::new(), manager.cut().clone(), server.drain.open.clone());
    let mut keeping = tokio::spawn(manager.work(queues, done.clone()));
    tokio::spawn(parts.upstream_client.clone().tend(parts.upstream.clone(), done.clone()));
    tokio::select! {
        () = server::serve(listener, stack(parts), server) => {}
        _ = &mut keeping => return tracing::error!(
            "a worker failed while it looked after its calls: the gateway stops"
        ),
    }
    // Open calls hand over their reservations when dropped, so that the manager settles them.
    cut.cancel();
    if tokio::time::timeout(CUT_MAX, open.wait()).await.is_err() {
        tracing::error!(open = open.len(), "calls that were cut off have not ended in time");
    }
    done.cancel();
    // Writes pending settlements before the thread ends.
    let _ = keeping.await;
}

/// How long cut off calls may take to end, over all workers. They are only dropped, but stored
/// answers may still be written.
const CUT_MAX: Duration = Duration::from_secs(2);

/// Builds the parts of one worker's stack.
#[must_use]
pub fn parts(acquired: &Acquired, manager: Arc<ReservationManager>) -> Parts {
    let Live { authenticator, upstream, prices, catalogue, catalogue_is_public, account, .. } =
        acquired.live.clone();
    let readiness = acquired.readiness.clone();
    Parts {
        trace_and_count: TraceAndCountLayer::new(
            Arc::clone(&acquired.metrics),
            acquired.access_log.clone(),
            acquired.tracer.clone(),
            acquired.clock.clone(),
            acquired.recorder.clone(),
            Arc::clone(acquired.credential_guard.proxies()),
        ),
        cors: acquired.cors.clone(),
        measure_team: MeasureTeamLayer::new(Arc::clone(&acquired.metrics), acquired.clock.clone()),
        request: acquired.request.clone(),
        header_bytes_max: acquired.server.settings.header_bytes_max,
        buffer: acquired.buffer.clone(),
        authenticator,
        credential_guard: Arc::new(acquired.credential_guard.clone()),
        reservation_manager: manager,
        permits: acquired.permits(),
        replays: acquired.replays(),
        refused: acquired.refused(),
        key_names: acquired.registry_sync.key_names(),
        upstream,
        upstream_observer: acquired.metrics.clone(),
        upstream_client: UpstreamClient::new(acquired.buffer.clone()),
        catalogue: acquired.catalogue.clone(),
        latest: acquired.latest.clone(),
        misses: acquired.misses.clone(),
        prices,
        undelivered: acquired.undelivered.clone(),
        catalogue_settings: catalogue,
        catalogue_is_public,
        health: Health::new(move || readiness.check()),
        account,
        clock: acquired.clock.clone(),
    }
}
