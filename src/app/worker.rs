//! A worker: one thread, one runtime, one listening socket, its own stack, connections and ledger handle. Nothing it does
//! for a request wakes another thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::Acquired;
use super::reload::Live;
use crate::admission::{Keeper, keeper};
use crate::server::{self, Server};
use crate::stack::{Parts, stack};
use crate::telemetry::{MeasureTeamLayer, TraceAndCountLayer};
use crate::upstream::Wire;

/// Starts a worker for every listening socket.
///
/// # Errors
/// A thread, or its runtime, cannot be had.
pub fn start(acquired: &Acquired) -> io::Result<Vec<JoinHandle<()>>> {
    acquired.listeners.iter().enumerate().map(|(number, listener)| start_one(acquired, number, listener)).collect()
}

fn start_one(acquired: &Acquired, number: usize, listener: &TcpListener) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = listener.try_clone()?;
    let ledger = acquired.ledger();
    let observer = Arc::clone(&acquired.metrics);
    let (keeper, duties) = Keeper::new(ledger, observer, acquired.admission, acquired.drain.open.clone());
    let parts = parts(acquired, Arc::clone(&keeper));
    let server = acquired.server.clone();
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(work(listener, parts, server, keeper, duties));
    })
}

async fn work(listener: TcpListener, parts: Parts, server: Server, keeper: Arc<Keeper>, duties: keeper::Duties) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a worker cannot listen"),
    };
    let done = CancellationToken::new();
    let keeping = tokio::spawn(keeper.work(duties, done.clone()));
    server::serve(listener, stack(parts), server).await;
    done.cancel();
    // What is still to be settled is written before the thread ends.
    let _ = keeping.await;
}

/// Puts together what one worker's stack is made of.
#[must_use]
pub fn parts(acquired: &Acquired, keeper: Arc<Keeper>) -> Parts {
    let Live { directory, upstream, catalogue, catalogue_is_public, .. } = acquired.live.clone();
    Parts {
        trace_and_count: TraceAndCountLayer::new(
            Arc::clone(&acquired.metrics),
            acquired.access_log.clone(),
            acquired.clock.clone(),
        ),
        measure_team: MeasureTeamLayer::new(Arc::clone(&acquired.metrics), acquired.clock.clone()),
        draining: acquired.drain.refusing.clone(),
        request: acquired.request.clone(),
        header_bytes_max: acquired.server.settings.header_bytes_max,
        buffer: acquired.buffer.clone(),
        directory,
        keeper,
        upstream,
        upstream_observer: acquired.metrics.clone(),
        wire: Wire::new(acquired.buffer.clone()),
        catalogue: acquired.catalogue.clone(),
        catalogue_settings: catalogue,
        catalogue_is_public,
        clock: acquired.clock.clone(),
    }
}
