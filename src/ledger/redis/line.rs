//! One team's operations in line: what comes while a batch is under way goes together in the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::breaker::Breaker;
use super::keys::Keys;
use super::operation::Operation;
use crate::ledger::Outage;
use crate::ledger::calendar::Calendar;
use crate::team::TeamId;

/// How many operations go together at most: keeps one script call well below a millisecond, so that teams take turns.
pub(super) const BATCH_MOST: usize = 128;

/// One team as this handle sees it.
pub(super) struct Line {
    pub(super) team: TeamId,
    pub(super) keys: Keys,
    /// Shared by all teams, except in a cluster, where teams live on different servers.
    pub(super) breaker: Arc<Breaker>,
    queue: Mutex<Queue>,
    calendar: Mutex<Option<(TimeZone, Arc<Calendar>)>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Somebody is sending; who joins the line need not.
    busy: bool,
}

struct Waiting {
    operation: Operation,
    since: Instant,
}

/// Operations that go together.
pub(super) struct Batch {
    pub(super) operations: Vec<Operation>,
    /// Where the days of its admissions begin; `None` when there are none.
    pub(super) time_zone: Option<TimeZone>,
    /// When the first of them joined the line.
    pub(super) since: Instant,
}

/// The right to send a team's batches, and the duty: whoever holds it sends until the line is empty.
pub(super) struct Turn {
    line: Arc<Line>,
    over: bool,
}

impl Line {
    pub(super) fn new(team: TeamId, breaker: Arc<Breaker>) -> Self {
        let keys = Keys::of(&team);
        Self { team, keys, breaker, queue: Mutex::default(), calendar: Mutex::default() }
    }

    /// Joins the line. If nobody is sending, the caller is to see to it.
    pub(super) fn join(self: &Arc<Self>, operation: Operation) -> Option<Turn> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push_back(Waiting { operation, since: Instant::now() });
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
            waiting.operation.fail(outage.clone());
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
            if first.operation.is_abandoned() {
                queue.waiting.pop_front();
                continue;
            }
            let zone = first.operation.time_zone();
            let fits = batch.as_ref().is_none_or(|batch| {
                // One batch has one day: after a reload that moves a team's time zone, the others wait for the next.
                let agrees = batch.time_zone.as_ref().zip(zone).is_none_or(|(one, other)| same_zone(one, other));
                agrees && weight + first.operation.weight() <= BATCH_MOST
            });
            if !fits {
                break;
            }
            weight += first.operation.weight();
            let Some(Waiting { operation, since }) = queue.waiting.pop_front() else { break };
            let batch = batch.get_or_insert_with(|| Batch { operations: Vec::new(), time_zone: None, since });
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
                waiting.operation.fail(Outage::Unreachable("stopped".to_owned()));
            }
        }
    }
}
