//! Where signatures are checked: beside the workers, few at once, and no more of them waiting than can be served soon.
//!
//! A worker serves all its callers on one thread, and a check takes as long as a whole call does otherwise. So a worker
//! checks none: whoever needs no check (a gateway key, a token that was verified before) never waits behind one,
//! however many come.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How many may be in the lane, waiting ones included: with what a check costs (see `benches/`) the last of them waits
/// some tens of milliseconds. Beyond it nobody waits: 503 `overloaded`.
const PLACES: usize = 256;

/// The lane of one process. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct VerificationPool {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl VerificationPool {
    /// A lane that takes at most half the machine.
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self::of(PLACES, (cores / 2).max(1))
    }

    fn of(places: usize, turns: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), turns: Arc::new(Semaphore::new(turns)) }
    }

    /// Does something that takes a while when it is its turn; `None` when the lane is full. A panic in it is the
    /// caller's.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        // Both are given back by the thread that works: callers who hang up make no room for more than there is.
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
    async fn as_many_work_as_there_are_turns_and_as_many_are_in_it_as_there_are_places() {
        let lane = VerificationPool::of(8, 2);
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (lane, working, most, gate) = (lane.clone(), working.clone(), most.clone(), gate.clone());
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        gate.lock().expect("lock").recv().expect("let go");
                        working.fetch_sub(1, Ordering::SeqCst);
                    };
                    lane.run(work).await
                })
            })
            .collect();
        while lane.places.available_permits() > 0 || working.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.run(|| ()).await, None, "nobody waits beyond the places");
        for _ in 0..8 {
            open.send(()).expect("a worker");
        }
        for task in tasks {
            assert_eq!(task.await.expect("task"), Some(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(lane.run(|| 7).await, Some(7));
    }

    #[tokio::test]
    async fn whoever_leaves_keeps_the_turn_until_the_work_is_done() {
        let lane = VerificationPool::of(1, 1);
        let (open, gate) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel::<()>();
        let caller = lane.clone();
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
        assert_eq!(lane.run(|| ()).await, None, "the work goes on");
        open.send(()).expect("the work");
        while lane.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.run(|| ()).await, Some(()));
    }
}
