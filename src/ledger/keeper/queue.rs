//! One queue of a team for the whole process: what comes while a batch is under way goes together in the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::TeamCache;
use super::operation::Operation;
use crate::ledger::Outage;
use crate::maps::FastMap;
use crate::team::TeamId;

/// How many operations go together at most: keeps one step well below a millisecond, so that teams take turns.
pub(in crate::ledger) const BATCH_MOST: usize = 128;
/// The most operations of one team that wait for their turn: what a keeper does in a fraction of a second. Their
/// waiting is ours, and no sign of the keeper's health; only the answer to a batch has a deadline.
const QUEUE_MOST: usize = 16_384;

/// The teams that this process has had to do with.
#[derive(Default)]
pub(in crate::ledger) struct Teams(Mutex<FastMap<TeamId, Arc<Team>>>);

impl Teams {
    /// One team.
    pub(in crate::ledger) fn of(&self, id: &TeamId) -> Arc<Team> {
        let mut teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(team) = teams.get(id) {
            return Arc::clone(team);
        }
        let team = Arc::new(Team { id: id.clone(), cache: Mutex::default(), queue: Mutex::default() });
        teams.insert(id.clone(), Arc::clone(&team));
        team
    }

    /// The teams whose budgets are closed, by name.
    pub(in crate::ledger) fn closed(&self) -> Vec<TeamId> {
        let teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut closed: Vec<_> =
            teams.values().filter(|team| team.cache().is_closed()).map(|team| team.id.clone()).collect();
        closed.sort_unstable();
        closed
    }
}

/// One team in this process: its records as far as they are known, and what waits.
pub(in crate::ledger) struct Team {
    pub(in crate::ledger) id: TeamId,
    cache: Mutex<TeamCache>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Operation>,
    /// Somebody is sending; who comes meanwhile need not.
    is_busy: bool,
}

/// Operations that go together.
pub(in crate::ledger) type Batch = Vec<Operation>;

/// The right to send a team's batches, and the duty: whoever holds it sends until nothing waits.
pub(in crate::ledger) struct Lease {
    team: Arc<Team>,
    is_over: bool,
}

impl Team {
    /// The team's records as far as they are known, for a moment in which nobody else looks.
    pub(in crate::ledger) fn cache(&self) -> MutexGuard<'_, TeamCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an operation into the queue. If nobody is sending, the caller is to see to it. A queue that is too long
    /// takes nothing: that is not the keeper's fault.
    pub(in crate::ledger) fn submit(self: &Arc<Self>, operation: Operation) -> Option<Lease> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= QUEUE_MOST {
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

    /// Fails everything that waits: the keeper was just found not to answer.
    pub(in crate::ledger) fn fail_all(&self, outage: &Outage) {
        let waiting = std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting);
        for operation in waiting {
            operation.fail(outage.clone());
        }
    }

    fn next(&self) -> Option<Batch> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut weight) = (Batch::new(), 0);
        while let Some(first) = queue.waiting.front() {
            let is_abandoned = first.is_abandoned();
            if !is_abandoned && !batch.is_empty() && weight + first.weight() > BATCH_MOST {
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
    /// A lease that was cut short (its runtime ended) leaves the queue open for the next, and nobody waiting for ever.
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
