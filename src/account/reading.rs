//! Rate-limited reads of a team's limits by its users, over all replicas.

use std::sync::Arc;

use crate::admission::{Undelivered, into_refusal};
use crate::credits::Credits;
use crate::identity::Principal;
use crate::ledger::{
    Admission, BudgetSnapshot, Ledger, Level, Outage, ReadLimited, Scope, SnapshotQuery, Verdict,
};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::team::{Limit, LimitKind, Limits, Team};

/// Settings of the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The rate limit of each user: requests a minute, and nothing else.
    pub limits: Arc<Limits>,
}

impl Settings {
    /// Allows each user this many requests a minute.
    #[must_use]
    pub fn new(requests_per_minute: u64) -> Self {
        let limit = Limit::new(LimitKind::RequestsPerMinute, requests_per_minute);
        Self { limits: Arc::new(Limits::new([limit])) }
    }
}

/// The ledger, for reads.
#[derive(Clone)]
pub struct Reading {
    ledger: Arc<dyn Ledger>,
    undelivered: Undelivered,
    settings: Live<Settings>,
}

impl Reading {
    /// Reads this ledger and the slots of unread answers.
    #[must_use]
    pub const fn new(
        ledger: Arc<dyn Ledger>,
        undelivered: Undelivered,
        settings: Live<Settings>,
    ) -> Self {
        Self { ledger, undelivered, settings }
    }

    /// The ledger, for further reads after [`Reading::snapshot`], which counts them.
    #[must_use]
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// Status of every limit of the caller. Counts as one of its reads.
    ///
    /// # Errors
    /// `rate_limited` when it has read too often, `ledger_unavailable`.
    pub async fn snapshot(
        &self,
        principal: &Principal,
        team: &Team,
    ) -> Result<BudgetSnapshot, Refusal> {
        let limits = Arc::clone(&self.settings.read().limits);
        let query = SnapshotQuery {
            team: team.id.clone(),
            levels: principal.levels(team),
            time_zone: team.time_zone.clone(),
            reader: Some(Level { scope: Scope::Account(principal.user.clone()), limits }),
        };
        let mut snapshot = self.ledger.snapshot(query).await.map_err(|outage| away(&outage))?;
        match snapshot.refused.take() {
            Some(ReadLimited { status, retry_at }) => {
                Err(into_refusal::refusal(vec![status], 0, retry_at, snapshot.at, Credits::ZERO))
            }
            None => {
                self.undelivered.add_to(&team.id, &mut snapshot.statuses);
                Ok(snapshot)
            }
        }
    }

    /// Judges a call as admission would, without reserving anything.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub async fn quote(&self, admission: Admission) -> Result<Verdict, Refusal> {
        let verdict =
            self.undelivered.judged(admission, |admission| self.ledger.quote(admission)).await;
        verdict.map_err(|outage| away(&outage))
    }
}

/// The refusal when the ledger cannot be read.
pub(super) fn away(outage: &Outage) -> Refusal {
    tracing::debug!(%outage, "the ledger could not be read");
    Refusal::LedgerUnavailable
}
