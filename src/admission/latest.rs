//! The latest known limits of callers, for answers that ask nothing of the ledger; read at most
//! once a second for each caller.
//!
//! Every answer to a known caller states its limits, even one that refuses before anything is
//! reserved. Reading the store for each would let a caller load the store with requests that cost
//! nothing. So a reading serves for a second, and what this process admits is added at once. Only
//! what other replicas or other users of the team spend can be up to a second late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, ready};
use jiff::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::identity::Principal;
use crate::ledger::{ExtrapolatedLimits, Ledger, LimitStatus, SnapshotQuery};
use crate::team::{Credential, KeyId, Team, TeamId, UserId};

/// How long a reading serves.
const FRESH: Duration = Duration::from_secs(1);
/// The most callers with known limits.
const CALLERS_MAX: usize = 1024;

/// The latest limits of callers, shared by all workers. Clones share them.
#[derive(Clone)]
pub struct Latest(Arc<Cache<Who, Known, UnitWeighter, RandomState>>);

/// Callers with the same limits.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    team: TeamId,
    user: UserId,
    key: Option<KeyId>,
}

/// Known limits, or a reading under way that all who need it wait for.
#[derive(Clone)]
struct Known {
    since: Instant,
    /// The levels of these limits; a reload may change them.
    team: Arc<Team>,
    limits: Shared<BoxFuture<'static, Option<Arc<ExtrapolatedLimits>>>>,
}

impl Default for Latest {
    fn default() -> Self {
        let (max, hash) = (CALLERS_MAX, RandomState::default());
        Self(Arc::new(Cache::with(max, max as u64, UnitWeighter, hash, Default::default())))
    }
}

impl Who {
    fn of(principal: &Principal) -> Self {
        let key = match &principal.credential {
            Credential::Key(id) => Some(id.clone()),
            Credential::Token { .. } => None,
        };
        Self { team: principal.team.clone(), user: principal.user.clone(), key }
    }
}

impl Known {
    fn is_fresh(&self, team: &Arc<Team>) -> bool {
        self.since.elapsed() < FRESH && Arc::ptr_eq(&self.team, team)
    }
}

impl Latest {
    /// The caller's limits now, by the clock and as far as this process knows; `None`: the ledger
    /// does not answer.
    pub async fn of(
        &self,
        ledger: &Arc<dyn Ledger>,
        principal: &Principal,
        team: &Arc<Team>,
    ) -> Option<ExtrapolatedLimits> {
        let levels = principal.levels(team);
        let who = Who::of(principal);
        let known = self.0.get(&who);
        let limits = match known.as_ref().filter(|known| known.is_fresh(team)) {
            Some(known) => known.limits.clone(),
            None => {
                // While the store is away, an older reading is better than none.
                let before = known.filter(|known| Arc::ptr_eq(&known.team, team));
                let before = before.and_then(|known| known.limits.now_or_never().flatten());
                let (id, time_zone) = (team.id.clone(), team.time_zone.clone());
                let query =
                    SnapshotQuery { team: id, levels: levels.clone(), time_zone, reader: None };
                let limits = read(Arc::clone(ledger), query, before).boxed().shared();
                let (since, team) = (Instant::now(), Arc::clone(team));
                self.0.insert(who, Known { since, team, limits: limits.clone() });
                limits
            }
        };
        let mut limits = Arc::unwrap_or_clone(limits.await?);
        limits.bring_up_to_now(&levels, &team.time_zone);
        Some(limits)
    }

    /// Notes statuses that the ledger just returned, if limits of this caller were shown within the
    /// last second: nothing is copied for other callers.
    pub fn note(
        &self,
        principal: &Principal,
        team: &Arc<Team>,
        statuses: &[LimitStatus],
        at: Timestamp,
    ) {
        let who = Who::of(principal);
        if let Some(known) = self.0.get(&who).filter(|known| known.is_fresh(team)) {
            let limits = Some(Arc::new(ExtrapolatedLimits::new(statuses.to_vec(), at)));
            self.0.insert(who, Known { limits: ready(limits).boxed().shared(), ..known });
        }
    }

    /// Forgets a caller's limits after credits were given back, so that they are read again.
    pub fn forget(&self, principal: &Principal) {
        self.0.remove(&Who::of(principal));
    }
}

/// Reads the ledger, without counting it against the rate limit of reads.
async fn read(
    ledger: Arc<dyn Ledger>,
    query: SnapshotQuery,
    before: Option<Arc<ExtrapolatedLimits>>,
) -> Option<Arc<ExtrapolatedLimits>> {
    match ledger.snapshot(query).await {
        Ok(snapshot) => Some(Arc::new(ExtrapolatedLimits::new(snapshot.statuses, snapshot.at))),
        Err(outage) => {
            tracing::debug!(%outage, "limits could not be read");
            before
        }
    }
}
