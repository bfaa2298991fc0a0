//! Shares of the teams in the memory for bodies, by weight, and what each has taken.
//!
//! A team may take its share. Beyond that it may take as much as it leaves free for all others
//! (dynamic thresholds, by which switches share their buffers): a team that is alone has room, and
//! no team alone can take all of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::maps::FastMap;
use crate::model::ModelId;
use crate::team::{Team, TeamId};

/// Most models of a team whose answer sizes are remembered.
const MODELS_MAX: usize = 1024;

/// Shares of all teams. A reload makes new ones and keeps what is taken.
#[derive(Debug, Default)]
pub struct Shares {
    teams: FastMap<TeamId, (Arc<Share>, u64)>,
    weights: u64,
}

impl Shares {
    /// Shares of these teams; teams that had one keep what they have taken.
    #[must_use]
    pub fn of(teams: &HashMap<TeamId, Arc<Team>>, before: Option<&Self>) -> Self {
        let share = |id: &TeamId| {
            let before = before.and_then(|before| before.teams.get(id));
            before.map_or_else(Arc::default, |(share, _)| Arc::clone(share))
        };
        let of_team =
            |(id, team): (&TeamId, &Arc<Team>)| (id.clone(), (share(id), u64::from(team.weight)));
        let weights = teams.values().map(|team| u64::from(team.weight)).sum();
        Self { teams: teams.iter().map(of_team).collect(), weights }
    }

    /// A team's share, and its size within a pool. A team that was just removed from the
    /// configuration has size 0 and takes only what others leave.
    pub(super) fn of_team(&self, team: &TeamId, pool: &Pool) -> (Arc<Share>, u64) {
        match self.teams.get(team) {
            Some((share, weight)) => {
                let own =
                    u128::from(pool.max) * u128::from(*weight) / u128::from(self.weights.max(1));
                (Arc::clone(share), u64::try_from(own).unwrap_or(u64::MAX))
            }
            None => (Arc::default(), 0),
        }
    }
}

/// Memory that one team has taken.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) requests: Portion,
    pub(super) answers: Portion,
    /// Answers that wait for room.
    pub(super) waiting: AtomicUsize,
    /// One permit: see [`super::answer_permit`].
    pub(super) overdraft: Arc<Semaphore>,
    /// Recent sizes of the answers of its models, in bytes: a smoothed average.
    lately: Mutex<FastMap<ModelId, u64>>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            requests: Portion::default(),
            answers: Portion::default(),
            waiting: AtomicUsize::new(0),
            overdraft: Arc::new(Semaphore::new(1)),
            lately: Mutex::default(),
        }
    }
}

impl Share {
    /// Expected size of an answer of this model.
    pub(super) fn expected(&self, model: &ModelId) -> Option<u64> {
        self.lately().get(model).copied()
    }

    /// Updates the expected size: a new answer counts for an eighth, as in TCP's round-trip time.
    /// One large answer among many small ones changes little, and a run of large ones is noticed
    /// after a few.
    pub(super) fn learn(&self, model: &ModelId, bytes: u64) {
        let mut lately = self.lately();
        if let Some(average) = lately.get_mut(model) {
            *average = average.saturating_sub(*average / 8).saturating_add(bytes / 8);
        } else if lately.len() < MODELS_MAX {
            lately.insert(model.clone(), bytes);
        }
    }

    fn lately(&self) -> MutexGuard<'_, FastMap<ModelId, u64>> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that one user of a pool has taken, in KiB.
#[derive(Debug, Default)]
pub(super) struct Portion(AtomicU64);

/// A pool of memory in KiB, and how much of it is taken.
#[derive(Debug)]
pub(super) struct Pool {
    max: u64,
    taken: AtomicU64,
}

impl Pool {
    pub(super) const fn new(max: u64) -> Self {
        Self { max, taken: AtomicU64::new(0) }
    }

    /// Takes `more` for something that already has `mine`, without waiting. `own` is this portion's
    /// share of the pool. If the portion has nothing else, it may take all that is free: it may be
    /// larger than the share and must not be refused forever.
    pub(super) fn take(&self, portion: &Portion, own: u64, mine: u64, more: u64) -> bool {
        let all = self.taken.fetch_add(more, Ordering::AcqRel).saturating_add(more);
        let its = portion.0.fetch_add(more, Ordering::AcqRel).saturating_add(more);
        let fits = all <= self.max
            && (its <= own || its == mine.saturating_add(more) || its <= self.max - all);
        if !fits {
            self.give_back(portion, more);
        }
        fits
    }

    /// Gives this much back.
    pub(super) fn give_back(&self, portion: &Portion, less: u64) {
        self.taken.fetch_sub(less, Ordering::AcqRel);
        portion.0.fetch_sub(less, Ordering::AcqRel);
    }
}

impl Portion {
    /// Counts memory beyond the pool for this portion.
    pub(super) fn overdraw(&self, more: u64) {
        self.0.fetch_add(more, Ordering::AcqRel);
    }

    /// Takes memory beyond the pool off this portion's count again.
    pub(super) fn end_overdraft(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every user of the pool has a share.
    #[test]
    fn nobody_takes_more_than_they_leave_free() {
        let (pool, greedy, modest) = (Pool::new(100), Portion::default(), Portion::default());
        let taken = (0..100).take_while(|_| pool.take(&greedy, 25, 0, 1)).count();
        assert_eq!(taken, 50);
        let taken = (0..100).take_while(|_| pool.take(&modest, 25, 0, 1)).count();
        assert_eq!(taken, 25, "its share, although others took more than theirs");
        let late = Portion::default();
        assert!((0..25).all(|_| pool.take(&late, 25, 0, 1)));
        assert!(!pool.take(&Portion::default(), 25, 0, 1), "all of it is taken");
        pool.give_back(&greedy, 50);
        assert!(pool.take(&modest, 25, 0, 1));
    }

    #[test]
    fn an_oversized_item_is_taken_while_there_is_room() {
        let (pool, portion) = (Pool::new(100), Portion::default());
        assert!(pool.take(&portion, 10, 0, 80) && pool.take(&portion, 10, 80, 10));
        assert!(!pool.take(&portion, 10, 0, 1), "a second thing has no room");
        assert!(!pool.take(&Portion::default(), 10, 0, 11));
        pool.give_back(&portion, 90);
        assert!(!pool.take(&portion, 10, 0, 101));
        assert!(pool.take(&portion, 10, 0, 100), "what was refused took nothing");
    }

    /// One large answer among many does not exceed the share.
    #[test]
    fn a_run_of_large_answers_raises_the_expected_size() {
        let (share, Some(model)) = (Share::default(), ModelId::parse("flux/dev")) else { return };
        assert_eq!(share.expected(&model), None);
        for _ in 0..20 {
            share.learn(&model, 1000);
        }
        share.learn(&model, 8_000_000);
        assert!(
            share.expected(&model).is_some_and(|bytes| (1_000_000..1_100_000).contains(&bytes))
        );
        for _ in 0..20 {
            share.learn(&model, 8_000_000);
        }
        assert!(share.expected(&model).is_some_and(|bytes| bytes > 7_000_000));
    }
}
