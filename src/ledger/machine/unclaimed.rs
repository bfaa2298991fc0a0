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
//! late, where a call that stands for another may be in its place.
//!
//! Slots of answers that are still being read are kept for claimed calls only, because the
//! processes that wrote the others are gone.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use super::revision::Revision;
use super::windows::{End, Windows};
use crate::ledger::usage::OVERFLOW;
use crate::ledger::{CallSummary, ReservationId, Scope};

/// Open calls after a loss.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Judged {
    /// Open calls, including those that stand for others.
    pub(in crate::ledger) open: BTreeMap<ReservationId, ReservationRecord>,
    /// Ended calls.
    pub(in crate::ledger) ended: Vec<ReservationId>,
    /// Scopes that held something for calls without a record.
    pub(in crate::ledger) scopes: BTreeMap<ScopeName, ScopeRecord>,
    /// A call that may have ended takes the place of something that may be held for another call.
    pub(in crate::ledger) is_doubted: bool,
}

impl Judged {
    /// Whether there was nothing to judge.
    pub(in crate::ledger) fn is_nothing(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty() && self.scopes.is_empty()
    }
}

/// What a scope holds in a day's window for unaccounted calls: requests and credits.
type Rest = BTreeMap<(ScopeName, String), (u64, u64)>;

/// The last surviving change of each earlier epoch.
type Kept = BTreeMap<u64, u64>;

/// Judges the calls of a team with complete scopes. `epoch` is the one they were claimed in, `kept`
/// has the last surviving change of each earlier one; new calls get `now` and `deadline`.
pub(in crate::ledger) fn judge(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: Vec<(ReservationId, ReservationRecord)>,
    (epoch, kept): (u64, &Kept),
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = held(scopes);
    let mut judged = Judged::default();
    let (unread, calls): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(_, record)| record.unread);
    let (doubtful, calls): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(_, record)| may_have_ended(scopes, kept, record));
    let (claimed, mut others): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(_, record)| record.claimed == epoch);
    for (id, record) in claimed {
        take(&mut rest, &record);
        judged.open.insert(id, record);
    }
    let unaccounted = rest.clone();
    // The calls admitted last have most likely not ended.
    others.sort_by_key(|(id, record)| (-record.admitted_at, *id));
    let (fitting, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, record)| {
        let fits = fits(&rest, record);
        if fits {
            take(&mut rest, record);
        }
        fits
    });
    judged.place_doubtful(scopes, (&unaccounted, &mut rest), doubtful);
    let (of_users, ended): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, record)| {
        let is_held = is_held_by_user(&rest, record);
        if is_held {
            take(&mut rest, record);
        }
        is_held
    });
    judged.ended.extend(ended.into_iter().map(|(id, _)| id));
    for (id, record) in fitting.into_iter().chain(of_users) {
        let ending =
            record.ending.or(kept.last_key_value().map(|(epoch, number)| (*epoch, number + 1)));
        judged.open.insert(id, ReservationRecord { ending, ..record });
    }
    let mut made = Made { epoch, now, deadline, first: 0, is_late: false, calls: BTreeMap::new() };
    made.stand_for_all(&mut rest);
    judged.open.append(&mut made.calls);
    judged.hold_all(scopes, &[]);
    judged.spend(scopes, &rest, &["key"]);
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
    (revision, kept): (Revision, &Kept),
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = held(scopes);
    let open = calls.iter().filter(|(_, record)| !record.unread);
    let (doubtful, others): (Vec<_>, Vec<_>) =
        open.partition(|(_, record)| may_have_ended(scopes, kept, record));
    let mut unaccounted = rest.clone();
    for (id, record) in &others {
        take(&mut rest, record);
        if !stands_for_another(*id, record) {
            take(&mut unaccounted, record);
        }
    }
    let mut made = Made {
        epoch: revision.epoch,
        now,
        deadline,
        first: u128::from(revision.number) << 24,
        is_late: true,
        calls: BTreeMap::new(),
    };
    let mut judged = Judged::default();
    judged.place_doubtful(scopes, (&unaccounted, &mut rest), doubtful.into_iter().cloned());
    // Unchanged open calls are not repeated.
    let (as_before, changed): (BTreeMap<_, _>, _) =
        std::mem::take(&mut judged.open).into_iter().partition(|(_, call)| call.ending.is_some());
    made.stand_for_all(&mut rest);
    judged.open = made.calls;
    judged.open.extend(changed);
    let others = others.into_iter().map(|(_, record)| record);
    judged.hold_all(scopes, &others.chain(as_before.values()).collect::<Vec<_>>());
    judged.spend(scopes, &rest, &["user", "key"]);
    let unread = calls.iter().filter(|(_, record)| record.unread);
    judged.keep_slots(scopes, unread.map(|(_, record)| record));
    judged
}

/// Whether a call was made to stand for another.
fn stands_for_another(id: ReservationId, record: &ReservationRecord) -> bool {
    id.number() >> 64 == u128::from(record.claimed)
}

/// Whether a call may have ended in the lost history, with that end counted in the scopes.
fn may_have_ended(
    scopes: &[(ScopeName, ScopeRecord)],
    kept: &Kept,
    record: &ReservationRecord,
) -> bool {
    let Some((epoch, number)) = record.ending else { return false };
    let of_team = scopes.iter().find(|(name, _)| name.level == "team");
    let come_to = of_team.map(|(_, team)| team.sealed()).unwrap_or_default();
    // A copy that took over counts on in a later epoch, where others may have ended it as well, if
    // the copy has the call.
    let is_copied = kept.get(&epoch).is_none_or(|last| *last + 1 >= number);
    // It did not come into an epoch that began without records, unless its own process claimed it
    // there.
    let empty = come_to
        .keys()
        .chain(kept.keys())
        .filter(|later| **later > epoch && Revision::begins_empty(**later))
        .min();
    let last = match empty {
        _ if !is_copied => epoch,
        Some(empty) => empty - 1,
        None => u64::MAX,
    };
    come_to.range(epoch..=last).any(|(_, is)| *is >= number)
}

impl Judged {
    /// Places calls that may have ended: in what is held beside all others (`rest`), or in what
    /// only claimed calls do not account for.
    fn place_doubtful(
        &mut self,
        scopes: &[(ScopeName, ScopeRecord)],
        (unaccounted, rest): (&Rest, &mut Rest),
        doubtful: impl IntoIterator<Item = (ReservationId, ReservationRecord)>,
    ) {
        for (id, record) in doubtful {
            if fits(rest, &record) {
                take(rest, &record);
                self.is_doubted = true;
                self.open.insert(id, record);
            } else if fits(unaccounted, &record) {
                for (name, scope) in scopes.iter().filter(|(name, _)| record.scopes.contains(name))
                {
                    let scope = self.scopes.entry(name.clone()).or_insert_with(|| scope.clone());
                    scope.reserve(&record.windows, record.price);
                }
                self.open.insert(id, ReservationRecord { ending: None, ..record });
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
        let names: BTreeSet<_> = open.iter().flat_map(|call| &call.scopes).collect();
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
    fn spend(&mut self, scopes: &[(ScopeName, ScopeRecord)], rest: &Rest, levels: &[&str]) {
        let left = rest.iter().filter(|(_, (requests, _))| *requests > 0);
        for ((name, day), (requests, credits)) in
            left.filter(|((name, _), _)| levels.contains(&&*name.level))
        {
            let Some((_, record)) = scopes.iter().find(|(known, _)| known == name) else {
                continue;
            };
            let record = self.scopes.entry(name.clone()).or_insert_with(|| record.clone());
            let windows = Windows::of_day(day.clone());
            for price in prices(*requests, *credits) {
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

fn held(scopes: &[(ScopeName, ScopeRecord)]) -> Rest {
    let days =
        scopes.iter().flat_map(|(name, record)| record.held_by_day().map(move |held| (name, held)));
    days.map(|(name, (day, requests, credits))| {
        ((name.clone(), day.to_string()), (requests, credits))
    })
    .collect()
}

fn keys_of(record: &ReservationRecord) -> impl Iterator<Item = (ScopeName, String)> + '_ {
    record.scopes.iter().map(|scope| (scope.clone(), record.windows.day.clone()))
}

fn fits(rest: &Rest, record: &ReservationRecord) -> bool {
    keys_of(record).all(|key| has_room(rest, &key, record.price))
}

fn has_room(rest: &Rest, key: &(ScopeName, String), price: u64) -> bool {
    rest.get(key).is_some_and(|(requests, credits)| *requests > 0 && *credits >= price)
}

/// Whether the call's user holds something for it, although its team or its key does not: another
/// call of theirs has ended twice, in the lost history and after it, and its second end freed what
/// this one holds. A call would be made that stands for this one, and lack its key.
fn is_held_by_user(rest: &Rest, record: &ReservationRecord) -> bool {
    keys_of(record).any(|key| key.0.level == "user" && has_room(rest, &key, record.price))
}

fn take(rest: &mut Rest, record: &ReservationRecord) {
    for key in keys_of(record) {
        if let Some((requests, credits)) = rest.get_mut(&key) {
            (*requests, *credits) =
                (requests.saturating_sub(1), credits.saturating_sub(record.price));
        }
    }
}

/// The scopes and days that hold something, users before their team, because the team holds what
/// its users do.
fn users_first(rest: &Rest) -> Vec<(ScopeName, String)> {
    let of = |level: &str| {
        rest.keys().filter(move |(name, _)| name.level == level).cloned().collect::<Vec<_>>()
    };
    [of("user"), of("team")].concat()
}

/// The prices of calls that hold these credits together, as equal as they can be.
fn prices(requests: u64, credits: u64) -> impl Iterator<Item = u64> {
    (0..requests).map(move |place| credits / requests + u64::from(place < credits % requests))
}

struct Made {
    epoch: u64,
    now: i64,
    deadline: i64,
    /// Where the numbers of its calls begin.
    first: u128,
    /// The team has opened with calls that stand for what it held.
    is_late: bool,
    /// The calls that it made.
    calls: BTreeMap<ReservationId, ReservationRecord>,
}

impl Made {
    /// Makes calls for everything that is held without an owner, down to the last credit.
    fn stand_for_all(&mut self, rest: &mut Rest) {
        for name in users_first(rest) {
            self.stand_for(&name, rest);
        }
        let left =
            rest.iter().filter(|((name, _), (requests, _))| name.level == "team" && *requests == 0);
        for ((_, day), (_, credits)) in left {
            // A user's record may be older than the team's, and hold less for the same call.
            if let Some(last) = self.calls.values_mut().rfind(|call| call.windows.day == *day) {
                last.price += credits;
            }
        }
    }

    /// Makes calls for what a scope holds in a day's window without an owner.
    fn stand_for(&mut self, (name, day): &(ScopeName, String), rest: &mut Rest) {
        let (requests, credits) =
            rest.get(&(name.clone(), day.clone())).copied().unwrap_or_default();
        for price in prices(requests, credits) {
            let (team, is_user) = (ScopeName::from(&Scope::Team), name.level == "user");
            let user = if is_user { name.whose.to_string() } else { OVERFLOW.to_owned() };
            if self.is_late && !has_room(rest, &(team.clone(), day.clone()), price) {
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
                ending: None,
                price,
                windows: Windows::of_day(day.clone()),
                admitted_at: self.now,
                deadline: self.deadline,
                scopes,
                summary: CallSummary { user, model: OVERFLOW.to_owned(), ..CallSummary::default() }
                    .into(),
            };
            let key = rest
                .keys()
                .find(|key| key.0.level == "key" && key.1 == *day && has_room(rest, key, price));
            record.scopes.extend(key.map(|(name, _)| name.clone()));
            take(rest, &record);
            // The same on every process, so that it does not matter whose judgement is written.
            let number = (u128::from(self.epoch) << 64) + self.first + self.calls.len() as u128;
            self.calls.insert(ReservationId::from_number(number), record);
        }
    }
}

#[cfg(test)]
#[path = "unclaimed_tests.rs"]
mod tests;
