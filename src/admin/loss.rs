//! Acceptance of losses: an operator accepts what is left of a team's account, and its budgets open
//! on every replica.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::call::{self, Call, Changed};
use super::teams::Teams;
use crate::ledger::Outage;
use crate::refusal::Refusal;
use crate::team::{Team, TeamId};

/// Teams that are asked about at a time.
const TEAMS_AT_ONCE: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// State of a team's budgets.
enum Found {
    /// Budgets that were open.
    Open,
    /// Budgets that were closed and are open now.
    Opened,
    /// Budgets that are closed, or whose state is unknown.
    Away,
}

impl Teams {
    /// Opens a team's budgets, if they are closed.
    pub(super) async fn accept_loss(&self, call: &Call) -> Result<Changed, Refusal> {
        call.body::<Nothing>()?;
        let team = self.team(call)?;
        let (was_closed, is_closed) = match self.open(&team).await {
            Found::Open => (false, false),
            Found::Opened => (true, false),
            Found::Away => (true, true),
        };
        let answer = match is_closed {
            false => {
                call::json(StatusCode::OK, &json!({ "team": team.id, "accepted": was_closed }))
            }
            true => Err(Refusal::LedgerUnavailable),
        };
        let (before, after) = (json!({ "closed": was_closed }), json!({ "closed": is_closed }));
        Ok(Changed { subject: format!("team {}", team.id), before, after, answer })
    }

    /// Opens the closed budgets of every team.
    pub(super) async fn accept_every_loss(&self, call: &Call) -> Result<Changed, Refusal> {
        call.body::<Nothing>()?;
        let mut teams: Vec<Arc<Team>> = self.teams.read().values().cloned().collect();
        teams.sort_by(|one, other| one.id.cmp(&other.id));
        let found = stream::iter(teams)
            .map(|team| async move { (team.id.clone(), self.open(&team).await) });
        let found: Vec<(TeamId, Found)> = found.buffered(TEAMS_AT_ONCE).collect().await;
        let of = |state: fn(&Found) -> bool| -> Vec<&TeamId> {
            found.iter().filter(|(_, found)| state(found)).map(|(team, _)| team).collect()
        };
        let (was_closed, opened) =
            (of(|found| !matches!(found, Found::Open)), of(|f| matches!(f, Found::Opened)));
        let is_closed = of(|found| matches!(found, Found::Away));
        let answer = match is_closed.is_empty() {
            true => call::json(StatusCode::OK, &json!({ "accepted": opened })),
            false => Err(Refusal::LedgerUnavailable),
        };
        let (before, after) = (json!({ "closed": was_closed }), json!({ "closed": is_closed }));
        Ok(Changed { subject: "every team".to_owned(), before, after, answer })
    }

    async fn open(&self, team: &Team) -> Found {
        // A read also makes this replica restore what it knows.
        let looked = self.snapshot(team).await;
        let accepted = match looked {
            Ok(_) => return Found::Open,
            Err(Outage::Lost) => self.ledger.accept_loss(&team.id).await,
            Err(outage) => Err(outage),
        };
        match accepted {
            Ok(()) => Found::Opened,
            Err(outage) => {
                tracing::warn!(
                    %outage,
                    team = %team.id,
                    "a loss was not accepted, and the team's budgets stay closed: accept it again \
                     (moongate teams accept-loss)"
                );
                Found::Away
            }
        }
    }
}
