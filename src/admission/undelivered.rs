//! Small answers that are not delivered yet keep the slots of their calls, so that a caller who
//! does not read has no more calls than one who does.
//!
//! A call is settled when the upstream has answered, so that nothing afterwards, a kill included,
//! can change its cost. The settlement gives the slot back unless it asks to keep it
//! ([`super::slots`]). It does not ask where the answer is small and has a connection to itself,
//! whose socket most likely takes it at once: that saves an operation. If the socket does not take
//! it, the slot is counted here, on the replica that holds the answer, until the answer is
//! delivered or given up; calls are judged here as if the limit were that much smaller. Other
//! replicas do not know; but while such an answer waits, the ledger keeps the slots of all that
//! follow.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use jiff::{SignedDuration, Timestamp};

use crate::http::Release;
use crate::ledger::{Admission, Level, LimitStatus, Outage, Scope, Verdict};
use crate::maps::FastMap;
use crate::team::{Limit, LimitKind, Limits, TeamId};

/// The number of shards, so that workers seldom wait for each other.
const PARTS: usize = 16;
/// When to retry after no slot was free: it cannot be known when an answer will be read.
const COME_AGAIN: SignedDuration = SignedDuration::from_secs(1);

type Counts = FastMap<(TeamId, Scope), u64>;

/// The slots kept by answers of this process. Clones share them.
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

/// Slots subtracted from the limits of a call.
struct Lowered(Vec<(Scope, u64, u64)>);

impl Undelivered {
    /// Whether an undelivered answer keeps slots of one of these levels, which means that its
    /// caller does not read.
    #[must_use]
    pub fn waits(&self, team: &TeamId, levels: &[Level]) -> bool {
        let counts = self.counts(team);
        !counts.is_empty()
            && levels.iter().any(|level| counts.contains_key(&(team.clone(), level.scope.clone())))
    }

    /// Keeps the slots of an answer about to be delivered; `None` where slots are not limited.
    #[must_use]
    pub fn keep(&self, team: &TeamId, levels: &[Level]) -> Option<Slots> {
        let limited =
            levels.iter().filter(|level| level.limits.get(LimitKind::Concurrent).is_some());
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

    /// Judges a call with those slots taken, and returns statuses that include them.
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

    /// Adds those slots to statuses that were read without them.
    pub fn add_to(&self, team: &TeamId, statuses: &mut [LimitStatus]) {
        let counts = self.counts(team);
        for status in statuses.iter_mut().filter(|status| status.kind == LimitKind::Concurrent) {
            status.reserved +=
                counts.get(&(team.clone(), status.scope.clone())).copied().unwrap_or(0);
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
            let Some(kept) = counts.get(&(team.clone(), level.scope.clone())).copied() else {
                continue;
            };
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
            Verdict::Admitted { statuses, .. } => self.raise(statuses),
            Verdict::Refused { statuses, binding, retry_at, at } => {
                self.raise(statuses);
                // A limit whose slots are all kept here is zero to the ledger, which then gives no
                // time to retry.
                let binds = statuses
                    .get(*binding)
                    .is_some_and(|limit| limit.kind == LimitKind::Concurrent && limit.max > 0);
                if binds && retry_at.is_none() {
                    *retry_at = Some(at.checked_add(COME_AGAIN).unwrap_or(Timestamp::MAX));
                }
            }
        }
    }

    fn raise(&self, statuses: &mut [LimitStatus]) {
        for status in statuses.iter_mut().filter(|status| status.kind == LimitKind::Concurrent) {
            if let Some((_, max, kept)) = self.0.iter().find(|(scope, ..)| *scope == status.scope) {
                status.max = *max;
                status.reserved += kept;
            }
        }
    }
}

/// Gives the slots back.
impl Release for Slots {
    fn poll_release(&mut self, _: &mut Context<'_>) -> Poll<()> {
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
        vec![
            Level { scope: Scope::Team, limits: limits(team) },
            Level { scope: ana, limits: limits(user) },
        ]
    }

    fn left(undelivered: &Undelivered, team: &TeamId) -> Vec<u64> {
        let mut levels = levels(3, 1);
        undelivered.lower(team, &mut levels);
        levels
            .iter()
            .filter_map(|level| level.limits.get(LimitKind::Concurrent))
            .map(|limit| limit.max)
            .collect()
    }

    #[test]
    fn an_answer_keeps_its_slots_until_it_is_dropped() {
        let undelivered = Undelivered::default();
        let [design, growth] = ["design", "growth"].map(|name| TeamId::parse(name).expect(name));
        let first = undelivered.keep(&design, &levels(3, 1));
        assert_eq!(
            (left(&undelivered, &design), left(&undelivered, &growth)),
            (vec![2, 0], vec![3, 1])
        );
        assert!(
            undelivered.waits(&design, &levels(3, 1)) && !undelivered.waits(&growth, &levels(3, 1))
        );
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
