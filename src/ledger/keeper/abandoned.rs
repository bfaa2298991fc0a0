//! Admissions whose answer never reached the caller: remembered, and released when the keeper
//! answers again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::ledger::ReservationId;
use crate::team::TeamId;

/// The most admissions remembered. Beyond it the oldest are dropped and end at their deadline.
const MOST: usize = 16_384;

/// The admissions to release.
#[derive(Default)]
pub(in crate::ledger) struct Abandoned {
    waiting: Mutex<VecDeque<(TeamId, ReservationId)>>,
    added: Notify,
}

impl Abandoned {
    /// Remembers an admission to release.
    pub(in crate::ledger) fn add(&self, team: &TeamId, id: ReservationId) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() == MOST {
                waiting.pop_front();
            }
            waiting.push_back((team.clone(), id));
        }
        self.added.notify_one();
    }

    /// Takes up to `most` admissions.
    pub(in crate::ledger) fn take(&self, most: usize) -> Vec<(TeamId, ReservationId)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Wakes the task that waits in [`Abandoned::added`].
    pub(in crate::ledger) fn wake(&self) {
        self.added.notify_one();
    }

    /// Waits until an admission is added.
    pub(in crate::ledger) async fn added(&self) {
        self.added.notified().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let abandoned = Abandoned::default();
        let team = TeamId::parse("design").unwrap();
        let last = ReservationId::new();
        for _ in 0..MOST + 10 {
            abandoned.add(&team, ReservationId::new());
        }
        abandoned.add(&team, last);
        let taken = abandoned.take(2 * MOST);
        assert_eq!(taken.len(), MOST);
        assert_eq!(taken.last().unwrap().1, last);
        assert!(abandoned.take(1).is_empty());
    }

    #[test]
    fn who_releases_looks_again_when_one_is_added() {
        let (abandoned, team) = (Abandoned::default(), TeamId::parse("design").unwrap());
        let looks_again = || abandoned.added().now_or_never().is_some();
        assert!(!looks_again());
        abandoned.add(&team, ReservationId::new());
        assert!(looks_again() && !looks_again());
        abandoned.wake();
        assert!(looks_again() && !looks_again());
    }
}
