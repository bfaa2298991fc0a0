//! One team's operations in line: what comes while a batch is under way goes together in the next.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::breaker::Breaker;
use super::keys::Keys;
use super::operation::Operation;
use super::witness::{Seen, locked};
use crate::ledger::Outage;
use crate::ledger::calendar::Calendar;
use crate::team::TeamId;

/// How many operations go together at most: keeps one script call well below a millisecond, so that teams take turns.
pub(super) const BATCH_MOST: usize = 128;
/// The most operations of one team that wait for their turn: what Redis does in a fraction of a second. Their waiting is
/// ours, and no sign of the store's health; only the answer to a batch has a deadline.
const LINE_MOST: usize = 16_384;

/// One team as this handle sees it.
pub(super) struct Line {
    pub(super) team: TeamId,
    pub(super) keys: Keys,
    /// Shared by all teams, except in a cluster, where teams live on different servers.
    pub(super) breaker: Arc<Breaker>,
    /// Whether this handle has seen to it that the store's list of teams has this one.
    pub(super) is_noted: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    queue: Mutex<Queue>,
    calendar: Mutex<Option<(TimeZone, Arc<Calendar>)>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Operation>,
    /// Somebody is sending; who joins the line need not.
    busy: bool,
}

/// Operations that go together.
pub(super) struct Batch {
    pub(super) operations: Vec<Operation>,
    /// Where the days of its admissions begin; `None` when there are none.
    pub(super) time_zone: Option<TimeZone>,
}

/// The right to send a team's batches, and the duty: whoever holds it sends until the line is empty.
pub(super) struct Turn {
    line: Arc<Line>,
    over: bool,
}

impl Line {
    pub(super) fn new(team: TeamId, breaker: Arc<Breaker>, seen: Arc<Mutex<Seen>>) -> Self {
        let keys = Keys::of(&team);
        let (is_noted, queue, calendar) = (Arc::default(), Mutex::default(), Mutex::default());
        Self { team, keys, breaker, is_noted, seen, queue, calendar }
    }

    /// What this process has seen of the team.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        locked(&self.seen)
    }

    /// Joins the line. If nobody is sending, the caller is to see to it. A line that is too long takes nobody: that is not
    /// the store's fault, and the breaker hears nothing of it.
    pub(super) fn join(self: &Arc<Self>, operation: Operation) -> Option<Turn> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= LINE_MOST {
            drop(queue);
            operation.fail(Outage::TimedOut);
            return None;
        }
        queue.waiting.push_back(operation);
        if queue.busy {
            return None;
        }
        queue.busy = true;
        Some(Turn { line: Arc::clone(self), over: false })
    }

    /// Fails everyone in line: the store was just found not to answer.
    pub(super) fn fail_all(&self, outage: &Outage) {
        let waiting = std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting);
        for waiting in waiting {
            waiting.fail(outage.clone());
        }
    }

    /// The day and month around a moment; worked out once for each day.
    pub(super) fn calendar(&self, moment: Timestamp, zone: &TimeZone) -> Arc<Calendar> {
        let mut known = self.calendar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((its_zone, calendar)) if same_zone(its_zone, zone) && calendar.contains(moment) => {
                Arc::clone(calendar)
            }
            Some(_) | None => {
                let calendar = Arc::new(Calendar::around(moment, zone));
                *known = Some((zone.clone(), Arc::clone(&calendar)));
                calendar
            }
        }
    }

    fn next(&self) -> Option<Batch> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch: Option<Batch> = None;
        let mut weight = 0;
        while let Some(first) = queue.waiting.front() {
            if first.is_abandoned() {
                queue.waiting.pop_front();
                continue;
            }
            let zone = first.time_zone();
            let fits = batch.as_ref().is_none_or(|batch| {
                // One batch has one day: after a reload that moves a team's time zone, the others wait for the next.
                let agrees = batch.time_zone.as_ref().zip(zone).is_none_or(|(one, other)| same_zone(one, other));
                agrees && weight + first.weight() <= BATCH_MOST
            });
            if !fits {
                break;
            }
            weight += first.weight();
            let Some(operation) = queue.waiting.pop_front() else { break };
            let batch = batch.get_or_insert_with(|| Batch { operations: Vec::new(), time_zone: None });
            if batch.time_zone.is_none() {
                batch.time_zone = operation.time_zone().cloned();
            }
            batch.operations.push(operation);
        }
        if batch.is_none() {
            queue.busy = false;
        }
        batch
    }
}

/// Comparing two zones in full means comparing their histories; their names say the same.
fn same_zone(one: &TimeZone, other: &TimeZone) -> bool {
    match (one.iana_name(), other.iana_name()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

impl Turn {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// The next batch; `None` ends the turn.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let batch = self.line.next();
        self.over = batch.is_none();
        batch
    }
}

impl Drop for Turn {
    /// A turn that was cut short (its runtime ended) leaves the line open for the next, and nobody waiting for ever.
    fn drop(&mut self) {
        if !self.over {
            let left = {
                let mut queue = self.line.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.busy = false;
                std::mem::take(&mut queue.waiting)
            };
            for waiting in left {
                waiting.fail(Outage::Unreachable("stopped".to_owned()));
            }
        }
    }
}
