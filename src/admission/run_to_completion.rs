//! Lets a call that was sent outlive its caller. A call that still waits ends with its caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::ReservationManager;
use super::call_state::CallState;
use crate::ledger::Phase;

/// Runs a call in its caller's task, and moves it to its own task when the caller hangs up after
/// the call was sent. A waiting call is dropped, which releases what it holds. Costs nothing while
/// the caller stays; a drain waits for moved calls.
pub struct RunToCompletion<T: Send + 'static> {
    call: Option<BoxFuture<'static, T>>,
    manager: Arc<ReservationManager>,
    /// The part that stays with the caller; the call and its money are inside `call`.
    state: CallState,
}

impl<T: Send + 'static> RunToCompletion<T> {
    /// Runs a call to its end once it was sent, unless it is cut off. Sets in `state` that the
    /// caller has left.
    pub fn new(
        call: impl Future<Output = T> + Send + 'static,
        manager: Arc<ReservationManager>,
        state: CallState,
    ) -> Self {
        Self { call: Some(Box::pin(call)), manager, state }
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
        self.state.caller_leaves();
        match self.state.phase() {
            Phase::Waiting | Phase::TurnedBack => return,
            Phase::Dispatched => {}
        }
        // Outside a runtime the process is ending: the reservation inside hands itself over when it
        // is dropped.
        if let Ok(runtime) = Handle::try_current() {
            let cut = self.manager.cut().clone();
            let to_its_end = async move { drop(cut.run_until_cancelled_owned(call).await) };
            self.manager.tracker().spawn_on(to_its_end, &runtime);
        }
    }
}

#[cfg(test)]
#[path = "run_to_completion_tests.rs"]
mod tests;
