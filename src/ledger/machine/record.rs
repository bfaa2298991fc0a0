//! What a ledger keeps, in whichever store: of every scope what it has spent and holds, and every open reservation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::shares::Shares;
use crate::ledger::{CallSummary, Phase, Scope};
use crate::team::limit::{Period, Unit};

/// How many windows of one period a scope keeps: the newest, and two for calls that began earlier and are yet to be
/// settled.
pub(super) const WINDOWS_KEPT: usize = 3;

/// What a window counts, whether or not a limit looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub(in crate::ledger) struct Counts {
    requests: Spending,
    /// In millionths.
    credits: Spending,
}

/// What is spent for good, and what open reservations hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Spending {
    pub(in crate::ledger) spent: u64,
    pub(in crate::ledger) reserved: u64,
}

impl From<[u64; 4]> for Counts {
    fn from([requests_spent, requests_reserved, credits_spent, credits_reserved]: [u64; 4]) -> Self {
        Self {
            requests: Spending { spent: requests_spent, reserved: requests_reserved },
            credits: Spending { spent: credits_spent, reserved: credits_reserved },
        }
    }
}

impl From<Counts> for [u64; 4] {
    fn from(Counts { requests, credits }: Counts) -> Self {
        [requests.spent, requests.reserved, credits.spent, credits.reserved]
    }
}

impl Counts {
    /// What is counted in this unit.
    pub(in crate::ledger) const fn of(&self, unit: Unit) -> Spending {
        match unit {
            Unit::Requests => self.requests,
            Unit::Credits => self.credits,
        }
    }

    fn reserve(&mut self, price: u64) {
        self.requests.reserved += 1;
        self.credits.reserved += price;
    }

    fn settle(&mut self, end: &End) {
        self.requests.reserved = self.requests.reserved.saturating_sub(1);
        self.requests.spent += u64::from(end.counted);
        self.credits.reserved = self.credits.reserved.saturating_sub(end.price);
        self.credits.spent += end.charged;
    }
}

/// What the end of a reservation does to the windows that admitted it.
pub(in crate::ledger) struct End {
    /// What was reserved, in millionths.
    pub(in crate::ledger) price: u64,
    /// What is spent of it, in millionths.
    pub(in crate::ledger) charged: u64,
    /// Whether it counts as a call.
    pub(in crate::ledger) counted: bool,
}

/// The names of the day and the month that admit a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Windows {
    pub(in crate::ledger) day: String,
    pub(in crate::ledger) month: String,
}

/// All that is kept of one team, user or key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct ScopeRecord {
    pub(super) total: Counts,
    pub(super) days: BTreeMap<String, Counts>,
    pub(super) months: BTreeMap<String, Counts>,
    /// By the bucket's period in microseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) buckets: BTreeMap<u64, Bucket>,
    /// How many calls have ended whose answers are still being read: they hold a slot each, and nothing else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) unread: u64,
    /// What was added to the prepaid budget while running, in millionths.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) topped_up: u64,
    /// By period: what the budget was marked with when it was last told of as nearly used up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) crossed: BTreeMap<String, String>,
    /// From when on it counts nothing that matters, in microseconds of Unix time: days and months are over, buckets are
    /// full. `None`: for ever, since a prepaid budget needs the sum of all time; or nobody has said yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<i64>,
    /// What of it was counted in epochs that a loss has ended, while those are to be told apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) shares: Shares,
}

// serde hands the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ScopeRecord {
    /// What the window of this period counts; nothing yet if no call was admitted in it.
    pub(in crate::ledger) fn counts(&self, period: Period, windows: &Windows) -> Counts {
        let found = match period {
            Period::Day => self.days.get(&windows.day).copied(),
            Period::Month => self.months.get(&windows.month).copied(),
            Period::Total => Some(self.total),
        };
        found.unwrap_or_default()
    }

    /// What open reservations hold in each day's window: requests and credits.
    pub(super) fn held_by_day(&self) -> impl Iterator<Item = (&String, u64, u64)> {
        self.days.iter().map(|(day, counts)| (day, counts.requests.reserved, counts.credits.reserved))
    }

    /// Slots that are taken: by calls in flight, and by answers that are still being read.
    pub(in crate::ledger) const fn slots(&self) -> u64 {
        self.open().saturating_add(self.unread)
    }

    /// Calls in flight.
    pub(in crate::ledger) const fn open(&self) -> u64 {
        self.total.requests.reserved
    }

    /// Answers that are still being read.
    pub(in crate::ledger) const fn unread(&self) -> u64 {
        self.unread
    }

    /// A call that has ended keeps its slot.
    pub(super) const fn keep_slot(&mut self) {
        self.unread = self.unread.saturating_add(1);
    }

    /// One that was kept is free.
    pub(super) const fn free_slot(&mut self) {
        self.unread = self.unread.saturating_sub(1);
    }

    /// All top-ups together, in millionths.
    pub(in crate::ledger) const fn topped_up(&self) -> u64 {
        self.topped_up
    }

    /// Keeps another sum of all top-ups.
    pub(in crate::ledger) const fn set_topped_up(&mut self, micros: u64) {
        self.topped_up = micros;
    }

    /// From when on it may be forgotten; `None`: never.
    pub(in crate::ledger) const fn until(&self) -> Option<i64> {
        self.until
    }

    /// Says from when on it may be forgotten.
    pub(in crate::ledger) const fn set_until(&mut self, until: Option<i64>) {
        self.until = until;
    }

    /// Marks a budget as told of. `false`: it had this mark.
    pub(in crate::ledger) fn mark_crossed(&mut self, period: Period, mark: String) -> bool {
        let name = match period {
            Period::Day => "day",
            Period::Month => "month",
            Period::Total => "total",
        };
        self.crossed.insert(name.to_owned(), mark.clone()) != Some(mark)
    }

    /// The bucket of this period, in microseconds; an untouched one if there was none.
    pub(in crate::ledger) fn bucket(&self, period: u64) -> Bucket {
        self.buckets.get(&period).copied().unwrap_or_default()
    }

    /// Keeps a bucket as it is now.
    pub(in crate::ledger) fn set_bucket(&mut self, period: u64, bucket: Bucket) {
        self.buckets.insert(period, bucket);
    }

    /// Holds a call and its price in every window.
    pub(in crate::ledger) fn reserve(&mut self, windows: &Windows, price: u64) {
        window(&mut self.days, &windows.day).reserve(price);
        window(&mut self.months, &windows.month).reserve(price);
        self.total.reserve(price);
    }

    /// Ends a call in the windows that admitted it. A window no longer kept stays gone.
    pub(in crate::ledger) fn settle(&mut self, windows: &Windows, end: &End) {
        let day = self.days.get_mut(&windows.day);
        let month = self.months.get_mut(&windows.month);
        for counts in day.into_iter().chain(month).chain([&mut self.total]) {
            counts.settle(end);
        }
    }
}

/// The window of this name, opened if need be; the oldest others go. Names sort as their times do.
fn window<'a>(windows: &'a mut BTreeMap<String, Counts>, name: &str) -> &'a mut Counts {
    if !windows.contains_key(name) {
        while windows.len() >= WINDOWS_KEPT {
            windows.pop_first();
        }
    }
    windows.entry(name.to_owned()).or_default()
}

/// A scope's name as stores keep it: its level, and whose. Every call has some in many places, so a copy is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::ledger) struct ScopeName {
    pub(in crate::ledger) level: Cow<'static, str>,
    pub(in crate::ledger) whose: Arc<str>,
}

impl From<&Scope> for ScopeName {
    fn from(scope: &Scope) -> Self {
        let whose = match scope {
            Scope::Team => Arc::default(),
            Scope::User(user) | Scope::Account(user) => user.to_shared(),
            Scope::Key(key) => key.to_shared(),
        };
        Self { level: scope.level().into(), whose }
    }
}

// serde hands the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_none_yet(marks: &u32) -> bool {
    *marks == 0
}

impl ReservationRecord {
    /// How far the open call has come; `None`: it has ended, and only its answer is still being read.
    pub(in crate::ledger) const fn phase(&self) -> Option<Phase> {
        match (self.unread, self.dispatched, self.turned_back) {
            (true, ..) => None,
            (false, true, _) => Some(Phase::Dispatched),
            (false, false, true) => Some(Phase::TurnedBack),
            (false, false, false) => Some(Phase::Waiting),
        }
    }

    /// What is left of it when the call has ended and keeps its slots.
    pub(super) fn keeping_slots(self, deadline: i64) -> Self {
        Self { unread: true, deadline, ..self }
    }

    /// The same call, come to another phase.
    pub(in crate::ledger) fn marked(self, phase: Phase) -> Self {
        let (dispatched, turned_back) = (phase == Phase::Dispatched, phase == Phase::TurnedBack);
        Self { dispatched, turned_back, marks: self.marks.wrapping_add(1), ..self }
    }
}

/// A top-up that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct TopUpRecord {
    pub(in crate::ledger) scope: ScopeName,
    /// In millionths.
    pub(in crate::ledger) credits: u64,
}

/// An open reservation: all that its settlement, by whichever process, must know. Or what is left of it, once it is
/// settled, for as long as its answer is being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct ReservationRecord {
    /// Whether the upstream may have seen the call.
    pub(in crate::ledger) dispatched: bool,
    /// Whether the upstream has refused it, and it waits to be sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::ledger) turned_back: bool,
    /// It is settled: it holds nothing but its slots, for an answer that is still being read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::ledger) unread: bool,
    /// How often it was marked: a mark that comes late, after another one, is told from that one.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub(in crate::ledger) marks: u32,
    /// The epoch in which whoever makes it last said how far it has come: after a loss, and where another server has
    /// taken over. 0: in the one in which it was admitted, before all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(in crate::ledger) claimed: u64,
    /// The epoch and the number of a change in which it may have ended: whoever makes it was not answered when that was
    /// lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ledger) ending: Option<(u64, u64)>,
    /// What is reserved, in millionths.
    pub(in crate::ledger) price: u64,
    /// The windows that admitted it.
    pub(in crate::ledger) windows: Windows,
    /// When it was admitted, in microseconds of Unix time.
    pub(in crate::ledger) admitted_at: i64,
    /// When it may be swept, in microseconds of Unix time.
    pub(in crate::ledger) deadline: i64,
    /// Every scope that holds it.
    pub(in crate::ledger) scopes: Vec<ScopeName>,
    /// What the row will say of the call.
    pub(in crate::ledger) asked: Arc<CallSummary>,
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
