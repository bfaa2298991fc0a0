//! Many calls in flight at once, each of them slow. Shows what one of them costs in memory.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Connection, Target};
use crate::spread::quantile;

/// What came of it.
pub struct Held {
    /// How many calls were made.
    pub calls: usize,
    /// The most memory of the proxy in the course of it, in KiB.
    pub peak: u64,
    /// 99 of 100 calls were answered within this time.
    pub p99: Duration,
    /// Calls that were not answered with 200.
    pub failed: usize,
    /// What the first of them got.
    pub first_failure: Option<String>,
}

/// Connections that are being made at the same time: more would overflow the queues of those that
/// accept.
const CONNECTING: usize = 64;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the memory is read meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// Makes `calls` calls, each on a connection of its own.
///
/// # Errors
/// The memory cannot be read.
pub async fn hold(
    target: &Target,
    calls: usize,
    memory: impl Fn() -> io::Result<u64>,
) -> io::Result<Held> {
    let connecting = Rc::new(Semaphore::new(CONNECTING));
    let mut flying = JoinSet::new();
    for index in 0..calls {
        flying.spawn_local(call_once(target.clone(), index, Rc::clone(&connecting)));
    }
    let mut peak = memory()?;
    let mut times = Vec::with_capacity(calls);
    let mut first_failure = None;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => peak = peak.max(memory()?),
            landed = flying.join_next() => match landed {
                Some(landed) => match landed.map_err(io::Error::other)? {
                    Ok(time) => times.push(time),
                    Err(what) => _ = first_failure.get_or_insert(what),
                },
                None => break,
            },
        }
    }
    times.sort_by(f64::total_cmp);
    let p99 = Duration::from_secs_f64(quantile(&times, 0.99));
    Ok(Held { calls, peak, p99, failed: calls - times.len(), first_failure })
}

/// Seconds from the call to its good answer, or what came instead of it.
async fn call_once(target: Target, index: usize, connecting: Rc<Semaphore>) -> Result<f64, String> {
    let call = target.call(index, 0, 0);
    let place = connecting.acquire().await.map_err(|error| error.to_string())?;
    let mut connection =
        Connection::open(target.address).await.map_err(|error| error.to_string())?;
    drop(place);
    let begun = Instant::now();
    match tokio::time::timeout(PATIENCE, connection.call(call)).await {
        Ok(Ok(None)) => Ok(begun.elapsed().as_secs_f64()),
        Ok(Ok(Some(what))) => Err(what),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}
