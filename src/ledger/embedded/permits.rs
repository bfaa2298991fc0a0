//! Permits of the shared account in this process: the windows are in the file, the line before them is in memory, since
//! those who wait in it are in this process too.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::account::{Account, KeyWindows};
use super::fault::Fault;
use super::line::{Line, State};
use super::writer::State as Batch;
use crate::ledger::machine::judgement;
use crate::permits::{
    AccountLimits, Allowance, Ask, BatchResult, GIVE_BACK_WITHIN, KeyName, Operation, PLACE_TTL, PermitId,
    QueuePosition, Remaining,
};

/// One round: the account as it is in the file, the line, and the limits that hold.
struct Counter<'a> {
    account: &'a mut Account,
    line: &'a mut Line,
    limits: &'a AccountLimits,
    now: Timestamp,
    micros: i64,
}

impl Batch<'_> {
    /// Takes note of all words, ends what was left behind, and lets those pass for whom there is room.
    pub(super) fn round(&mut self, limits: &AccountLimits, words: &[Operation]) -> Result<BatchResult, Fault> {
        let now = self.machine.now();
        let mut account = self.machine.records().account()?;
        let micros = now.as_microsecond();
        let mut counter = Counter { account: &mut account, line: self.line, limits, now, micros };
        let round = counter.round(words);
        self.machine.records_to_write().put_account(&account)?;
        Ok(round)
    }
}

impl Counter<'_> {
    fn round(&mut self, words: &[Operation]) -> BatchResult {
        self.account.roll(self.now);
        self.end_left_behind(words);
        for word in words {
            match word {
                Operation::Leave(id) => self.finish(*id),
                Operation::Told(told) => {
                    let now = self.micros;
                    self.key(&told.key).told(told, now);
                }
                Operation::Ask(_) | Operation::Wait(_) => {}
            }
        }
        self.let_pass();
        for word in words {
            if let Operation::Ask(ask) = word {
                self.ask(ask);
            }
        }
        self.let_pass();
        let places = words.iter().filter_map(|word| self.place(word)).collect();
        if self.line.order.is_empty() {
            self.line.teams.clear();
            self.line.virtual_time = 0;
        }
        BatchResult { places, remaining: self.remaining(), at: self.now }
    }

    fn key(&mut self, name: &KeyName) -> &mut KeyWindows {
        self.account.key(name, self.now)
    }

    fn allowance(&self, name: &KeyName) -> Allowance {
        self.limits.keys.iter().find(|(known, _)| known == name).map_or_else(Allowance::default, |(_, of)| *of)
    }

    /// What was left behind, unless this round speaks of it: whoever speaks of a call is alive.
    fn end_left_behind(&mut self, words: &[Operation]) {
        let spoken_of: HashSet<PermitId> = words
            .iter()
            .filter_map(|word| match word {
                Operation::Ask(ask) => Some(ask.id),
                Operation::Wait(id) | Operation::Leave(id) => Some(*id),
                Operation::Told(_) => None,
            })
            .collect();
        let overdue = self.line.deadlines.iter().take_while(|(deadline, _)| *deadline <= self.micros);
        let overdue: Vec<PermitId> = overdue.map(|(_, id)| *id).filter(|id| !spoken_of.contains(id)).collect();
        for id in overdue {
            match self.line.places.get(&id).map(|held| &held.state) {
                // Whether a permit that was told was used, nobody knows: it stays taken.
                Some(State::Granted { heard: true, .. }) => drop(self.line.take(id)),
                Some(State::Granted { heard: false, .. } | State::Waiting { .. }) | None => self.finish(id),
            }
        }
    }

    fn finish(&mut self, id: PermitId) {
        let Some(State::Granted { key, at, .. }) = self.line.take(id) else { return };
        let now = self.micros;
        self.account.whole.give_back(at);
        let key = self.key(&key);
        key.own.give_back(at);
        key.open_told(now).filter(|told| told.since <= at).for_each(|told| told.left += 1);
    }

    /// When a key has room; `None` when it has now.
    fn opens(&mut self, name: &KeyName) -> Option<i64> {
        let (now, allowance) = (self.micros, self.allowance(name));
        let whole = self.account.whole.opens(&self.limits.account);
        let key = self.key(name);
        let told = key.open_told(now).filter(|told| told.left == 0).map(|told| told.ends).max();
        whole.max(key.own.opens(&allowance)).max(told)
    }

    fn first_with_room(&mut self, names: &[KeyName]) -> Option<KeyName> {
        names.iter().find(|name| self.opens(name).is_none()).cloned()
    }

    fn grant(&mut self, id: PermitId, key: KeyName) {
        let now = self.micros;
        self.account.whole.take();
        let windows = self.key(&key);
        windows.own.take();
        windows.open_told(now).for_each(|told| told.left = told.left.saturating_sub(1));
        let deadline = now.saturating_add(micros(PLACE_TTL));
        self.line.put(id, deadline, State::Granted { key, at: now, heard: false });
    }

    /// Lets those pass who come first and whose keys have room.
    fn let_pass(&mut self) {
        let waiting: Vec<(u64, PermitId)> = self.line.order.iter().copied().collect();
        for (tag, id) in waiting {
            if self.account.whole.opens(&self.limits.account).is_some() {
                return;
            }
            let Some(State::Waiting { ask, .. }) = self.line.places.get(&id).map(|held| held.state.clone()) else {
                continue;
            };
            if let Some(key) = self.first_with_room(&ask.keys) {
                self.line.step_out(tag, id, &ask.team);
                self.line.virtual_time = self.line.virtual_time.max(tag);
                self.grant(id, key);
            }
        }
    }

    /// At once where nobody waits and there is room, else to the line.
    fn ask(&mut self, ask: &Ask) {
        let deadline = self.micros.saturating_add(micros(PLACE_TTL));
        match self.line.places.get(&ask.id).map(|held| &held.state) {
            None if self.line.order.is_empty() => match self.first_with_room(&ask.keys) {
                Some(key) => self.grant(ask.id, key),
                None => drop(self.line.join(ask, self.limits, deadline)),
            },
            None => drop(self.line.join(ask, self.limits, deadline)),
            // It may use other keys by now.
            Some(State::Waiting { tag, .. }) => {
                let tag = *tag;
                self.line.put(ask.id, deadline, State::Waiting { tag, ask: ask.clone() });
            }
            Some(State::Granted { .. }) => {}
        }
    }

    fn place(&mut self, word: &Operation) -> Option<QueuePosition> {
        let (id, absent) = match word {
            Operation::Ask(ask) => (ask.id, QueuePosition::Full),
            Operation::Wait(id) => (*id, QueuePosition::Gone),
            Operation::Leave(_) | Operation::Told(_) => return None,
        };
        let Some(state) = self.line.places.get(&id).map(|held| held.state.clone()) else { return Some(absent) };
        Some(match state {
            State::Granted { key, at, .. } => {
                let deadline = self.micros.saturating_add(micros(GIVE_BACK_WITHIN));
                self.line.put(id, deadline, State::Granted { key: key.clone(), at, heard: true });
                QueuePosition::Granted { left: self.left(&key), key }
            }
            State::Waiting { tag, ask } => {
                let deadline = self.micros.saturating_add(micros(PLACE_TTL));
                let opens = ask.keys.iter().map(|key| self.opens(key).unwrap_or(self.micros)).min();
                let ahead = self.line.order.range(..(tag, id)).count() as u64;
                self.line.put(id, deadline, State::Waiting { tag, ask });
                QueuePosition::Waiting { ahead, opens_at: judgement::at(opens.unwrap_or(self.micros)) }
            }
        })
    }

    fn left(&mut self, name: &KeyName) -> Option<u64> {
        let (now, allowance) = (self.micros, self.allowance(name));
        let whole = self.account.whole.left(&self.limits.account).map(|(_, left)| left).min();
        let key = self.key(name);
        let told = key.open_told(now).map(|told| told.left).min();
        let own = key.own.left(&allowance).map(|(_, left)| left).min();
        [whole, own, told].into_iter().flatten().min()
    }

    fn remaining(&mut self) -> Vec<Remaining> {
        let whole = self.account.whole.left(&self.limits.account);
        let mut remaining: Vec<Remaining> = whole.map(|(span, calls)| Remaining { key: None, span, calls }).collect();
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
