//! One queue per team and process: operations that arrive while a batch is under way form the next
//! batch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::TeamCache;
use super::operation::Operation;
use crate::ledger::Outage;
use crate::maps::FastMap;
use crate::team::TeamId;

/// The most operations in one batch. Keeps a step well below a millisecond, so that teams take
/// turns.
pub(in crate::ledger) const BATCH_MAX: usize = 128;
/// The most waiting operations of one team: a fraction of a second of work for the keeper. Time
/// spent here says nothing about the keeper's health; only a sent batch has a deadline.
const QUEUE_MAX: usize = 16_384;

/// The teams that this process has served.
#[derive(Default)]
pub(in crate::ledger) struct Teams(Mutex<FastMap<TeamId, Arc<Team>>>);

impl Teams {
    /// The state of one team, made on first use.
    pub(in crate::ledger) fn of(&self, id: &TeamId) -> Arc<Team> {
        let mut teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(team) = teams.get(id) {
            return Arc::clone(team);
        }
        let team =
            Arc::new(Team { id: id.clone(), cache: Mutex::default(), queue: Mutex::default() });
        teams.insert(id.clone(), Arc::clone(&team));
        team
    }

    /// The teams whose budgets are closed, by name.
    pub(in crate::ledger) fn closed(&self) -> Vec<TeamId> {
        let teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut closed: Vec<_> = teams
            .values()
            .filter(|team| team.cache().is_closed())
            .map(|team| team.id.clone())
            .collect();
        closed.sort_unstable();
        closed
    }
}

/// One team in this process: its cached records and its waiting operations.
pub(in crate::ledger) struct Team {
    pub(in crate::ledger) id: TeamId,
    cache: Mutex<TeamCache>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Operation>,
    /// A sender is active, so further operations need not start one.
    is_busy: bool,
}

/// Operations that are sent together.
pub(in crate::ledger) type Batch = Vec<Operation>;

/// The lease to send a team's batches: its holder sends until nothing waits.
pub(in crate::ledger) struct Lease {
    team: Arc<Team>,
    is_over: bool,
}

impl Team {
    /// Locks the team's cached records for a moment.
    pub(in crate::ledger) fn cache(&self) -> MutexGuard<'_, TeamCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an operation. Returns the lease if no sender is active. A full queue refuses the
    /// operation, which is not the keeper's fault.
    pub(in crate::ledger) fn submit(self: &Arc<Self>, operation: Operation) -> Option<Lease> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= QUEUE_MAX {
            drop(queue);
            operation.fail(Outage::TimedOut);
            return None;
        }
        queue.waiting.push_back(operation);
        if queue.is_busy {
            return None;
        }
        queue.is_busy = true;
        Some(Lease { team: Arc::clone(self), is_over: false })
    }

    /// Fails everything that waits, after the keeper did not answer.
    pub(in crate::ledger) fn fail_all(&self, outage: &Outage) {
        let waiting =
            std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting);
        for operation in waiting {
            operation.fail(outage.clone());
        }
    }

    fn next(&self) -> Option<Batch> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut weight) = (Batch::new(), 0);
        while let Some(first) = queue.waiting.front() {
            let is_abandoned = first.is_abandoned();
            if !is_abandoned && !batch.is_empty() && weight + first.weight() > BATCH_MAX {
                break;
            }
            let Some(operation) = queue.waiting.pop_front() else { break };
            if !is_abandoned {
                weight += operation.weight();
                batch.push(operation);
            }
        }
        queue.is_busy = !batch.is_empty();
        (!batch.is_empty()).then_some(batch)
    }
}

impl Lease {
    /// The team.
    pub(in crate::ledger) const fn team(&self) -> &Arc<Team> {
        &self.team
    }

    /// The next batch; `None` ends the lease.
    pub(in crate::ledger) fn next(&mut self) -> Option<Batch> {
        let batch = self.team.next();
        self.is_over = batch.is_none();
        batch
    }
}

impl Drop for Lease {
    /// If the lease is dropped early because its runtime ended, the queue is free for the next
    /// sender and all waiting operations fail.
    fn drop(&mut self) {
        if !self.is_over {
            let left = {
                let mut queue = self.team.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.is_busy = false;
                std::mem::take(&mut queue.waiting)
            };
            for operation in left {
                operation.fail(Outage::Unreachable("stopped".to_owned()));
            }
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
