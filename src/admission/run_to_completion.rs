//! A call that outlives its caller: dropped before its end, it runs on by itself, if it was sent. One that still waits
//! ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ledger::Phase;
use crate::ledger::reservation::Progress;

/// Whether a call's caller still waits for it. Clones tell of the same caller.
#[derive(Clone, Debug, Default)]
pub struct Caller(Arc<AtomicBool>);

impl Caller {
    /// Whether it has hung up.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs a call within its caller's own task, and moves it to a task of its own when the caller hangs up after it was
/// sent. One that still waits is dropped, which gives back what it holds. Costs nothing while the caller stays; the
/// drain waits for what was moved.
pub struct RunToCompletion<T: Send + 'static> {
    call: Option<BoxFuture<'static, T>>,
    tracker: TaskTracker,
    cut: CancellationToken,
    caller: Caller,
    progress: Progress,
}

impl<T: Send + 'static> RunToCompletion<T> {
    /// A call that will be finished once it was sent, whoever waits for it, unless it is cut off; `caller` is told when
    /// nobody waits.
    pub fn new(
        call: impl Future<Output = T> + Send + 'static,
        tracker: TaskTracker,
        cut: CancellationToken,
        caller: Caller,
        progress: Progress,
    ) -> Self {
        Self { call: Some(Box::pin(call)), tracker, cut, caller, progress }
    }
}

impl<T: Send + 'static> Future for RunToCompletion<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(call) = self.call.as_mut() else { return Poll::Pending };
        let ready = call.as_mut().poll(cx);
        if ready.is_ready() {
            self.call = None;
        }
        ready
    }
}

impl<T: Send + 'static> Drop for RunToCompletion<T> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        self.caller.0.store(true, Ordering::Relaxed);
        match self.progress.phase() {
            Phase::Waiting | Phase::TurnedBack => return,
            Phase::Dispatched => {}
        }
        // Outside a runtime the process is ending: the reservation inside hands itself over as it is dropped.
        if let Ok(runtime) = Handle::try_current() {
            let cut = self.cut.clone();
            self.tracker.spawn_on(async move { drop(cut.run_until_cancelled_owned(call).await) }, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    fn sent() -> Progress {
        Progress::new(Phase::Dispatched)
    }

    #[tokio::test]
    async fn a_call_that_still_waits_ends_with_its_caller() {
        let (tracker, held, progress) = (TaskTracker::new(), Arc::new(()), Progress::new(Phase::Waiting));
        let inside = Arc::clone(&held);
        let call = async move {
            std::future::pending::<()>().await;
            drop(inside);
        };
        drop(RunToCompletion::new(call, tracker.clone(), CancellationToken::new(), Caller::default(), progress));
        assert_eq!((Arc::strong_count(&held), tracker.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_call_whose_caller_hangs_up_is_finished_all_the_same() {
        let (tracker, go_on, done) = (TaskTracker::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (wait, tell, caller) = (Arc::clone(&go_on), Arc::clone(&done), Caller::default());
        let seen = caller.clone();
        let call = async move {
            let stayed = !seen.has_left();
            wait.notified().await;
            assert!(stayed && seen.has_left());
            tell.notify_one();
        };
        let mut call = Box::pin(RunToCompletion::new(call, tracker.clone(), CancellationToken::new(), caller, sent()));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        go_on.notify_one();
        done.notified().await;
        tracker.close();
        tracker.wait().await;
    }

    #[tokio::test]
    async fn a_call_that_is_cut_off_is_dropped_and_waited_for() {
        let (tracker, cut, held) = (TaskTracker::new(), CancellationToken::new(), Arc::new(()));
        let inside = Arc::clone(&held);
        let call = async move {
            std::future::pending::<()>().await;
            drop(inside);
        };
        drop(RunToCompletion::new(call, tracker.clone(), cut.clone(), Caller::default(), sent()));
        assert_eq!(Arc::strong_count(&held), 2, "it runs on without its caller");
        tracker.close();
        cut.cancel();
        tracker.wait().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
