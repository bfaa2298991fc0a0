//! Thread pool that verifies signatures: outside the workers, a few at a time, and with no more
//! waiting than can be served soon.
//!
//! A worker serves all its callers on one thread, and one verification takes as long as a whole
//! call otherwise does. So workers verify none, and a caller that needs no verification (a gateway
//! key, a cached token) never waits behind one.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Most tokens in the pool, waiting ones included: at the cost in `benches/` the last one waits
/// some tens of milliseconds. Further ones get 503 `overloaded`.
const PLACES: usize = 256;

/// The pool of one process. Clones share state.
#[derive(Clone, Debug)]
pub(super) struct VerificationPool {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl VerificationPool {
    /// A pool that uses at most half the cores.
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self::of(PLACES, (cores / 2).max(1))
    }

    fn of(places: usize, turns: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), turns: Arc::new(Semaphore::new(turns)) }
    }

    /// Runs slow work when it is its turn; `None` when the pool is full. Panics reach the caller.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        // The working thread gives both back, so that callers who hang up do not let more work in.
        let working = spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        match working.await {
            Ok(done) => Some(done),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_pool_bounds_both_running_and_waiting_work() {
        let pool = VerificationPool::of(8, 2);
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (pool, working, most, gate) =
                    (pool.clone(), working.clone(), most.clone(), gate.clone());
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(
                            working.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        gate.lock().expect("lock").recv().expect("let go");
                        working.fetch_sub(1, Ordering::SeqCst);
                    };
                    pool.run(work).await
                })
            })
            .collect();
        while pool.places.available_permits() > 0 || working.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| ()).await, None, "nobody waits beyond the places");
        for _ in 0..8 {
            open.send(()).expect("a worker");
        }
        for task in tasks {
            assert_eq!(task.await.expect("task"), Some(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(pool.run(|| 7).await, Some(7));
    }

    #[tokio::test]
    async fn whoever_leaves_keeps_the_turn_until_the_work_is_done() {
        let pool = VerificationPool::of(1, 1);
        let (open, gate) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel::<()>();
        let caller = pool.clone();
        let caller = tokio::spawn(async move {
            caller
                .run(move || {
                    begun.send(()).expect("a test");
                    gate.recv().expect("let go");
                })
                .await
        });
        spawn_blocking(move || begins.recv()).await.expect("thread").expect("begun");
        caller.abort();
        assert!(caller.await.is_err());
        assert_eq!(pool.run(|| ()).await, None, "the work goes on");
        open.send(()).expect("the work");
        while pool.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| ()).await, Some(()));
    }
}
