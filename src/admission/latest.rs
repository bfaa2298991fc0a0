//! What is known of callers' limits: read for answers that nothing was asked of the ledger for, at most once a second
//! each.
//!
//! Every answer to a known caller says how its limits stand, also one that refuses before anything is reserved. To ask
//! the store for each of these would let a caller drive the store with requests that cost it nothing. So what was read
//! for one is told to the next for a second; what this process admits meanwhile is in it at once. Only what others
//! spend on other replicas, or what other users of the team spend, can be told up to a second late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, ready};
use jiff::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::identity::Principal;
use crate::ledger::{Ledger, LimitStatus, Snapshot, SnapshotQuery};
use crate::team::{Credential, KeyId, Team, TeamId, UserId};

/// For how long what was read is told to others.
const FRESH: Duration = Duration::from_secs(1);
/// Of how many callers something is known at once.
const CALLERS_MAX: usize = 1024;

/// The latest of callers' limits, of all workers. Clones share it.
#[derive(Clone)]
pub struct Latest(Arc<Cache<Who, Known, UnitWeighter, RandomState>>);

/// Those for whom the same limits hold.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    team: TeamId,
    user: UserId,
    key: Option<KeyId>,
}

/// What is known, or is being read: all who ask meanwhile wait for the same reading.
#[derive(Clone)]
struct Known {
    since: Instant,
    /// Whose limits they are: after a reload they may be others.
    team: Arc<Team>,
    limits: Shared<BoxFuture<'static, Option<Arc<Snapshot>>>>,
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
    /// How the caller's limits stand now, by the clock and as far as this process knows. `None`: the ledger does not
    /// say.
    pub async fn of(&self, ledger: &Arc<dyn Ledger>, principal: &Principal, team: &Arc<Team>) -> Option<Snapshot> {
        let levels = principal.levels(team);
        let who = Who::of(principal);
        let known = self.0.get(&who);
        let limits = match known.as_ref().filter(|known| known.is_fresh(team)) {
            Some(known) => known.limits.clone(),
            None => {
                // While the store is away, what it said last is better than nothing.
                let before = known.filter(|known| Arc::ptr_eq(&known.team, team));
                let before = before.and_then(|known| known.limits.now_or_never().flatten());
                let (id, time_zone) = (team.id.clone(), team.time_zone.clone());
                let inquiry = SnapshotQuery { team: id, levels: levels.clone(), time_zone, reader: None };
                let limits = read(Arc::clone(ledger), inquiry, before).boxed().shared();
                let (since, team) = (Instant::now(), Arc::clone(team));
                self.0.insert(who, Known { since, team, limits: limits.clone() });
                limits
            }
        };
        let mut limits = Arc::unwrap_or_clone(limits.await?);
        limits.bring_up_to_now(&levels, &team.time_zone);
        Some(limits)
    }

    /// The ledger has just said how a caller's limits stand. Kept only where somebody was told of them less than a
    /// second ago: for all others nothing is copied.
    pub fn note(&self, principal: &Principal, team: &Arc<Team>, standings: &[LimitStatus], at: Timestamp) {
        let who = Who::of(principal);
        if let Some(known) = self.0.get(&who).filter(|known| known.is_fresh(team)) {
            let limits = Some(Arc::new(Snapshot::new(standings.to_vec(), at)));
            self.0.insert(who, Known { limits: ready(limits).boxed().shared(), ..known });
        }
    }

    /// A caller's limits have been given something back: they are read again when somebody is to be told of them.
    pub fn forget(&self, principal: &Principal) {
        self.0.remove(&Who::of(principal));
    }
}

/// Asks the ledger; counts as nobody's reading, since nobody asked for it.
async fn read(ledger: Arc<dyn Ledger>, inquiry: SnapshotQuery, before: Option<Arc<Snapshot>>) -> Option<Arc<Snapshot>> {
    match ledger.snapshot(inquiry).await {
        Ok(books) => Some(Arc::new(Snapshot::new(books.standings, books.at))),
        Err(outage) => {
            tracing::debug!(%outage, "limits could not be read");
            before
        }
    }
}
