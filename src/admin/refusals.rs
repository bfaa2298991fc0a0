//! `GET /admin/v1/teams/{team}/refusals`: calls of a team that were refused lately, and why.

use http::StatusCode;
use serde_json::json;

use super::call::{self, Call};
use super::teams::Teams;
use crate::account::named::Named;
use crate::http::Answer;
use crate::refusal::Refusal;
use crate::refused::{self, RefusedCall};

/// Answers the page, newest first.
///
/// # Errors
/// `team_not_found`, `ledger_unavailable`.
pub(super) async fn answer(
    teams: &Teams,
    refused: &dyn refused::Store,
    call: &Call,
) -> Result<Answer, Refusal> {
    let team = teams.team(call)?;
    let refusals = refused.latest(&team.id).await.map_err(|_| Refusal::LedgerUnavailable)?;
    let named = |call: RefusedCall| {
        let key_name = teams.registry_sync.key_name(&call.user);
        Named::new(call, key_name)
    };
    let refusals: Vec<_> = refusals.into_iter().map(named).collect();
    call::json(StatusCode::OK, &json!({ "team": team.id.as_str(), "refusals": refusals }))
}
