//! Small answers that are not delivered yet keep the slots of their calls: who does not read has no more calls than who
//! does.
//!
//! A call is settled when the upstream has answered, so that nothing that happens afterwards, a kill included, can
//! change what it costs; with that the ledger gives its slot back, unless it is told to keep it ([`super::slots`]). It
//! is not told to where the answer is small and has a connection to itself, whose socket most likely takes it at once:
//! that spares an operation. Should it not be taken after all, its slot is kept here: counted on the replica whose
//! memory the answer takes, until it was taken or given up. A call is then judged here as if its limit were smaller by
//! so many. Other replicas know nothing of it; but while one such answer waits, the slots of all that follow are kept
//! in the ledger.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use jiff::{SignedDuration, Timestamp};

use crate::http::Kept;
use crate::ledger::{Admission, Level, LimitStatus, Outage, Scope, Verdict};
use crate::maps::FastMap;
use crate::team::{Limit, LimitKind, Limits, TeamId};

/// In how many parts the counts are, so that workers seldom wait for each other.
const PARTS: usize = 16;
/// When a call that found no free slot should come again: nobody knows when an answer is read.
const COME_AGAIN: SignedDuration = SignedDuration::from_secs(1);

type Counts = FastMap<(TeamId, Scope), u64>;

/// The slots that answers of this process keep. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Undelivered(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    parts: [Mutex<Counts>; PARTS],
    hasher: foldhash::fast::RandomState,
}

/// The slots that one answer keeps until it is dropped.
#[derive(Debug)]
pub struct Slots {
    all: Undelivered,
    team: TeamId,
    scopes: Vec<Scope>,
}

/// Slots that were taken off the limits of a call.
struct Lowered(Vec<(Scope, u64, u64)>);

impl Undelivered {
    /// Whether an answer waits here that keeps slots of one of these levels: its caller does not read.
    #[must_use]
    pub fn waits(&self, team: &TeamId, levels: &[Level]) -> bool {
        let counts = self.counts(team);
        !counts.is_empty() && levels.iter().any(|level| counts.contains_key(&(team.clone(), level.scope.clone())))
    }

    /// Keeps the slots of a call whose answer is about to be delivered; `None` where its slots are not limited.
    #[must_use]
    pub fn keep(&self, team: &TeamId, levels: &[Level]) -> Option<Slots> {
        let limited = levels.iter().filter(|level| level.limits.get(LimitKind::Concurrent).is_some());
        let scopes: Vec<Scope> = limited.map(|level| level.scope.clone()).collect();
        if scopes.is_empty() {
            return None;
        }
        let mut counts = self.counts(team);
        for scope in &scopes {
            *counts.entry((team.clone(), scope.clone())).or_default() += 1;
        }
        drop(counts);
        Some(Slots { all: self.clone(), team: team.clone(), scopes })
    }

    /// Has a call judged with those slots taken, and tells the standings with them.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn judged<F>(
        &self,
        mut admission: Admission,
        judge: impl FnOnce(Admission) -> F,
    ) -> Result<Verdict, Outage>
    where
        F: Future<Output = Result<Verdict, Outage>>,
    {
        let lowered = self.lower(&admission.team, &mut admission.levels);
        let mut verdict = judge(admission).await?;
        if !lowered.0.is_empty() {
            lowered.tell_in(&mut verdict);
        }
        Ok(verdict)
    }

    /// Adds those slots to standings that were read without them.
    pub fn tell(&self, team: &TeamId, standings: &mut [LimitStatus]) {
        let counts = self.counts(team);
        for standing in standings.iter_mut().filter(|standing| standing.kind == LimitKind::Concurrent) {
            standing.reserved += counts.get(&(team.clone(), standing.scope.clone())).copied().unwrap_or(0);
        }
    }

    fn lower(&self, team: &TeamId, levels: &mut [Level]) -> Lowered {
        let counts = self.counts(team);
        let mut lowered = Vec::new();
        if counts.is_empty() {
            return Lowered(lowered);
        }
        for level in levels {
            let Some(limit) = level.limits.get(LimitKind::Concurrent).copied() else { continue };
            let Some(kept) = counts.get(&(team.clone(), level.scope.clone())).copied() else { continue };
            let max = limit.max.saturating_sub(kept);
            let less = Limit { max, burst: max, ..limit };
            level.limits = Arc::new(Limits::new(level.limits.iter().copied().chain([less])));
            lowered.push((level.scope.clone(), limit.max, kept));
        }
        Lowered(lowered)
    }

    fn counts(&self, team: &TeamId) -> MutexGuard<'_, Counts> {
        let hash = self.0.hasher.hash_one(team);
        let part = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        self.0.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lowered {
    fn tell_in(&self, verdict: &mut Verdict) {
        match verdict {
            Verdict::Admitted { standings, .. } => self.raise(standings),
            Verdict::Refused { standings, binding, retry_at, at } => {
                self.raise(standings);
                // To the ledger a limit of which all slots are kept here is one of nothing, for which no time helps.
                let binds =
                    standings.get(*binding).is_some_and(|limit| limit.kind == LimitKind::Concurrent && limit.max > 0);
                if binds && retry_at.is_none() {
                    *retry_at = Some(at.checked_add(COME_AGAIN).unwrap_or(Timestamp::MAX));
                }
            }
        }
    }

    fn raise(&self, standings: &mut [LimitStatus]) {
        for standing in standings.iter_mut().filter(|standing| standing.kind == LimitKind::Concurrent) {
            if let Some((_, max, kept)) = self.0.iter().find(|(scope, ..)| *scope == standing.scope) {
                standing.max = *max;
                standing.reserved += kept;
            }
        }
    }
}

/// It is given back as it is dropped.
impl Kept for Slots {
    fn poll_given_back(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut counts = self.all.counts(&self.team);
        for scope in self.scopes.drain(..) {
            let place = (self.team.clone(), scope);
            match counts.get_mut(&place) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) | None => drop(counts.remove(&place)),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::team::UserId;

    fn levels(team: u64, user: u64) -> Vec<Level> {
        let limits = |max| Arc::new(Limits::new([Limit::new(LimitKind::Concurrent, max)]));
        let ana = Scope::User(UserId::parse("ana").expect("a user"));
        vec![Level { scope: Scope::Team, limits: limits(team) }, Level { scope: ana, limits: limits(user) }]
    }

    fn left(undelivered: &Undelivered, team: &TeamId) -> Vec<u64> {
        let mut levels = levels(3, 1);
        undelivered.lower(team, &mut levels);
        levels.iter().filter_map(|level| level.limits.get(LimitKind::Concurrent)).map(|limit| limit.max).collect()
    }

    #[test]
    fn an_answer_keeps_its_slots_on_every_level_until_it_is_dropped() {
        let undelivered = Undelivered::default();
        let [design, growth] = ["design", "growth"].map(|name| TeamId::parse(name).expect(name));
        let first = undelivered.keep(&design, &levels(3, 1));
        assert_eq!((left(&undelivered, &design), left(&undelivered, &growth)), (vec![2, 0], vec![3, 1]));
        assert!(undelivered.waits(&design, &levels(3, 1)) && !undelivered.waits(&growth, &levels(3, 1)));
        let second = undelivered.keep(&design, &levels(3, 1));
        assert_eq!(left(&undelivered, &design), [1, 0]);
        drop(first);
        assert_eq!(left(&undelivered, &design), [2, 0]);
        drop(second);
        assert_eq!(left(&undelivered, &design), [3, 1]);
        assert!(!undelivered.waits(&design, &levels(3, 1)));
        assert!(undelivered.0.parts.iter().all(|part| part.lock().expect("counts").is_empty()));
        assert!(undelivered.keep(&design, &[]).is_none());
    }
}
