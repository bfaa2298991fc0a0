//! Permits of the shared account in one process: windows that the ledger keeps in its file, and a
//! queue in memory, since all waiting calls are in this process.
//!
//! Pure functions. The file belongs to the ledger, whose writer puts the windows into the same
//! transaction as the calls that they count; only there the traits meet.

mod account;
mod queue;

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use self::account::Account;
use self::account::KeyWindows;
pub(crate) use self::queue::Queue;
use self::queue::State;
use crate::permits::{
    AccountLimits, Allowance, Ask, BatchResult, GIVE_BACK_WITHIN, KeyName, Operation, POSITION_TTL,
    PermitId, QueuePosition, Remaining,
};

/// State of one batch: the account, the queue, and the limits.
struct Counter<'a> {
    account: &'a mut Account,
    queue: &'a mut Queue,
    limits: &'a AccountLimits,
    now: Timestamp,
    micros: i64,
}

/// Applies all operations, ends what was left behind, and grants permits to those at the front that
/// have room.
pub(crate) fn apply(
    account: &mut Account,
    queue: &mut Queue,
    limits: &AccountLimits,
    operations: &[Operation],
    now: Timestamp,
) -> BatchResult {
    let micros = now.as_microsecond();
    Counter { account, queue, limits, now, micros }.apply(operations)
}

impl Counter<'_> {
    fn apply(&mut self, operations: &[Operation]) -> BatchResult {
        self.account.roll(self.now);
        self.end_left_behind(operations);
        for operation in operations {
            match operation {
                Operation::Leave(id) => self.finish(*id),
                Operation::Report(report) => {
                    let now = self.micros;
                    self.key(&report.key).report(report, now);
                }
                Operation::Ask(_) | Operation::Wait(_) => {}
            }
        }
        self.grant_waiting();
        for operation in operations {
            if let Operation::Ask(ask) = operation {
                self.ask(ask);
            }
        }
        self.grant_waiting();
        let positions =
            operations.iter().filter_map(|operation| self.position(operation)).collect();
        if self.queue.order.is_empty() {
            self.queue.teams.clear();
            self.queue.virtual_time = 0;
        }
        BatchResult { positions, remaining: self.remaining(), at: self.now }
    }

    fn key(&mut self, name: &KeyName) -> &mut KeyWindows {
        self.account.key(name, self.now)
    }

    fn allowance(&self, name: &KeyName) -> Allowance {
        self.limits
            .keys
            .iter()
            .find(|(known, _)| known == name)
            .map_or_else(Allowance::default, |(_, of)| *of)
    }

    /// Ends what was left behind, unless this batch names it: then its worker is alive.
    fn end_left_behind(&mut self, operations: &[Operation]) {
        let named: HashSet<PermitId> = operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::Ask(ask) => Some(ask.id),
                Operation::Wait(id) | Operation::Leave(id) => Some(*id),
                Operation::Report(_) => None,
            })
            .collect();
        let overdue =
            self.queue.deadlines.iter().take_while(|(deadline, _)| *deadline <= self.micros);
        let overdue: Vec<PermitId> =
            overdue.map(|(_, id)| *id).filter(|id| !named.contains(id)).collect();
        for id in overdue {
            match self.queue.entries.get(&id).map(|held| &held.state) {
                // A permit that was reported to its worker may have been used, so it stays taken.
                Some(State::Granted { is_known: true, .. }) => drop(self.queue.take(id)),
                Some(State::Granted { is_known: false, .. } | State::Waiting { .. }) | None => {
                    self.finish(id)
                }
            }
        }
    }

    fn finish(&mut self, id: PermitId) {
        let Some(State::Granted { key, at, .. }) = self.queue.take(id) else { return };
        let now = self.micros;
        self.account.whole.give_back(at);
        let key = self.key(&key);
        key.own.give_back(at);
        key.open_reports(now)
            .filter(|report| report.since <= at)
            .for_each(|report| report.left += 1);
    }

    /// When a key has room; `None` when it has now.
    fn opens(&mut self, name: &KeyName) -> Option<i64> {
        let (now, allowance) = (self.micros, self.allowance(name));
        let whole = self.account.whole.opens(&self.limits.account);
        let key = self.key(name);
        let reported =
            key.open_reports(now).filter(|report| report.left == 0).map(|report| report.ends).max();
        whole.max(key.own.opens(&allowance)).max(reported)
    }

    fn first_with_room(&mut self, names: &[KeyName]) -> Option<KeyName> {
        names.iter().find(|name| self.opens(name).is_none()).cloned()
    }

    fn grant(&mut self, id: PermitId, key: KeyName) {
        let now = self.micros;
        self.account.whole.take();
        let windows = self.key(&key);
        windows.own.take();
        windows.open_reports(now).for_each(|report| report.left = report.left.saturating_sub(1));
        let deadline = now.saturating_add(micros(POSITION_TTL));
        self.queue.put(id, deadline, State::Granted { key, at: now, is_known: false });
    }

    /// Grants permits from the front of the queue, to calls whose keys have room.
    fn grant_waiting(&mut self) {
        let waiting: Vec<(u64, PermitId)> = self.queue.order.iter().copied().collect();
        for (tag, id) in waiting {
            if self.account.whole.opens(&self.limits.account).is_some() {
                return;
            }
            let Some(State::Waiting { ask, .. }) =
                self.queue.entries.get(&id).map(|held| held.state.clone())
            else {
                continue;
            };
            if let Some(key) = self.first_with_room(&ask.keys) {
                self.queue.leave(tag, id, &ask.team);
                self.queue.virtual_time = self.queue.virtual_time.max(tag);
                self.grant(id, key);
            }
        }
    }

    /// Grants a permit at once if the queue is empty and there is room, else queues the call.
    fn ask(&mut self, ask: &Ask) {
        let deadline = self.micros.saturating_add(micros(POSITION_TTL));
        match self.queue.entries.get(&ask.id).map(|held| &held.state) {
            None if self.queue.order.is_empty() => match self.first_with_room(&ask.keys) {
                Some(key) => self.grant(ask.id, key),
                None => drop(self.queue.join(ask, self.limits, deadline)),
            },
            None => drop(self.queue.join(ask, self.limits, deadline)),
            // After a reload it may use other keys.
            Some(State::Waiting { tag, .. }) => {
                let tag = *tag;
                self.queue.put(ask.id, deadline, State::Waiting { tag, ask: ask.clone() });
            }
            Some(State::Granted { .. }) => {}
        }
    }

    fn position(&mut self, operation: &Operation) -> Option<QueuePosition> {
        let (id, absent) = match operation {
            Operation::Ask(ask) => (ask.id, QueuePosition::Full),
            Operation::Wait(id) => (*id, QueuePosition::Gone),
            Operation::Leave(_) | Operation::Report(_) => return None,
        };
        let Some(state) = self.queue.entries.get(&id).map(|held| held.state.clone()) else {
            return Some(absent);
        };
        Some(match state {
            State::Granted { key, at, .. } => {
                let deadline = self.micros.saturating_add(micros(GIVE_BACK_WITHIN));
                self.queue.put(
                    id,
                    deadline,
                    State::Granted { key: key.clone(), at, is_known: true },
                );
                QueuePosition::Granted { left: self.left(&key), key }
            }
            State::Waiting { tag, ask } => {
                let deadline = self.micros.saturating_add(micros(POSITION_TTL));
                let opens = ask.keys.iter().map(|key| self.opens(key).unwrap_or(self.micros)).min();
                let ahead = self.queue.order.range(..(tag, id)).count() as u64;
                self.queue.put(id, deadline, State::Waiting { tag, ask });
                QueuePosition::Waiting { ahead, opens_at: at(opens.unwrap_or(self.micros)) }
            }
        })
    }

    fn left(&mut self, name: &KeyName) -> Option<u64> {
        let (now, allowance) = (self.micros, self.allowance(name));
        let whole = self.account.whole.left(&self.limits.account).map(|(_, left)| left).min();
        let key = self.key(name);
        let reported = key.open_reports(now).map(|report| report.left).min();
        let own = key.own.left(&allowance).map(|(_, left)| left).min();
        [whole, own, reported].into_iter().flatten().min()
    }

    fn remaining(&mut self) -> Vec<Remaining> {
        let whole = self.account.whole.left(&self.limits.account);
        let mut remaining: Vec<Remaining> =
            whole.map(|(span, calls)| Remaining { key: None, span, calls }).collect();
        for (name, allowance) in &self.limits.keys {
            let own = self.account.key(name, self.now).own;
            remaining.extend(own.left(allowance).map(|(span, calls)| Remaining {
                key: Some(name.clone()),
                span,
                calls,
            }));
        }
        remaining
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}
