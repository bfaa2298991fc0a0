//! A call that outlives its caller: dropped before its end, it runs on by itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Runs a call within its caller's own task, and moves it to a task of its own when the caller hangs up. Costs nothing
/// while the caller stays; the drain waits for what was moved.
pub struct Detach<T: Send + 'static> {
    call: Option<BoxFuture<'static, T>>,
    tracker: TaskTracker,
}

impl<T: Send + 'static> Detach<T> {
    /// A call that will be finished, whoever waits for it.
    pub fn new(call: impl Future<Output = T> + Send + 'static, tracker: TaskTracker) -> Self {
        Self { call: Some(Box::pin(call)), tracker }
    }
}

impl<T: Send + 'static> Future for Detach<T> {
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

impl<T: Send + 'static> Drop for Detach<T> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        // Outside a runtime the process is ending: the reservation inside hands itself over as it is dropped.
        if let Ok(runtime) = Handle::try_current() {
            self.tracker.spawn_on(async move { drop(call.await) }, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_call_whose_caller_hangs_up_is_finished_all_the_same() {
        let (tracker, go_on, done) = (TaskTracker::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (wait, tell) = (Arc::clone(&go_on), Arc::clone(&done));
        let call = Detach::new(
            async move {
                wait.notified().await;
                tell.notify_one();
            },
            tracker.clone(),
        );
        let mut call = Box::pin(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        go_on.notify_one();
        done.notified().await;
        tracker.close();
        tracker.wait().await;
    }
}
