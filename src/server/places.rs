//! Places for connections, over all workers, and which connections give way to a new caller.
//!
//! Balancers keep connections open between calls. So that idle ones keep nobody out, the longest
//! idle are closed first; one that was in use a moment ago is left, since its next call may be on
//! its way.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::log_limiter::LogLimiter;
use super::observe::{Observer, Stall};

/// Least idle time of a connection that is closed for another.
const IDLE_MIN: Duration = Duration::from_secs(1);

/// Most connections closed at a time: finding them means looking at every connection.
const AT_A_TIME: usize = 32;

/// EMFILE and ENFILE: the process, or the system, may not open another file.
const EXHAUSTED: [i32; 2] = [24, 23];

/// Pause before looking again for connections to close.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Places of all connections. Clones share state.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    free: Arc<Semaphore>,
    taken: Mutex<HashMap<u64, Arc<Calls>>>,
    next: AtomicU64,
    observer: Arc<dyn Observer>,
    full: LogLimiter,
    exhausted: LogLimiter,
    failed: LogLimiter,
}

/// Place of one connection, until it is dropped.
pub(super) struct Place {
    places: Places,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(connections_max: usize, observer: Arc<dyn Observer>) -> Self {
        observer.may_be_open(connections_max);
        Self(Arc::new(Shared {
            free: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            observer,
            full: LogLimiter::default(),
            exhausted: LogLimiter::default(),
            failed: LogLimiter::default(),
        }))
    }

    /// Waits for a place for a connection that was accepted.
    pub(super) async fn enter(&self, calls: Arc<Calls>) -> Place {
        let permit = match Arc::clone(&self.0.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let number = self.0.next.fetch_add(1, Relaxed);
        self.taken().insert(number, calls);
        self.0.observer.opened();
        Place { places: self.clone(), number, _permit: permit }
    }

    async fn make_room(&self) -> OwnedSemaphorePermit {
        self.0.observer.stalled(Stall::ConnectionsMax);
        if let Some(times) = self.0.full.count() {
            tracing::warn!(
                times,
                open = self.taken().len(),
                "as many connections are open as may be (limits.connections_max): callers wait \
                 to be accepted"
            );
        }
        loop {
            self.send_idle_away();
            // The semaphore is never closed.
            if let Ok(Ok(permit)) =
                timeout(LOOK_AGAIN, Arc::clone(&self.0.free).acquire_owned()).await
            {
                return permit;
            }
        }
    }

    /// Reports that `accept` failed. When descriptors have run out, closes idle connections to get
    /// theirs.
    pub(super) fn could_not_accept(&self, error: &std::io::Error) {
        if !error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) {
            if let Some(times) = self.0.failed.count() {
                tracing::warn!(times, %error, "connections cannot be accepted: callers wait");
            }
            return;
        }
        self.0.observer.stalled(Stall::Descriptors);
        if let Some(times) = self.0.exhausted.count() {
            tracing::error!(
                times,
                %error,
                "no file descriptor is left: callers wait to be accepted; raise the limit of open \
                 files (ulimit -n)"
            );
        }
        self.send_idle_away();
    }

    /// Asks the longest idle connections to close.
    fn send_idle_away(&self) {
        let before = Instant::now().checked_sub(IDLE_MIN);
        let mut idle: Vec<(Instant, Arc<Calls>)> = {
            let taken = self.taken();
            let idle = taken.values().filter_map(|calls| Some((calls.idle_since()?, calls)));
            idle.filter(|(since, _)| Some(*since) <= before)
                .map(|(since, calls)| (since, Arc::clone(calls)))
                .collect()
        };
        let count = (idle.len() / 8).clamp(1, AT_A_TIME).min(idle.len());
        if count < idle.len() {
            idle.select_nth_unstable_by_key(count, |(since, _)| *since);
        }
        for (_, calls) in idle.iter().take(count) {
            calls.ask_to_go();
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Calls>>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.number);
        self.places.0.observer.closed();
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room for {} more connections", self.0.free.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::observe::Unobserved;
    use crate::server::unconfirmed::Unconfirmed;
    use crate::server::{Drain, Settings};

    fn calls() -> Arc<Calls> {
        Calls::new(Drain::default(), Arc::new(Settings::example()), Unconfirmed::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_takes_the_longest_idle_connections_place() {
        let places = Places::new(3, Arc::new(Unobserved));
        let (busy, longest, shorter) = (calls(), calls(), calls());
        let call = busy.begin();
        let _busy = places.enter(Arc::clone(&busy)).await;
        let longest_place = places.enter(Arc::clone(&longest)).await;
        let _shorter = places.enter(Arc::clone(&shorter)).await;
        tokio::time::advance(IDLE_MIN).await;
        shorter.moved();
        let goes = async {
            longest.asked_to_go().await;
            drop(longest_place);
        };
        let (_place, ()) = tokio::join!(places.enter(calls()), goes);
        assert!(busy.idle_since().is_none() && shorter.idle_since().is_some());
        drop(call);
    }

    #[tokio::test(start_paused = true)]
    async fn a_recently_used_connection_keeps_its_place_until_idle() {
        let places = Places::new(1, Arc::new(Unobserved));
        let recent = calls();
        let place = places.enter(Arc::clone(&recent)).await;
        recent.moved();
        let began = Instant::now();
        let goes = async {
            recent.asked_to_go().await;
            drop(place);
        };
        let (_place, ()) = tokio::join!(places.enter(calls()), goes);
        assert!(began.elapsed() >= IDLE_MIN);
    }
}
