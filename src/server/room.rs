//! How many connections may be open, over all workers, and who makes room when a caller comes and there is none.
//!
//! Connections are kept for long between calls, because balancers keep them. So that a crowd of idle ones keeps nobody out, the
//! longest idle go first. One that was in use a moment ago does not: its next call may be on its way.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::observe::{Observer, Stall};

/// How long a connection has been idle at least when its place is given to another.
const IDLE_MIN: Duration = Duration::from_secs(1);

/// How many make room at a time, at the most: looking for them takes a look at every connection.
const AT_A_TIME: usize = 32;

/// How long to wait for room before looking again who could make some.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How often the log says the same.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The places of all connections. Clones are the same.
#[derive(Clone)]
pub(super) struct Room(Arc<Places>);

struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<HashMap<u64, Arc<Calls>>>,
    next: AtomicU64,
    observer: Arc<dyn Observer>,
    full: Sparsely,
    exhausted: Sparsely,
}

/// The place of one connection, until it is dropped.
pub(super) struct Place {
    room: Room,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(connections_max: usize, observer: Arc<dyn Observer>) -> Self {
        observer.may_be_open(connections_max);
        Self(Arc::new(Places {
            free: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            observer,
            full: Sparsely::default(),
            exhausted: Sparsely::default(),
        }))
    }

    /// A place for a connection that was accepted, as soon as there is one.
    pub(super) async fn enter(&self, calls: Arc<Calls>) -> Place {
        let permit = match Arc::clone(&self.0.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let number = self.0.next.fetch_add(1, Relaxed);
        self.taken().insert(number, calls);
        self.0.observer.opened();
        Place { room: self.clone(), number, _permit: permit }
    }

    async fn make_room(&self) -> OwnedSemaphorePermit {
        self.0.observer.stalled(Stall::ConnectionsMax);
        if let Some(times) = self.0.full.say() {
            tracing::warn!(
                times,
                open = self.taken().len(),
                "as many connections are open as may be (limits.connections_max): callers wait to be accepted"
            );
        }
        loop {
            self.send_idle_away();
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = timeout(LOOK_AGAIN, Arc::clone(&self.0.free).acquire_owned()).await {
                return permit;
            }
        }
    }

    /// The process may not open another file; those of idle connections come back.
    pub(super) fn descriptors_are_exhausted(&self, error: &std::io::Error) {
        self.0.observer.stalled(Stall::Descriptors);
        if let Some(times) = self.0.exhausted.say() {
            tracing::error!(times, %error, "no file descriptor is left (ulimit -n): callers wait to be accepted");
        }
        self.send_idle_away();
    }

    /// Asks the longest idle connections to go.
    fn send_idle_away(&self) {
        let before = Instant::now().checked_sub(IDLE_MIN);
        let mut idle: Vec<(Instant, Arc<Calls>)> = {
            let taken = self.taken();
            let idle = taken.values().filter_map(|calls| Some((calls.idle_since()?, calls)));
            idle.filter(|(since, _)| Some(*since) <= before).map(|(since, calls)| (since, Arc::clone(calls))).collect()
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
        self.room.taken().remove(&self.number);
        self.room.0.observer.closed();
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room for {} more connections", self.0.free.available_permits())
    }
}

/// Says something once in a while, and then how many times it happened.
#[derive(Debug, Default)]
struct Sparsely(Mutex<(Option<Instant>, u64)>);

impl Sparsely {
    /// It happened. How many times since it was last said, when it is to be said now.
    fn say(&self) -> Option<u64> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = &mut *guard;
        *times += 1;
        if last.is_some_and(|last| last.elapsed() < SAID_EVERY) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(times))
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
    async fn whoever_comes_when_all_places_are_taken_gets_that_of_the_longest_idle() {
        let room = Room::new(3, Arc::new(Unobserved));
        let (busy, longest, shorter) = (calls(), calls(), calls());
        let call = busy.begin();
        let _busy = room.enter(Arc::clone(&busy)).await;
        let longest_place = room.enter(Arc::clone(&longest)).await;
        let _shorter = room.enter(Arc::clone(&shorter)).await;
        tokio::time::advance(IDLE_MIN).await;
        shorter.moved();
        let goes = async {
            longest.asked_to_go().await;
            drop(longest_place);
        };
        let (_place, ()) = tokio::join!(room.enter(calls()), goes);
        assert!(busy.idle_since().is_none() && shorter.idle_since().is_some());
        drop(call);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_in_use_a_moment_ago_keeps_its_place_until_it_has_been_idle() {
        let room = Room::new(1, Arc::new(Unobserved));
        let recent = calls();
        let place = room.enter(Arc::clone(&recent)).await;
        recent.moved();
        let began = Instant::now();
        let goes = async {
            recent.asked_to_go().await;
            drop(place);
        };
        let (_place, ()) = tokio::join!(room.enter(calls()), goes);
        assert!(began.elapsed() >= IDLE_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_says_the_same_once_in_a_while_and_how_often_it_happened() {
        let sparsely = Sparsely::default();
        assert_eq!([sparsely.say(), sparsely.say(), sparsely.say()], [Some(1), None, None]);
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(sparsely.say(), Some(3));
    }
}
