//! Judges calls that no process claims after a loss, because the process that made them is gone.
//!
//! Scopes are complete again and include everything that calls held when the scopes were last seen.
//! What the claimed calls do not account for was held by unclaimed ones. Calls whose records
//! survive stay open as far as they fit into what is held; the others have ended in the lost
//! history. Where no record is left, calls are made that stand for the missing ones. No process
//! settles those: they end as `unknown` at their deadline.
//!
//! A call that may have ended in the lost history may already be out of the scopes: its process got
//! no answer, or was away for so long that others may have swept it, and a process that saw the
//! scopes later may have restored them. The call stays open where something is held that no other
//! call accounts for; late restores are believed then. It has ended where everything held is
//! claimed. Where only unclaimed calls are in its place, the truth is unknown: it is held in
//! addition, so that its end does not end one of theirs. The same holds for a call that is restored
//! late, where a call that stands for another may be in its place, and for the second of two such
//! calls in one place.
//!
//! Credits that are held for no call at all belong to a call that is thought to be cheaper. It
//! makes room for a call that stands for what is held; or, if it stands for another itself, it
//! costs more from then on. Nothing that is held is forgotten.
//!
//! Slots of answers that are still being read are kept for claimed calls only, because the
//! processes that wrote the others are gone.

use std::collections::{BTreeMap, BTreeSet};

use super::earlier::Earlier;
use super::ending::Ending;
use super::held::{Held, prices};
use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use super::revision::Revision;
use super::standing::{Standing, made_dearer, stands_for_another};
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
    let unaccounted = rest.clone();
    // The calls admitted last have most likely not ended.
    others.sort_by_key(|(id, record)| (-record.admitted_at, *id));
    let (mut fitting, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, record)| {
        let fits = rest.fits(record);
        if fits {
            rest.take(record);
        }
        fits
    });
    let before = rest.clone();
    let displaced = judged.place_doubtful(scopes, (&unaccounted, &mut rest), doubtful);
    let (of_users, ended): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, record)| {
        let is_held = rest.fits_at("user", record);
        if is_held {
            rest.take(record);
        }
        is_held
    });
    judged.ended.extend(ended.into_iter().map(|(id, _)| id));
    judged.ended.extend(without_dearer(&mut rest, &mut fitting));
    judged.hold_beside_dearer(scopes, &mut rest);
    judged.place_in_team(scopes, (&before, &mut rest), displaced);
    for (id, record) in fitting.into_iter().chain(of_users) {
        let last = earlier.kept.last_key_value();
        let ending = record.ending.or(last.map(|(epoch, number)| Ending::from(*epoch, number + 1)));
        judged.open.insert(id, ReservationRecord { ending, ..record });
    }
    let mut made =
        Standing { epoch, now, deadline, first: 0, is_late: false, calls: BTreeMap::new() };
    made.stand_for_all(&mut rest);
    judged.open.append(&mut made.calls);
    judged.hold_all(scopes, &[]);
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
    let mut unaccounted = rest.clone();
    for (id, record) in &others {
        rest.take(record);
        if !stands_for_another(*id, record) {
            unaccounted.take(record);
        }
    }
    let mut made = Standing {
        epoch: revision.epoch,
        now,
        deadline,
        first: u128::from(revision.number) << 24,
        is_late: true,
        calls: BTreeMap::new(),
    };
    let mut judged = Judged::default();
    let doubtful = doubtful.into_iter().cloned();
    let before = rest.clone();
    let displaced = judged.place_doubtful(scopes, (&unaccounted, &mut rest), doubtful);
    judged.place_in_team(scopes, (&before, &mut rest), displaced);
    // Unchanged open calls are not repeated.
    let open = std::mem::take(&mut judged.open).into_iter();
    let (as_before, changed): (BTreeMap<_, _>, _) =
        open.partition(|(id, _)| judged.placed.contains(id));
    made.stand_for_all(&mut rest);
    judged.open = made.calls;
    judged.open.extend(changed);
    judged.open.extend(made_dearer(&rest, &others));
    let others = others.into_iter().filter(|(id, _)| !judged.open.contains_key(id));
    let others = others.map(|(_, record)| record).chain(as_before.values()).collect::<Vec<_>>();
    judged.hold_all(scopes, &others);
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
    /// Places calls that may have ended: in what is held beside all others (`rest`), or in what
    /// only claimed calls do not account for. Returns those that have no place there.
    fn place_doubtful(
        &mut self,
        scopes: &[(ScopeName, ScopeRecord)],
        (unaccounted, rest): (&Held, &mut Held),
        doubtful: impl IntoIterator<Item = (ReservationId, ReservationRecord)>,
    ) -> Vec<(ReservationId, ReservationRecord)> {
        let mut displaced = Vec::new();
        for (id, record) in doubtful {
            if rest.fits(&record) {
                rest.take(&record);
                self.placed.push(id);
                self.open.insert(id, record);
            } else if unaccounted.fits(&record) {
                self.hold_in_addition(scopes, id, record);
            } else {
                displaced.push((id, record));
            }
        }
        displaced
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

    /// Places calls that may have ended in what only the team holds without an owner: another call
    /// of the same user or key has ended twice, and freed what this one holds there. A call whose
    /// place another doubtful one has taken is held in addition, because nobody knows which of them
    /// has ended. The others have ended.
    fn place_in_team(
        &mut self,
        scopes: &[(ScopeName, ScopeRecord)],
        (before, rest): (&Held, &mut Held),
        displaced: Vec<(ReservationId, ReservationRecord)>,
    ) {
        for (id, record) in displaced {
            if rest.fits_at("team", &record) {
                rest.take(&record);
                self.placed.push(id);
                self.open.insert(id, record);
            } else if before.fits_at("team", &record) {
                self.hold_in_addition(scopes, id, record);
            } else {
                self.ended.push(id);
            }
        }
    }

    /// Holds in every scope at least what its open calls hold: these and `others`. Less is held
    /// where a call has ended twice, in the lost history and after it. Its second end freed what
    /// another call holds, so the end of that one would find nothing.
    fn hold_all(&mut self, scopes: &[(ScopeName, ScopeRecord)], others: &[&ReservationRecord]) {
        let mut more = Vec::new();
        let open: Vec<_> =
            others.iter().copied().chain(self.open.values()).filter(|call| !call.unread).collect();
        let known = scopes.iter().map(|(name, _)| name);
        let names: BTreeSet<_> = open.iter().flat_map(|call| &call.scopes).chain(known).collect();
        for name in names {
            let known = scopes.iter().find(|(known, _)| known == name).map(|(_, record)| record);
            let mut record = self.scopes.get(name).or(known).cloned().unwrap_or_default();
            let calls = open.iter().filter(|call| call.scopes.contains(name));
            if record.hold_at_least(calls.map(|call| (&call.windows, call.price))) {
                more.push((name.clone(), record));
            }
        }
        self.scopes.extend(more);
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
