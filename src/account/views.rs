//! Responses of the views. The field names are ours, since Firemoon documents none.

use jiff::Timestamp;
use serde::Serialize;

use super::named::Names;
use crate::clock::in_millis;
use crate::credits::Credits;
use crate::identity::Principal;
use crate::ledger::{BudgetSnapshot, LimitStatus, LimitView};
use crate::team::limit::{Shape, Unit};
use crate::team::{LimitKind, Team};

/// `GET /api/credits/balance`: what the team may still spend.
#[derive(Debug, Serialize)]
pub struct Balance<'a> {
    team: &'a str,
    /// The least that a credit budget has left; `null` when the team has none that refuses.
    balance: Option<Credits>,
    budgets: Vec<LimitView>,
}

/// `GET /gateway/v1/me`: the caller and all its limits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Me<'a> {
    team: &'a str,
    user: &'a str,
    credential: CredentialView<'a>,
    /// Where the team's days and months begin.
    time_zone: String,
    /// The current time by the ledger's clock, which decides when windows end.
    #[serde(serialize_with = "in_millis")]
    at: Timestamp,
    models: Vec<&'a str>,
    limits: Vec<LimitView>,
}

#[derive(Debug, Serialize)]
struct CredentialView<'a> {
    kind: &'static str,
    id: &'a str,
    /// The key's name, if the user is a gateway key.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// The balance of a team.
#[must_use]
pub fn balance<'a>(team: &'a Team, snapshot: &BudgetSnapshot) -> Balance<'a> {
    let budgets: Vec<&LimitStatus> =
        snapshot.statuses.iter().filter(|status| counts_credits(status.kind)).collect();
    let refusing = budgets.iter().filter(|status| !status.shadow);
    let balance = refusing.map(|status| Credits::from_micros(status.remaining())).min();
    Balance {
        team: team.id.as_str(),
        balance,
        budgets: budgets.into_iter().map(LimitView::from).collect(),
    }
}

/// The caller and all its limits.
#[must_use]
pub fn me<'a>(
    principal: &'a Principal,
    team: &'a Team,
    snapshot: &BudgetSnapshot,
    names: Names<'_>,
) -> Me<'a> {
    let key_allows =
        |model: &_| principal.key_models.as_ref().is_none_or(|rules| rules.allow(model));
    let priced = team.prices.models.keys();
    let mut models: Vec<&str> =
        priced.filter(|id| team.models.allow(id) && key_allows(id)).map(|id| id.as_str()).collect();
    models.sort_unstable();
    Me {
        team: team.id.as_str(),
        user: principal.user.as_str(),
        credential: CredentialView {
            kind: principal.credential.kind(),
            id: principal.credential.id(),
            name: principal.credential.key_id().and_then(|key| names.of_key(key)),
        },
        time_zone: team.zone_name(),
        at: snapshot.at,
        models,
        limits: snapshot.statuses.iter().map(LimitView::from).collect(),
    }
}

const fn counts_credits(kind: LimitKind) -> bool {
    matches!(kind.shape(), Shape::Window(_, Unit::Credits))
}
