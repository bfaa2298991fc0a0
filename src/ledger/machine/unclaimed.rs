//! What becomes of calls that nobody claims after a loss: whoever made them is gone as well.
//!
//! Scopes are whole again, with all that calls held when they were last seen. What the claimed calls
//! do not account for was held by others. Those whose records are there still stay open, as far as
//! they fit into what is held; the others have ended in what was lost. Where no record is left, calls
//! are made that stand for them. Nobody will settle those: they end as `unknown` when they are due.
//!
//! Slots of answers that are still being read are kept for the claimed ones, and for no others:
//! whoever wrote those has gone.

use std::collections::BTreeMap;

use super::record::{End, ReservationRecord, ScopeName, ScopeRecord, Windows};
use super::revision::Revision;
use crate::ledger::usage::BEYOND;
use crate::ledger::{Asked, Phase, ReservationId, Scope};

/// Open calls after a loss.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Judged {
    /// Those that are open, with those that stand for others.
    pub(in crate::ledger) open: BTreeMap<ReservationId, ReservationRecord>,
    /// Those that have ended.
    pub(in crate::ledger) ended: Vec<ReservationId>,
    /// Scopes that held something for calls of which nothing more is known.
    pub(in crate::ledger) scopes: BTreeMap<ScopeName, ScopeRecord>,
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
/// `now` and `deadline` are what new calls are given. Where marks are lost, one that nobody claims and that
/// waits may have been sent: it is taken for that, lest a generation be free.
pub(in crate::ledger) fn judge(
    scopes: &[(ScopeName, ScopeRecord)],
    calls: Vec<(ReservationId, ReservationRecord)>,
    (epoch, marks_are_lost): (u64, bool),
    (now, deadline): (i64, i64),
) -> Judged {
    let mut rest = held(scopes);
    let mut judged = Judged::default();
    let (unread, calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, record)| record.unread);
    let (claimed, mut others): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, record)| record.claimed == epoch);
    for (id, record) in claimed {
        take(&mut rest, &record);
        judged.open.insert(id, record);
    }
    // What was admitted last has most likely not ended.
    others.sort_by_key(|(id, record)| (-record.admitted_at, *id));
    for (id, record) in others {
        if fits(&rest, &record) {
            take(&mut rest, &record);
            let is_doubtful = marks_are_lost && record.phase() == Some(Phase::Waiting);
            judged.open.insert(id, if is_doubtful { record.marked(Phase::Dispatched) } else { record });
        } else {
            judged.ended.push(id);
        }
    }
    let made = Made { epoch, now, deadline, first: 0, is_late: false };
    for name in users_first(&rest) {
        made.stand_for(&name, &mut rest, &mut judged.open);
    }
    judged.scopes = spent(scopes, &rest, &["key"]);
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
    calls.iter().filter(|(_, record)| !record.unread).for_each(|(_, record)| take(&mut rest, record));
    let made = Made { epoch: revision.epoch, now, deadline, first: u128::from(revision.number) << 24, is_late: true };
    let mut judged = Judged::default();
    for name in users_first(&rest) {
        made.stand_for(&name, &mut rest, &mut judged.open);
    }
    judged.scopes = spent(scopes, &rest, &["user", "key"]);
    let unread = calls.iter().filter(|(_, record)| record.unread);
    judged.keep_slots(scopes, unread.map(|(_, record)| record));
    judged
}

impl Judged {
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
    days.filter(|(_, (_, requests, credits))| requests + credits > 0)
        .map(|(name, (day, requests, credits))| ((name.clone(), day.clone()), (requests, credits)))
        .collect()
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
            let user = if is_user { name.whose.clone() } else { BEYOND.to_owned() };
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
                price,
                windows: Windows { month: day.get(..7).unwrap_or_default().to_owned(), day: day.clone() },
                admitted_at: self.now,
                deadline: self.deadline,
                scopes,
                asked: Asked { user, model: BEYOND.to_owned(), ..Asked::default() },
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

/// What scopes of these levels hold for calls of which nothing more is known is spent.
fn spent(scopes: &[(ScopeName, ScopeRecord)], rest: &Rest, levels: &[&str]) -> BTreeMap<ScopeName, ScopeRecord> {
    let mut spent = BTreeMap::new();
    for ((name, day), (requests, credits)) in rest.iter().filter(|((name, _), _)| levels.contains(&name.level.as_str()))
    {
        let Some((_, record)) = scopes.iter().find(|(known, _)| known == name) else { continue };
        let record = spent.entry(name.clone()).or_insert_with(|| record.clone());
        let windows = Windows { month: day.get(..7).unwrap_or_default().to_owned(), day: day.clone() };
        for place in 0..*requests {
            let price = credits / requests + u64::from(place < credits % requests);
            record.settle(&windows, &End { price, charged: price, counted: true });
        }
    }
    spent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::KeyId;
    use crate::ledger::Scope;
    use crate::team::UserId;
    use crate::team::limit::Period;

    const EPOCH: u64 = 7;

    fn windows() -> Windows {
        Windows { day: "2026-11-29".to_owned(), month: "2026-11".to_owned() }
    }

    fn names(user: &str) -> Vec<ScopeName> {
        [Scope::Team, Scope::User(UserId::parse(user).unwrap()), Scope::Key(KeyId::parse("k7Qp2mZr9aBc").unwrap())]
            .iter()
            .map(ScopeName::from)
            .collect()
    }

    fn call(user: &str, price: u64, claimed: u64) -> (ReservationId, ReservationRecord) {
        let record = ReservationRecord {
            dispatched: false,
            turned_back: false,
            unread: false,
            marks: 0,
            claimed,
            price,
            windows: windows(),
            admitted_at: 1,
            deadline: 2,
            scopes: names(user),
            asked: Asked::default(),
        };
        (ReservationId::new(), record)
    }

    fn holding(calls: &[&ReservationRecord]) -> Vec<(ScopeName, ScopeRecord)> {
        let mut scopes: BTreeMap<ScopeName, ScopeRecord> = BTreeMap::new();
        for call in calls {
            for name in &call.scopes {
                scopes.entry(name.clone()).or_default().reserve(&call.windows, call.price);
            }
        }
        scopes.into_iter().collect()
    }

    fn left(scopes: &[(ScopeName, ScopeRecord)], judged: &Judged) -> Vec<[u64; 4]> {
        let mut scopes: BTreeMap<ScopeName, ScopeRecord> = scopes.iter().cloned().collect();
        scopes.extend(judged.scopes.clone());
        for record in judged.open.values() {
            for name in &record.scopes {
                let end = End { price: record.price, charged: record.price, counted: true };
                scopes.entry(name.clone()).or_default().settle(&record.windows, &end);
            }
        }
        scopes.values().map(|record| record.counts(Period::Day, &windows()).into()).collect()
    }

    #[test]
    fn what_claimed_calls_hold_is_accounted_for() {
        let (mine, old) = (call("ana", 5, EPOCH), call("ben", 3, 0));
        let scopes = holding(&[&mine.1]);
        let judged = judge(&scopes, vec![mine.clone(), old.clone()], (EPOCH, false), (8, 9));
        assert_eq!(judged.open.keys().collect::<Vec<_>>(), [&mine.0]);
        assert_eq!(judged.ended, [old.0], "nothing is held for it: it has ended in what was lost");
    }

    #[test]
    fn a_record_that_nobody_claims_stays_as_it_is_where_something_is_held_for_it() {
        let old = call("ben", 3, 0);
        let judged = judge(&holding(&[&old.1]), vec![old.clone()], (EPOCH, false), (8, 9));
        assert_eq!(judged.open, [old].into());
    }

    #[test]
    fn of_answers_that_are_being_read_the_claimed_ones_keep_their_slots() {
        let mut scopes = holding(&[]);
        let [mine, lost, gone] = [("ana", EPOCH), ("ben", 0), ("ben", 0)].map(|(user, claimed)| {
            let (id, record) = call(user, 5, claimed);
            (id, record.keeping_slots(2))
        });
        let mut of: BTreeMap<ScopeName, ScopeRecord> = BTreeMap::new();
        for (_, record) in [&mine, &lost, &gone] {
            record.scopes.iter().for_each(|name| of.entry(name.clone()).or_default().keep_slot());
        }
        scopes.extend(of);
        let judged = judge(&scopes, vec![mine.clone(), lost.clone()], (EPOCH, false), (8, 9));
        assert_eq!(judged.open, [mine].into(), "nothing is held, so no call stands for the others");
        assert_eq!(judged.ended, [lost.0]);
        let slots: BTreeMap<_, _> = judged.scopes.iter().map(|(name, record)| (&*name.level, record.slots())).collect();
        assert_eq!(slots, [("team", 1), ("key", 1), ("user", 0)].into(), "ana's are as they were");
    }

    #[test]
    fn what_is_held_for_calls_that_left_no_record_is_held_by_calls_that_stand_for_them() {
        let (mine, [one, two, three]) =
            (call("ana", 5, EPOCH), [("ana", 4), ("ben", 3), ("ben", 6)].map(|(u, p)| call(u, p, 0)));
        let scopes = holding(&[&mine.1, &one.1, &two.1, &three.1]);
        let judged = judge(&scopes, vec![mine.clone()], (EPOCH, false), (8, 9));
        assert_eq!(judged.open.len(), 4);
        let made: Vec<_> = judged.open.iter().filter(|(id, _)| **id != mine.0).map(|(_, record)| record).collect();
        assert!(made.iter().all(|record| record.dispatched && record.claimed == EPOCH));
        let of =
            |user: &str| made.iter().filter(|record| record.asked.user == user).map(|record| record.price).sum::<u64>();
        assert_eq!((of("ana"), of("ben")), (4, 9));
        // All of it is spent once they have ended, in every scope.
        assert!(left(&scopes, &judged).iter().all(|[_, reserved, _, credits]| (*reserved, *credits) == (0, 0)));
        assert_eq!(left(&scopes, &judged).iter().map(|sums| sums[2]).sum::<u64>(), 3 * 18);
    }
}
