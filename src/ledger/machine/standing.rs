//! Calls that are made after a loss, to stand for calls without a record.

use std::collections::BTreeMap;

use super::held::{Held, ScopeDay, prices};
use super::record::{ReservationRecord, ScopeName};
use super::windows::Windows;
use crate::ledger::usage::OVERFLOW;
use crate::ledger::{CallSummary, ReservationId, Scope};

/// Calls that are made after a loss, to stand for others.
pub(super) struct Standing {
    /// The epoch that they are claimed in.
    pub(super) epoch: u64,
    pub(super) now: i64,
    pub(super) deadline: i64,
    /// Where the numbers of its calls begin.
    pub(super) first: u128,
    /// The team has opened with calls that stand for what it held.
    pub(super) is_late: bool,
    /// The calls that it made.
    pub(super) calls: BTreeMap<ReservationId, ReservationRecord>,
}

impl Standing {
    /// Makes calls for everything that is held without an owner, down to the last credit.
    pub(super) fn stand_for_all(&mut self, held: &mut Held) {
        for scope in held.users_first() {
            self.stand_for(&scope, held);
        }
        for (day, credits) in held.without_a_call() {
            // A user's record may be older than the team's, and hold less for the same call.
            if let Some(last) = self.calls.values_mut().rfind(|call| call.windows.day == day) {
                last.price += credits;
                held.take_without_a_call(&day);
            }
        }
    }

    /// Makes calls for what a scope holds in a day's window without an owner.
    fn stand_for(&mut self, scope: &ScopeDay, held: &mut Held) {
        let ((name, day), (requests, credits)) = (scope, held.of(scope));
        for price in prices(requests, credits) {
            let (team, is_user) = (ScopeName::from(&Scope::Team), name.level == "user");
            let user = if is_user { name.whose.to_string() } else { OVERFLOW.to_owned() };
            if self.is_late && !held.has_room(&(team.clone(), day.clone()), price) {
                // Another call already stands for it in the team, and has the row.
                continue;
            }
            let mut scopes = vec![team];
            scopes.extend(is_user.then(|| name.clone()));
            let mut record = ReservationRecord {
                dispatched: true,
                turned_back: false,
                unread: false,
                marks: 0,
                claimed: self.epoch,
                sent_in: 0,
                ending: None,
                price,
                windows: Windows::of_day(day.clone()),
                admitted_at: self.now,
                deadline: self.deadline,
                scopes,
                summary: CallSummary { user, model: OVERFLOW.to_owned(), ..CallSummary::default() }
                    .into(),
            };
            record.scopes.extend(held.key_for(day, price).cloned());
            held.take(&record);
            // The same on every process, so that it does not matter whose judgement is written.
            let number = (u128::from(self.epoch) << 64) + self.first + self.calls.len() as u128;
            self.calls.insert(ReservationId::from_number(number), record);
        }
    }
}

/// Gives the credits that a team holds without an owner to an open call that stands for another:
/// what it stands for costs more than was known.
pub(super) fn made_dearer(
    held: &Held,
    open: &[&(ReservationId, ReservationRecord)],
) -> BTreeMap<ReservationId, ReservationRecord> {
    let dearer = held.without_a_call().into_iter().filter_map(|(day, credits)| {
        let (id, record) = open
            .iter()
            .rfind(|(id, record)| stands_for_another(*id, record) && record.windows.day == day)?;
        Some((*id, ReservationRecord { price: record.price + credits, ..record.clone() }))
    });
    dearer.collect()
}

/// Whether a call was made to stand for another.
pub(super) fn stands_for_another(id: ReservationId, record: &ReservationRecord) -> bool {
    id.number() >> 64 == u128::from(record.claimed)
}
