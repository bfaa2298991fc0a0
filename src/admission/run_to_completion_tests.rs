//! A call that was sent outlives its caller, and one that waits does not.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::*;
use crate::admission::observe::{self, Observer};
use crate::admission::reservation_manager::Settings;
use crate::clock::Clock;
use crate::credits::Credits;
use crate::ledger::embedded::{self, EmbeddedLedger};
use crate::ledger::{LimitStatus, OnUnknown, Retention, Unobserved};
use crate::pricing::Delivered;
use crate::team::TeamId;

impl Observer for Unobserved {
    fn settled(&self, _: &TeamId, _: &str, _: observe::Result, _: Credits, _: Delivered) {}

    fn limit_statuses(&self, _: &TeamId, _: &[LimitStatus]) {}

    fn shadow_refused(&self, _: &TeamId, _: &LimitStatus) {}

    fn reservations_open(&self, _: &TeamId, _: u64) {}
}

/// Looks after the calls of one worker, over a ledger in a file of its own.
fn manager() -> Arc<ReservationManager> {
    let (folder, ttl) = (TempDir::new().unwrap(), Duration::from_secs(30));
    let of_the_ledger = embedded::Settings {
        path: folder.path().join("ledger.db"),
        reservation_ttl: ttl,
        retention: Retention { rows: ttl, rows_max: Retention::ROWS_MIN, usage: ttl },
        on_unknown: OnUnknown::Charge,
        clock: Clock::system(),
    };
    let ledger = Arc::new(EmbeddedLedger::open(of_the_ledger, Arc::new(Unobserved)).unwrap());
    let settings = Settings { on_unknown: OnUnknown::Charge, reservation_ttl: ttl };
    ReservationManager::new(ledger, Arc::new(Unobserved), settings, TaskTracker::new()).0
}

fn sent() -> CallState {
    CallState::new(Phase::Dispatched)
}

#[tokio::test]
async fn a_call_that_still_waits_ends_with_its_caller() {
    let (manager, held) = (manager(), Arc::new(()));
    let inside = Arc::clone(&held);
    let call = async move {
        std::future::pending::<()>().await;
        drop(inside);
    };
    let state = CallState::new(Phase::Waiting);
    drop(RunToCompletion::new(call, Arc::clone(&manager), state));
    assert_eq!((Arc::strong_count(&held), manager.tracker().len()), (1, 0));
}

#[tokio::test]
async fn a_call_whose_caller_hangs_up_is_finished() {
    let (manager, go_on, done) = (manager(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, tell, state) = (Arc::clone(&go_on), Arc::clone(&done), sent());
    let seen = state.clone();
    let call = async move {
        let stayed = !seen.caller_has_left();
        wait.notified().await;
        assert!(stayed && seen.caller_has_left());
        tell.notify_one();
    };
    let mut call = Box::pin(RunToCompletion::new(call, Arc::clone(&manager), state));
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    go_on.notify_one();
    done.notified().await;
    manager.tracker().close();
    manager.tracker().wait().await;
}

#[tokio::test]
async fn a_call_that_is_cut_off_is_awaited() {
    let (manager, held) = (manager(), Arc::new(()));
    let inside = Arc::clone(&held);
    let call = async move {
        std::future::pending::<()>().await;
        drop(inside);
    };
    drop(RunToCompletion::new(call, Arc::clone(&manager), sent()));
    assert_eq!(Arc::strong_count(&held), 2, "it runs on without its caller");
    manager.tracker().close();
    manager.cut().cancel();
    manager.tracker().wait().await;
    assert_eq!(Arc::strong_count(&held), 1);
}
