//! The records of a ledger, in any store: what each scope has spent and holds, and every open
//! reservation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::ending::Ending;
use super::windows::{Counts, End, WindowCounts, Windows, by_name, window};
use crate::ledger::{CallSummary, Phase, Scope};
use crate::team::limit::{Period, Unit};

/// The most marks of a call between two claims: a claim moves its number of marks to the next
/// multiple of one more, so that earlier marks can be told apart.
const MARKS_MAX: u32 = 63;

/// The record of one team, user or key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct ScopeRecord {
    pub(super) total: Counts,
    #[serde(serialize_with = "by_name")]
    pub(super) days: WindowCounts,
    #[serde(serialize_with = "by_name")]
    pub(super) months: WindowCounts,
    /// Buckets by their period in microseconds.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub(super) buckets: LiteMap<u64, Bucket>,
    /// Ended calls whose answers are still being read: each holds a slot, and nothing else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) unread: u64,
    /// All top-ups of the prepaid budget, in millionths.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) topped_up: u64,
    /// The mark of the last window in which the soft threshold was reported, by period.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) crossed: BTreeMap<String, String>,
    /// When nothing it counts matters any more, in microseconds of Unix time: days and months are
    /// over, buckets are full. `None`: never, because a prepaid budget needs the sum of all time,
    /// or nobody has set a time yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<i64>,
    /// Counts of epochs that a loss has ended, as long as they must be kept apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) shares: Shares,
    /// Void steps of those epochs; see `void`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) voids: Vec<Void>,
}

/// Shares by epoch; `shares` merges them.
pub(super) type Shares = BTreeMap<u64, Share>;

/// What a scope counted in one past epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Share {
    /// The number of the last change of that epoch that it includes.
    pub(super) number: u64,
    /// The last step of each process that it includes; none when they are unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) last_steps: Vec<u64>,
    pub(super) counted: Box<ScopeRecord>,
}

/// A void step: what it would have added to the scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Void {
    pub(super) epoch: u64,
    /// The number of the change that it would have made.
    pub(super) number: u64,
    pub(super) name: u64,
    pub(super) added: Box<ScopeRecord>,
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ScopeRecord {
    /// The counts of the window of this period; zero when no call was admitted in it.
    pub(in crate::ledger) fn counts(&self, period: Period, windows: &Windows) -> Counts {
        let found = match period {
            Period::Day => self.days.get(&*windows.day).copied(),
            Period::Month => self.months.get(&*windows.month).copied(),
            Period::Total => Some(self.total),
        };
        found.unwrap_or_default()
    }

    /// What open reservations hold in each day's window: requests and credits.
    pub(super) fn held_by_day(&self) -> impl Iterator<Item = (&Arc<str>, u64, u64)> {
        self.days.iter().map(|(day, counts)| {
            (day, counts.of(Unit::Requests).reserved, counts.of(Unit::Credits).reserved)
        })
    }

    /// Slots taken by calls in flight and by answers that are still being read.
    pub(in crate::ledger) const fn slots(&self) -> u64 {
        self.open().saturating_add(self.unread)
    }

    /// Calls in flight.
    pub(in crate::ledger) const fn open(&self) -> u64 {
        self.total.of(Unit::Requests).reserved
    }

    /// Answers that are still being read.
    pub(in crate::ledger) const fn unread(&self) -> u64 {
        self.unread
    }

    /// Keeps the slot of an ended call.
    pub(super) const fn keep_slot(&mut self) {
        self.unread = self.unread.saturating_add(1);
    }

    /// Frees a kept slot.
    pub(super) const fn free_slot(&mut self) {
        self.unread = self.unread.saturating_sub(1);
    }

    /// The sum of all top-ups, in millionths.
    pub(in crate::ledger) const fn topped_up(&self) -> u64 {
        self.topped_up
    }

    /// Sets the sum of all top-ups.
    pub(in crate::ledger) const fn set_topped_up(&mut self, micros: u64) {
        self.topped_up = micros;
    }

    /// When it may be forgotten; `None`: never.
    pub(in crate::ledger) const fn until(&self) -> Option<i64> {
        self.until
    }

    /// Sets when it may be forgotten.
    pub(in crate::ledger) const fn set_until(&mut self, until: Option<i64>) {
        self.until = until;
    }

    /// Marks a budget's soft threshold as reported. `false` when it had this mark.
    pub(in crate::ledger) fn mark_crossed(&mut self, period: Period, mark: String) -> bool {
        let name = match period {
            Period::Day => "day",
            Period::Month => "month",
            Period::Total => "total",
        };
        self.crossed.insert(name.to_owned(), mark.clone()) != Some(mark)
    }

    /// The bucket of this period, in microseconds; untouched if there was none.
    pub(in crate::ledger) fn bucket(&self, period: u64) -> Bucket {
        self.buckets.get(&period).copied().unwrap_or_default()
    }

    /// Sets a bucket.
    pub(in crate::ledger) fn set_bucket(&mut self, period: u64, bucket: Bucket) {
        self.buckets.insert(period, bucket);
    }

    /// Whether a bucket's time is earlier than in the record before its change.
    pub(in crate::ledger) fn turns_back(&self, before: &Self) -> bool {
        self.buckets.iter().any(|(period, bucket)| bucket.since < before.bucket(*period).since)
    }

    /// Reserves a call and its price in every window.
    pub(in crate::ledger) fn reserve(&mut self, windows: &Windows, price: u64) {
        window(&mut self.days, &windows.day).reserve(price);
        window(&mut self.months, &windows.month).reserve(price);
        self.total.reserve(price);
    }

    /// Ends a call in the windows that admitted it. A window that is not kept any more stays gone.
    pub(in crate::ledger) fn settle(&mut self, windows: &Windows, end: &End) {
        let day = self.days.get_mut(&*windows.day);
        let month = self.months.get_mut(&*windows.month);
        for counts in day.into_iter().chain(month).chain([&mut self.total]) {
            counts.settle(end);
        }
    }
}

/// A scope's name in a store: its level, and whose it is. Cheap to clone, because every call names
/// several.
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

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_none_yet(marks: &u32) -> bool {
    *marks == 0
}

impl ReservationRecord {
    /// The phase of an open call; `None` when it has ended and only its answer is still being read.
    pub(in crate::ledger) const fn phase(&self) -> Option<Phase> {
        match (self.unread, self.dispatched, self.turned_back) {
            (true, ..) => None,
            (false, true, _) => Some(Phase::Dispatched),
            (false, false, true) => Some(Phase::TurnedBack),
            (false, false, false) => Some(Phase::Waiting),
        }
    }

    /// The record of an ended call that keeps its slots.
    pub(super) fn keeping_slots(self, deadline: i64) -> Self {
        Self { unread: true, deadline, ..self }
    }

    /// The same call, claimed in an epoch by the process that makes it. A mark sent earlier that
    /// arrives late is told from later marks.
    pub(in crate::ledger) fn claimed_in(self, epoch: u64) -> Self {
        let (sent_in, marks) = (self.marked_as_sent_in(), (self.marks | MARKS_MAX).wrapping_add(1));
        Self { claimed: epoch, marks, sent_in, ..self }
    }

    /// The last epoch in which a sent call was marked after it was claimed there; 0: none.
    pub(in crate::ledger) const fn marked_as_sent_in(&self) -> u64 {
        if self.dispatched && self.marks & MARKS_MAX > 0 { self.claimed } else { self.sent_in }
    }

    /// The same call in another phase.
    pub(in crate::ledger) fn marked(self, phase: Phase) -> Self {
        let (dispatched, turned_back) = (phase == Phase::Dispatched, phase == Phase::TurnedBack);
        Self { dispatched, turned_back, marks: self.marks.wrapping_add(1), ..self }
    }
}

/// A top-up that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct TopUpRecord {
    pub(in crate::ledger) scope: ScopeName,
    /// Amount in millionths.
    pub(in crate::ledger) credits: u64,
}

/// An open reservation: all that its settlement by any process needs. After the settlement, what is
/// left while its answer is still being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct ReservationRecord {
    /// Whether the upstream may have received the call.
    pub(in crate::ledger) dispatched: bool,
    /// Whether the upstream has refused it, so that it waits to be sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::ledger) turned_back: bool,
    /// Settled, and keeps only its slots for an answer that is still being read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::ledger) unread: bool,
    /// How often it was marked, so that a late mark is told from newer ones. A claim jumps to a
    /// number that earlier marks cannot reach.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub(in crate::ledger) marks: u32,
    /// The epoch in which its process last reported its phase, after a loss or a takeover; 0: in
    /// the epoch of its admission.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(in crate::ledger) claimed: u64,
    /// The last epoch in which it was marked as sent after an earlier claim; 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(in crate::ledger) sent_in: u64,
    /// The first change in which it may have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ledger) ending: Option<Ending>,
    /// The reserved price, in millionths.
    pub(in crate::ledger) price: u64,
    /// The windows that admitted it.
    pub(in crate::ledger) windows: Windows,
    /// When it was admitted, in microseconds of Unix time.
    pub(in crate::ledger) admitted_at: i64,
    /// When it may be swept, in microseconds of Unix time.
    pub(in crate::ledger) deadline: i64,
    /// Every scope that holds it.
    pub(in crate::ledger) scopes: Vec<ScopeName>,
    /// Facts of the call, for its row.
    #[serde(rename = "asked")]
    pub(in crate::ledger) summary: Arc<CallSummary>,
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
