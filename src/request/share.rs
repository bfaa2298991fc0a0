//! What of the memory for bodies is each team's, by its weight, and how much each has taken.
//!
//! A team may take what is its share. Beyond it, it may take as much as it leaves free for all others (the rule of
//! dynamic thresholds, by which switches share their buffers): who is alone has room, and nobody alone can take the
//! room of the rest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::maps::FastMap;
use crate::model::ModelId;
use crate::team::{Team, TeamId};

/// Of how many models of a team it is known how large their answers are.
const MODELS_MAX: usize = 1024;

/// The teams' shares. A reload makes new ones and keeps what is taken.
#[derive(Debug, Default)]
pub struct Shares {
    teams: FastMap<TeamId, (Arc<Share>, u64)>,
    weights: u64,
}

impl Shares {
    /// Shares of these teams; those that had one before keep it.
    #[must_use]
    pub fn of(teams: &HashMap<TeamId, Arc<Team>>, before: Option<&Self>) -> Self {
        let share = |id: &TeamId| {
            let before = before.and_then(|before| before.teams.get(id));
            before.map_or_else(Arc::default, |(share, _)| Arc::clone(share))
        };
        let of_team = |(id, team): (&TeamId, &Arc<Team>)| (id.clone(), (share(id), u64::from(team.weight)));
        let weights = teams.values().map(|team| u64::from(team.weight)).sum();
        Self { teams: teams.iter().map(of_team).collect(), weights }
    }

    /// A team's share, and how much of a pool it is. A team that has just left the configuration has none of its own
    /// any more, and takes only what others leave.
    pub(super) fn of_team(&self, team: &TeamId, pool: &Pool) -> (Arc<Share>, u64) {
        match self.teams.get(team) {
            Some((share, weight)) => {
                let own = u128::from(pool.max) * u128::from(*weight) / u128::from(self.weights.max(1));
                (Arc::clone(share), u64::try_from(own).unwrap_or(u64::MAX))
            }
            None => (Arc::default(), 0),
        }
    }
}

/// What one team has taken.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) requests: Portion,
    pub(super) answers: Portion,
    /// Answers that wait for room.
    pub(super) waiting: AtomicUsize,
    /// Has one permit: see [`super::room`].
    pub(super) overdraft: Arc<Semaphore>,
    /// How large the answers of its models were lately, in bytes: a smoothed average.
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
    /// How large an answer of this model is expected to be.
    pub(super) fn expected(&self, model: &ModelId) -> Option<u64> {
        self.lately().get(model).copied()
    }

    /// An answer had this many bytes. An eighth of what is new counts, as for TCP's round-trip time: one large answer
    /// among many small ones does not make them all count as large, and a run of large ones is noticed after a few.
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

/// What somebody has taken from a pool, in KiB.
#[derive(Debug, Default)]
pub(super) struct Portion(AtomicU64);

/// Memory in KiB, and how much of it is taken.
#[derive(Debug)]
pub(super) struct Pool {
    max: u64,
    taken: AtomicU64,
}

impl Pool {
    pub(super) const fn new(max: u64) -> Self {
        Self { max, taken: AtomicU64::new(0) }
    }

    /// Takes so much more for something that has `mine` already, at once or not at all. `own` is how much of the pool
    /// is this portion's share. Where that is the one thing the portion has, it may take whatever there is: it may be
    /// larger than the share, and must not be refused for ever.
    pub(super) fn take(&self, portion: &Portion, own: u64, mine: u64, more: u64) -> bool {
        let all = self.taken.fetch_add(more, Ordering::AcqRel).saturating_add(more);
        let its = portion.0.fetch_add(more, Ordering::AcqRel).saturating_add(more);
        let fits = all <= self.max && (its <= own || its == mine.saturating_add(more) || its <= self.max - all);
        if !fits {
            self.give_back(portion, more);
        }
        fits
    }

    /// Gives so much back.
    pub(super) fn give_back(&self, portion: &Portion, less: u64) {
        self.taken.fetch_sub(less, Ordering::AcqRel);
        portion.0.fetch_sub(less, Ordering::AcqRel);
    }
}

impl Portion {
    /// Counts what was taken from elsewhere, and is this portion's all the same.
    pub(super) fn lend(&self, more: u64) {
        self.0.fetch_add(more, Ordering::AcqRel);
    }

    /// The end of that.
    pub(super) fn end_lending(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_alone_takes_more_than_it_leaves_free_and_everybody_has_a_share() {
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
    fn one_thing_larger_than_a_share_is_taken_where_there_is_room() {
        let (pool, portion) = (Pool::new(100), Portion::default());
        assert!(pool.take(&portion, 10, 0, 80) && pool.take(&portion, 10, 80, 10));
        assert!(!pool.take(&portion, 10, 0, 1), "a second thing has no room");
        assert!(!pool.take(&Portion::default(), 10, 0, 11));
        pool.give_back(&portion, 90);
        assert!(!pool.take(&portion, 10, 0, 101));
        assert!(pool.take(&portion, 10, 0, 100), "what was refused took nothing");
    }

    #[test]
    fn a_run_of_large_answers_is_expected_soon_and_one_among_many_is_not() {
        let (share, Some(model)) = (Share::default(), ModelId::parse("flux/dev")) else { return };
        assert_eq!(share.expected(&model), None);
        for _ in 0..20 {
            share.learn(&model, 1000);
        }
        share.learn(&model, 8_000_000);
        assert!(share.expected(&model).is_some_and(|bytes| (1_000_000..1_100_000).contains(&bytes)));
        for _ in 0..20 {
            share.learn(&model, 8_000_000);
        }
        assert!(share.expected(&model).is_some_and(|bytes| bytes > 7_000_000));
    }
}
