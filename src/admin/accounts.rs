//! The teams' accounts as an operator sees them: every team of the configuration, and by name also one that has left it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::ledger::{Inquiry, Ledger, Outage};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::team::{Team, TeamId};

/// What the operator's pages read of the ledger. Clones read the same.
#[derive(Clone)]
pub struct Accounts {
    ledger: Arc<dyn Ledger>,
    teams: Live<HashMap<TeamId, Arc<Team>>>,
}

/// One team's account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) team: TeamId,
    /// Where its days begin; those of a team that has left the configuration begin in UTC.
    pub(super) time_zone: TimeZone,
    /// Whether the team is in the configuration.
    pub(super) is_configured: bool,
}

impl Accounts {
    /// The accounts of these teams in this ledger.
    #[must_use]
    pub const fn new(ledger: Arc<dyn Ledger>, teams: Live<HashMap<TeamId, Arc<Team>>>) -> Self {
        Self { ledger, teams }
    }

    pub(super) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// The account of one team, or of every team of the configuration in the order of their names.
    ///
    /// # Errors
    /// `team_not_found`: no team can have this name.
    pub(super) fn of(&self, name: Option<&str>) -> Result<Vec<Account>, Refusal> {
        let configured = |team: &Arc<Team>| Account {
            team: team.id.clone(),
            time_zone: team.time_zone.clone(),
            is_configured: true,
        };
        let teams = self.teams.read();
        let Some(name) = name else {
            let mut accounts: Vec<Account> = teams.values().map(configured).collect();
            accounts.sort_by(|one, other| one.team.cmp(&other.team));
            return Ok(accounts);
        };
        let team = TeamId::parse(name).ok_or(Refusal::TeamNotFound)?;
        let left = || Account { team: team.clone(), time_zone: TimeZone::UTC, is_configured: false };
        Ok(vec![teams.get(&team).map_or_else(left, configured)])
    }

    /// Which day it is for a team, by the ledger's clock.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn today(&self, account: &Account) -> Result<Date, Refusal> {
        let (team, time_zone) = (account.team.clone(), account.time_zone.clone());
        let inquiry = Inquiry { team, levels: Vec::new(), time_zone: time_zone.clone(), reader: None };
        let books = self.ledger.books(inquiry).await.map_err(|outage| away(&outage))?;
        Ok(books.at.to_zoned(time_zone).date())
    }
}

/// The ledger could not be read.
pub(super) fn away(outage: &Outage) -> Refusal {
    tracing::warn!(%outage, "the ledger could not be read for an operator");
    Refusal::LedgerUnavailable
}
