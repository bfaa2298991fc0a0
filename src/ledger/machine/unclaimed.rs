//! Judges calls that no process claims after a loss, because the process that made them is gone.
//!
//! Scopes are complete again and include everything that calls held when the scopes were last seen.
//! What the claimed calls do not account for was held by unclaimed ones. Calls whose records
//! survive stay open as far as they fit into what is held; the others have ended in the lost
//! history. Where no record is left, calls are made that stand for the missing ones. No process
//! settles those: they end as `unknown` at their deadline.
//!
//! A call that may have ended in the lost history may already be out of the scopes: its process was
//! away for so long that others may have swept it, and a process that saw the scopes later may have
//! restored them. The call stays open where something is held that no other call accounts for; late
//! restores are believed then. Otherwise it has ended.
//!
//! Credits that are held for no call at all belong to a call that is thought to be cheaper. It
//! makes room for a call that stands for what is held. If it may have ended, it is held in
//! addition; if it stands for another itself, it costs more from then on. Nothing that is held is
//! forgotten.
//!
//! Slots of answers that are still being read are kept for claimed calls only, because the
//! processes that wrote the others are gone.

use std::collections::BTreeMap;

use super::earlier::Earlier;
use super::ending::Ending;
use super::held::{Held, prices};
use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use super::revision::Revision;
use super::standing::{Standing, made_dearer};
use super::windows::{End, Windows};
use crate::ledger::ReservationId;

/// Open calls after a loss.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Judged {
    /// Open calls, including those that stand for others.
    pub(in crate::ledger) open: BTreeMap<ReservationId, ReservationRecord>,
    /// Ended calls.
    pub(in crate::ledger) ended: Vec<ReservationId>,
    /// Scopes that held something for calls without a record.
    pub(in crate::ledger) scopes: BTreeMap<ScopeName, ScopeRecord>,
    /// Calls that may have ended, placed in what may be held for others.
    pub(in crate::ledger) placed: Vec<ReservationId>,
}

impl Judged {
    /// Whether there was nothing to judge.
    pub(in crate::ledger) fn is_nothing(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty() && self.scopes.is_empty()
    }
}

/// Judges the calls of a team with complete scopes. `epoch` is the one they were claimed in; new
/// calls get `now` and `deadline`.
pub(in crate::ledger) fn judge(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: Vec<(ReservationId, ReservationRecord)>,
    (epoch, earlier): (u64, Earlier<'_>),
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = Held::by(scopes);
    let mut judged = Judged::default();
    let (unread, calls): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(_, record)| record.unread);
    let (doubtful, calls): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(_, record)| earlier.may_have_ended(scopes, record));
    let (claimed, mut others): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(_, record)| record.claimed == epoch);
    for (id, record) in claimed {
        rest.take(&record);
        judged.open.insert(id, record);
    }
    // The calls admitted last have most likely not ended.
    others.sort_by_key(|(id, record)| (-record.admitted_at, *id));
    let (mut fitting, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, record)| {
        let fits = rest.fits(record);
        if fits {
            rest.take(record);
        }
        fits
    });
    judged.place_doubtful(&mut rest, doubtful);
    judged.ended.extend(others.into_iter().map(|(id, _)| id));
    judged.ended.extend(without_dearer(&mut rest, &mut fitting));
    judged.hold_beside_dearer(scopes, &mut rest);
    for (id, record) in fitting {
        let last = earlier.kept.last_key_value();
        let ending = record.ending.or(last.map(|(epoch, number)| Ending::from(*epoch, number + 1)));
        judged.open.insert(id, ReservationRecord { ending, ..record });
    }
    let mut made =
        Standing { epoch, now, deadline, first: 0, is_late: false, calls: BTreeMap::new() };
    made.stand_for_all(&mut rest);
    judged.open.append(&mut made.calls);
    judged.spend(scopes, &rest, &["user", "key"]);
    let (claimed, others): (Vec<_>, Vec<_>) =
        unread.into_iter().partition(|(_, record)| record.claimed == epoch);
    judged.keep_slots(scopes, claimed.iter().map(|(_, record)| record));
    judged.open.extend(claimed);
    judged.ended.extend(others.into_iter().map(|(id, _)| id));
    judged
}

/// Judges scopes that were restored after the team was opened. Open calls account for what they
/// hold; calls are made that stand for the rest.
pub(in crate::ledger) fn judge_late(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: &[(ReservationId, ReservationRecord)],
    (revision, earlier): (Revision, Earlier<'_>),
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = Held::by(scopes);
    let open = calls.iter().filter(|(_, record)| !record.unread);
    let (doubtful, others): (Vec<_>, Vec<_>) =
        open.partition(|(_, record)| earlier.may_have_ended(scopes, record));
    others.iter().for_each(|(_, record)| rest.take(record));
    let mut made = Standing {
        epoch: revision.epoch,
        now,
        deadline,
        first: u128::from(revision.number) << 24,
        is_late: true,
        calls: BTreeMap::new(),
    };
    let mut judged = Judged::default();
    judged.place_doubtful(&mut rest, doubtful.into_iter().cloned());
    made.stand_for_all(&mut rest);
    // Open calls that stay open are not repeated.
    judged.open = made.calls;
    judged.open.extend(made_dearer(&rest, &others));
    judged.spend(scopes, &rest, &["user", "key"]);
    let unread = calls.iter().filter(|(_, record)| record.unread);
    judged.keep_slots(scopes, unread.map(|(_, record)| record));
    judged
}

/// Takes out unclaimed calls where credits are left without a call: a dearer call is held, and one
/// of these has ended. That is most likely the one admitted first, the last of them. Returns those
/// that have ended.
fn without_dearer(
    rest: &mut Held,
    unclaimed: &mut Vec<(ReservationId, ReservationRecord)>,
) -> Vec<ReservationId> {
    let ended = rest.without_a_call().into_iter().filter_map(|(day, _)| {
        let place = unclaimed.iter().rposition(|(_, record)| record.windows.day == day)?;
        let (id, record) = unclaimed.remove(place);
        rest.give_back(&record);
        Some(id)
    });
    ended.collect()
}

impl Judged {
    /// Places calls that may have ended in what is held beside all others. Those that have no
    /// place there have ended.
    fn place_doubtful(
        &mut self,
        rest: &mut Held,
        doubtful: impl IntoIterator<Item = (ReservationId, ReservationRecord)>,
    ) {
        for (id, record) in doubtful {
            if rest.fits(&record) {
                rest.take(&record);
                self.placed.push(id);
                self.open.insert(id, record);
            } else {
                self.ended.push(id);
            }
        }
    }

    /// Holds calls in addition that were placed in what is held for a dearer call, as credits show
    /// that are left without a call.
    fn hold_beside_dearer(&mut self, scopes: &[(ScopeName, ScopeRecord)], rest: &mut Held) {
        for (day, _) in rest.without_a_call() {
            let is_of_day = |id: &ReservationId| {
                self.open.get(id).is_some_and(|record| record.windows.day == day)
            };
            let Some(place) = self.placed.iter().position(is_of_day) else { continue };
            let id = self.placed.remove(place);
            if let Some(record) = self.open.remove(&id) {
                rest.give_back(&record);
                self.hold_in_addition(scopes, id, record);
            }
        }
    }

    /// Holds a call beside everything that is held already. It may have ended all the same, and the
    /// copy that a further loss leaves may show that.
    fn hold_in_addition(
        &mut self,
        scopes: &[(ScopeName, ScopeRecord)],
        id: ReservationId,
        record: ReservationRecord,
    ) {
        for (name, scope) in scopes.iter().filter(|(name, _)| record.scopes.contains(name)) {
            let scope = self.scopes.entry(name.clone()).or_insert_with(|| scope.clone());
            scope.reserve(&record.windows, record.price);
        }
        self.open.insert(id, record);
    }

    /// Spends what scopes of these levels hold for calls without a record.
    fn spend(&mut self, scopes: &[(ScopeName, ScopeRecord)], rest: &Held, levels: &[&str]) {
        let left = rest.at(levels).filter(|(_, (requests, credits))| *requests > 0 || *credits > 0);
        for ((name, day), (requests, credits)) in left {
            let Some((_, record)) = scopes.iter().find(|(known, _)| known == name) else {
                continue;
            };
            let record = self.scopes.entry(name.clone()).or_insert_with(|| record.clone());
            let windows = Windows::of_day(day.clone());
            // Where a call has ended twice, credits may be left without a request.
            for price in prices(requests.max(1), credits) {
                record.settle(&windows, &End { price, charged: price, counted: true });
            }
        }
    }

    /// Keeps the slots of these answers, which are being read, and frees all others.
    fn keep_slots<'a>(
        &mut self,
        scopes: &[(ScopeName, ScopeRecord)],
        unread: impl Iterator<Item = &'a ReservationRecord>,
    ) {
        let mut kept: BTreeMap<&ScopeName, u64> = BTreeMap::new();
        for name in unread.flat_map(|record| &record.scopes) {
            *kept.entry(name).or_default() += 1;
        }
        for (name, record) in scopes {
            let kept = kept.get(name).copied().unwrap_or(0);
            if record.unread != kept {
                self.scopes.entry(name.clone()).or_insert_with(|| record.clone()).unread = kept;
            }
        }
    }
}

#[cfg(test)]
#[path = "unclaimed_tests.rs"]
mod tests;
