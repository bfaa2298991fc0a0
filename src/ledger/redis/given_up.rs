//! Admissions whose answer never reached the caller: remembered, and released when the store answers again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use super::courier::Courier;
use super::line::BATCH_MOST;
use super::operation::Operation;
use crate::ledger::ReservationId;
use crate::team::TeamId;

/// How many are remembered; of more, the oldest are left to their deadline.
const MOST: usize = 16_384;
/// How long to wait before another try at releasing them.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// The admissions to release.
#[derive(Default)]
pub(super) struct GivenUp {
    waiting: Mutex<VecDeque<(TeamId, ReservationId)>>,
    added: Notify,
}

impl GivenUp {
    /// Remembers one.
    pub(super) fn add(&self, team: &TeamId, id: ReservationId) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() == MOST {
                waiting.pop_front();
            }
            waiting.push_back((team.clone(), id));
        }
        self.added.notify_one();
    }

    /// Takes up to `most` of them.
    pub(super) fn take(&self, most: usize) -> Vec<(TeamId, ReservationId)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Makes whoever waits look again.
    pub(super) fn wake(&self) {
        self.added.notify_one();
    }

    /// Waits until one is added.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }
}

/// Releases what was given up, for as long as the handle lives.
pub(super) async fn release(courier: Weak<Courier>, given_up: Arc<GivenUp>) {
    loop {
        let some = given_up.take(BATCH_MOST);
        let Some(courier) = courier.upgrade() else { return };
        let releases = some.iter().map(|(team, id)| courier.ask(team, |reply| Operation::GiveUp { id: *id, reply }));
        let released = join_all(releases).await;
        drop(courier);
        let mut all = true;
        for ((team, id), _) in some.iter().zip(released).filter(|(_, released)| released.is_err()) {
            given_up.add(team, *id);
            all = false;
        }
        if !all {
            tokio::time::sleep(TRY_AGAIN).await;
        } else if some.is_empty() {
            given_up.added().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let given_up = GivenUp::default();
        let team = TeamId::parse("design").unwrap();
        let last = ReservationId::new();
        for _ in 0..MOST + 10 {
            given_up.add(&team, ReservationId::new());
        }
        given_up.add(&team, last);
        let taken = given_up.take(2 * MOST);
        assert_eq!(taken.len(), MOST);
        assert_eq!(taken.last().unwrap().1, last);
        assert!(given_up.take(1).is_empty());
    }
}
