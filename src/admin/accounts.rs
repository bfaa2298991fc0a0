//! Accounts of teams as operators see them: the configured teams, and those that have left the
//! configuration.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::ledger::{Ledger, Outage, SnapshotQuery};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::team::{Team, TeamId};

/// The operator's reads of the ledger. Clones share it.
#[derive(Clone)]
pub struct Accounts {
    ledger: Arc<dyn Ledger>,
    teams: Live<HashMap<TeamId, Arc<Team>>>,
}

/// One team's account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) team: TeamId,
    /// Time zone of its days; UTC for a team that has left the configuration.
    pub(super) time_zone: TimeZone,
    /// Whether the team is in the configuration.
    pub(super) is_configured: bool,
}

impl Accounts {
    /// Accounts of these teams in this ledger.
    #[must_use]
    pub const fn new(ledger: Arc<dyn Ledger>, teams: Live<HashMap<TeamId, Arc<Team>>>) -> Self {
        Self { ledger, teams }
    }

    pub(super) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// The account of one team, or all accounts, configured or in the ledger, by name.
    ///
    /// # Errors
    /// `team_not_found`: the name is not valid. `ledger_unavailable`.
    pub(super) async fn of(&self, name: Option<&str>) -> Result<Vec<Account>, Refusal> {
        if let Some(name) = name {
            return Ok(vec![self.account(TeamId::parse(name).ok_or(Refusal::TeamNotFound)?)]);
        }
        let mut teams: BTreeSet<TeamId> = self.teams.read().keys().cloned().collect();
        teams.extend(self.ledger.teams().await.map_err(|outage| away(&outage))?);
        Ok(teams.into_iter().map(|team| self.account(team)).collect())
    }

    fn account(&self, team: TeamId) -> Account {
        match self.teams.read().get(&team) {
            Some(known) => {
                Account { team, time_zone: known.time_zone.clone(), is_configured: true }
            }
            None => Account { team, time_zone: TimeZone::UTC, is_configured: false },
        }
    }

    /// Today in the team's time zone, by the ledger's clock.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn today(&self, account: &Account) -> Result<Date, Refusal> {
        // Asks with any configured team: a snapshot creates the team's records in the ledger, which
        // must not happen to a team that has left.
        let any = || self.teams.read().keys().next().cloned();
        let team = Some(&account.team).filter(|_| account.is_configured).cloned().or_else(any);
        let (team, time_zone) =
            (team.unwrap_or_else(|| account.team.clone()), account.time_zone.clone());
        let query =
            SnapshotQuery { team, levels: Vec::new(), time_zone: time_zone.clone(), reader: None };
        let snapshot = self.ledger.snapshot(query).await.map_err(|outage| away(&outage))?;
        Ok(snapshot.at.to_zoned(time_zone).date())
    }
}

/// The refusal when the ledger cannot be read.
pub(super) fn away(outage: &Outage) -> Refusal {
    tracing::warn!(%outage, "the ledger could not be read for an operator");
    Refusal::LedgerUnavailable
}
