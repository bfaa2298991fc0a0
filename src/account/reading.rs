//! How a team's books are read for one of its users: a bounded number of times a minute, over all replicas.

use std::sync::Arc;

use crate::admission::{Undelivered, into_refusal};
use crate::credits::Credits;
use crate::identity::Principal;
use crate::ledger::{Admission, BudgetSnapshot, Ledger, Level, Outage, ReadLimited, Scope, SnapshotQuery, Verdict};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::team::{Limit, LimitKind, Limits, Team};

/// How the views are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What each user of each team may read: requests a minute, and nothing else.
    pub limits: Arc<Limits>,
}

impl Settings {
    /// So many requests a minute of each user.
    #[must_use]
    pub fn new(requests_per_minute: u64) -> Self {
        let limit = Limit::new(LimitKind::RequestsPerMinute, requests_per_minute);
        Self { limits: Arc::new(Limits::new([limit])) }
    }
}

/// The ledger, for readers.
#[derive(Clone)]
pub struct Reading {
    ledger: Arc<dyn Ledger>,
    undelivered: Undelivered,
    settings: Live<Settings>,
}

impl Reading {
    /// Reads this ledger, and what slots are kept beside it.
    #[must_use]
    pub const fn new(ledger: Arc<dyn Ledger>, undelivered: Undelivered, settings: Live<Settings>) -> Self {
        Self { ledger, undelivered, settings }
    }

    /// What is read beside the books, once they were.
    #[must_use]
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// How every limit of the caller stands. Counts as one of its readings.
    ///
    /// # Errors
    /// `rate_limited` when it has read too often, `ledger_unavailable`.
    pub async fn books(&self, principal: &Principal, team: &Team) -> Result<BudgetSnapshot, Refusal> {
        let limits = Arc::clone(&self.settings.read().limits);
        let inquiry = SnapshotQuery {
            team: team.id.clone(),
            levels: principal.levels(team),
            time_zone: team.time_zone.clone(),
            reader: Some(Level { scope: Scope::Account(principal.user.clone()), limits }),
        };
        let mut books = self.ledger.snapshot(inquiry).await.map_err(|outage| away(&outage))?;
        match books.refused.take() {
            Some(ReadLimited { standing, retry_at }) => {
                Err(into_refusal::refusal(vec![standing], 0, retry_at, books.at, Credits::ZERO))
            }
            None => {
                self.undelivered.tell(&team.id, &mut books.standings);
                Ok(books)
            }
        }
    }

    /// Judges a call as admission would, and reserves nothing.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub async fn quote(&self, admission: Admission) -> Result<Verdict, Refusal> {
        let verdict = self.undelivered.judged(admission, |admission| self.ledger.quote(admission)).await;
        verdict.map_err(|outage| away(&outage))
    }
}

/// The ledger could not be read.
pub(super) fn away(outage: &Outage) -> Refusal {
    tracing::debug!(%outage, "the ledger could not be read");
    Refusal::LedgerUnavailable
}
