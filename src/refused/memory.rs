//! Refused calls in the memory of the one process that has an embedded ledger; a restart forgets
//! them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::{KEPT_MAX, RefusedCall, Store};
use crate::store::Outage;
use crate::team::TeamId;

/// The calls, by team, newest first.
#[derive(Debug, Default)]
pub struct MemoryRefused(Mutex<HashMap<TeamId, VecDeque<RefusedCall>>>);

impl MemoryRefused {
    fn teams(&self) -> MutexGuard<'_, HashMap<TeamId, VecDeque<RefusedCall>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryRefused {
    fn add<'a>(
        &'a self,
        team: &'a TeamId,
        newest_first: &'a [RefusedCall],
    ) -> BoxFuture<'a, Result<(), Outage>> {
        let mut teams = self.teams();
        let kept = teams.entry(team.clone()).or_default();
        for call in newest_first.iter().rev() {
            kept.push_front(call.clone());
        }
        kept.truncate(KEPT_MAX);
        ready(Ok(())).boxed()
    }

    fn latest<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<RefusedCall>, Outage>> {
        let kept = self.teams().get(team).map(|kept| kept.iter().cloned().collect());
        ready(Ok(kept.unwrap_or_default())).boxed()
    }
}
