//! What becomes of calls that nobody claims after a loss: whoever made them is gone as well.
//!
//! Scopes are whole again, with all that calls held when they were last seen. What the claimed calls
//! do not account for was held by others. Those whose records are there still stay open, as far as
//! they fit into what is held; the others have ended in what was lost. Where no record is left, calls
//! are made that stand for them. Nobody will settle those: they end as `unknown` when they are due.
//!
//! A call that may have ended in what was lost, since whoever makes it was not answered, may not be among those that
//! scopes hold any more: whoever saw them later than that end may count it. It stays open where something is held that
//! no other accounts for, and others who come late are believed then. It has ended where all that is held is claimed.
//! Where only calls that nobody claims stand in its place, nobody can know: it is held beside them, lest its end take
//! the place of one of theirs.
//!
//! Slots of answers that are still being read are kept for the claimed ones, and for no others:
//! whoever wrote those has gone.

use std::collections::BTreeMap;

use super::record::{End, ReservationRecord, ScopeName, ScopeRecord, Windows};
use super::revision::Revision;
use crate::ledger::usage::OVERFLOW;
use crate::ledger::{CallSummary, ReservationId, Scope};

/// Open calls after a loss.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Judged {
    /// Those that are open, with those that stand for others.
    pub(in crate::ledger) open: BTreeMap<ReservationId, ReservationRecord>,
    /// Those that have ended.
    pub(in crate::ledger) ended: Vec<ReservationId>,
    /// Scopes that held something for calls of which nothing more is known.
    pub(in crate::ledger) scopes: BTreeMap<ScopeName, ScopeRecord>,
    /// A call that may have ended takes the place of what is held for nobody else who is known: it may be another's.
    pub(in crate::ledger) is_doubted: bool,
}

impl Judged {
    /// Whether there was nothing to be judged.
    pub(in crate::ledger) fn is_nothing(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty() && self.scopes.is_empty()
    }
}

/// What a scope holds in a day's window for calls that are not accounted for: requests and credits.
type Rest = BTreeMap<(ScopeName, String), (u64, u64)>;

/// Judges the calls of a team whose scopes are whole. `epoch` is that in which they were claimed, and
/// `now` and `deadline` are what new calls are given.
pub(in crate::ledger) fn judge(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: Vec<(ReservationId, ReservationRecord)>,
    epoch: u64,
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = held(scopes);
    let mut judged = Judged::default();
    let (unread, calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, record)| record.unread);
    let (doubtful, calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, record)| may_have_ended(scopes, record));
    let (claimed, mut others): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, record)| record.claimed == epoch);
    for (id, record) in claimed {
        take(&mut rest, &record);
        judged.open.insert(id, record);
    }
    let unaccounted = rest.clone();
    // What was admitted last has most likely not ended.
    others.sort_by_key(|(id, record)| (-record.admitted_at, *id));
    for (id, record) in others {
        if fits(&rest, &record) {
            take(&mut rest, &record);
            judged.open.insert(id, record);
        } else {
            judged.ended.push(id);
        }
    }
    judged.place_doubtful(scopes, (&unaccounted, &mut rest), doubtful);
    let made = Made { epoch, now, deadline, first: 0, is_late: false };
    for name in users_first(&rest) {
        made.stand_for(&name, &mut rest, &mut judged.open);
    }
    judged.spend(scopes, &rest, &["key"]);
    let (claimed, others): (Vec<_>, Vec<_>) = unread.into_iter().partition(|(_, record)| record.claimed == epoch);
    judged.keep_slots(scopes, claimed.iter().map(|(_, record)| record));
    judged.open.extend(claimed);
    judged.ended.extend(others.into_iter().map(|(id, _)| id));
    judged
}

/// Judges what scopes hold that were restored after the team was opened. All calls that are open hold
/// what they hold; what is left is held by nobody, and calls are made that stand for it.
pub(in crate::ledger) fn judge_late(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: &[(ReservationId, ReservationRecord)],
    revision: Revision,
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = held(scopes);
    let open = calls.iter().filter(|(_, record)| !record.unread);
    let (doubtful, others): (Vec<_>, Vec<_>) = open.partition(|(_, record)| may_have_ended(scopes, record));
    others.iter().for_each(|(_, record)| take(&mut rest, record));
    let made = Made { epoch: revision.epoch, now, deadline, first: u128::from(revision.number) << 24, is_late: true };
    let mut judged = Judged::default();
    judged.place_doubtful(scopes, (&Rest::new(), &mut rest), doubtful.into_iter().cloned());
    // Those that are open as before need not be said.
    judged.open.clear();
    for name in users_first(&rest) {
        made.stand_for(&name, &mut rest, &mut judged.open);
    }
    judged.spend(scopes, &rest, &["user", "key"]);
    let unread = calls.iter().filter(|(_, record)| record.unread);
    judged.keep_slots(scopes, unread.map(|(_, record)| record));
    judged
}

/// Whether a call may have ended in what was lost, and the scopes count that.
fn may_have_ended(scopes: &[(ScopeName, ScopeRecord)], record: &ReservationRecord) -> bool {
    let of_team = scopes.iter().find(|(name, _)| name.level == "team");
    let come_to = |epoch: u64| of_team.and_then(|(_, team)| team.sealed().get(&epoch).copied());
    record.ending.is_some_and(|(epoch, number)| come_to(epoch).is_some_and(|is| is >= number))
}

impl Judged {
    /// Finds a place for calls that may have ended: in what is held beside all others (`rest`), or in what only claimed
    /// calls do not account for.
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
                for (name, scope) in scopes.iter().filter(|(name, _)| record.scopes.contains(name)) {
                    let scope = self.scopes.entry(name.clone()).or_insert_with(|| scope.clone());
                    scope.reserve(&record.windows, record.price);
                }
                self.open.insert(id, ReservationRecord { ending: None, ..record });
            } else {
                self.ended.push(id);
            }
        }
    }

    /// What scopes of these levels hold for calls of which nothing more is known is spent.
    fn spend(&mut self, scopes: &[(ScopeName, ScopeRecord)], rest: &Rest, levels: &[&str]) {
        let left = rest.iter().filter(|(_, (requests, _))| *requests > 0);
        for ((name, day), (requests, credits)) in left.filter(|((name, _), _)| levels.contains(&&*name.level)) {
            let Some((_, record)) = scopes.iter().find(|(known, _)| known == name) else { continue };
            let record = self.scopes.entry(name.clone()).or_insert_with(|| record.clone());
            let windows = Windows { month: day.get(..7).unwrap_or_default().to_owned(), day: day.clone() };
            for place in 0..*requests {
                let price = credits / requests + u64::from(place < credits % requests);
                record.settle(&windows, &End { price, charged: price, counted: true });
            }
        }
    }

    /// Keeps the slots of these answers, which are being read; all others are free.
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
    let days = scopes.iter().flat_map(|(name, record)| record.held_by_day().map(move |held| (name, held)));
    days.map(|(name, (day, requests, credits))| ((name.clone(), day.clone()), (requests, credits))).collect()
}

fn keys_of(record: &ReservationRecord) -> impl Iterator<Item = (ScopeName, String)> + '_ {
    record.scopes.iter().map(|scope| (scope.clone(), record.windows.day.clone()))
}

fn fits(rest: &Rest, record: &ReservationRecord) -> bool {
    keys_of(record)
        .all(|key| rest.get(&key).is_some_and(|(requests, credits)| *requests > 0 && *credits >= record.price))
}

fn take(rest: &mut Rest, record: &ReservationRecord) {
    for key in keys_of(record) {
        if let Some((requests, credits)) = rest.get_mut(&key) {
            (*requests, *credits) = (requests.saturating_sub(1), credits.saturating_sub(record.price));
        }
    }
}

/// The scopes and days that hold something, users before their team: what is held for a user is held for
/// the team as well.
fn users_first(rest: &Rest) -> Vec<(ScopeName, String)> {
    let of = |level: &str| rest.keys().filter(move |(name, _)| name.level == level).cloned().collect::<Vec<_>>();
    [of("user"), of("team")].concat()
}

struct Made {
    epoch: u64,
    now: i64,
    deadline: i64,
    /// Where their numbers begin.
    first: u128,
    /// The team has opened with calls that stand for what it held.
    is_late: bool,
}

impl Made {
    /// Makes calls that hold what a scope holds in a day's window for nobody.
    fn stand_for(
        &self,
        (name, day): &(ScopeName, String),
        rest: &mut Rest,
        open: &mut BTreeMap<ReservationId, ReservationRecord>,
    ) {
        let (requests, credits) = rest.get(&(name.clone(), day.clone())).copied().unwrap_or_default();
        for place in 0..requests {
            let price = credits / requests + u64::from(place < credits % requests);
            let (team, is_user) = (ScopeName::from(&Scope::Team), name.level == "user");
            let user = if is_user { name.whose.to_string() } else { OVERFLOW.to_owned() };
            let holds = |(requests, credits): &(u64, u64)| *requests > 0 && *credits >= price;
            if self.is_late && !rest.get(&(team.clone(), day.clone())).is_some_and(holds) {
                // Another call has stood for it in the team, and that one has the row.
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
                windows: Windows { month: day.get(..7).unwrap_or_default().to_owned(), day: day.clone() },
                admitted_at: self.now,
                deadline: self.deadline,
                scopes,
                asked: CallSummary { user, model: OVERFLOW.to_owned(), ..CallSummary::default() }.into(),
            };
            let key = rest.iter().find(|((name, of), (requests, credits))| {
                name.level == "key" && of == day && *requests > 0 && *credits >= price
            });
            record.scopes.extend(key.map(|((name, _), _)| name.clone()));
            take(rest, &record);
            // The same for whoever judges: whose judgement is written does not matter then.
            let number = (u128::from(self.epoch) << 64) | (self.first + open.len() as u128);
            open.insert(ReservationId::from_number(number), record);
        }
    }
}

#[cfg(test)]
#[path = "unclaimed_tests.rs"]
mod tests;
