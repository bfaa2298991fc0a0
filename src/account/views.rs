//! The shapes of the team's own views. The field names are ours: Firemoon documents none.

use serde::Serialize;

use crate::credits::Credits;
use crate::identity::Principal;
use crate::ledger::{BudgetSnapshot, LimitStatus, LimitView};
use crate::team::limit::{Shape, Unit};
use crate::team::{LimitKind, Team};

/// `GET /api/credits/balance`: what the team may still spend.
#[derive(Debug, Serialize)]
pub struct Balance<'a> {
    team: &'a str,
    /// What the tightest credit budget leaves; `null` when the team has none that refuses.
    balance: Option<Credits>,
    budgets: Vec<LimitView>,
}

/// `GET /gateway/v1/me`: who calls, and every limit that holds for them.
#[derive(Debug, Serialize)]
pub struct Me<'a> {
    team: &'a str,
    user: &'a str,
    credential: CredentialView<'a>,
    models: Vec<&'a str>,
    limits: Vec<LimitView>,
}

#[derive(Debug, Serialize)]
struct CredentialView<'a> {
    kind: &'static str,
    id: &'a str,
}

/// The balance of a team.
#[must_use]
pub fn balance<'a>(team: &'a Team, books: &BudgetSnapshot) -> Balance<'a> {
    let budgets: Vec<&LimitStatus> = books.standings.iter().filter(|standing| counts_credits(standing.kind)).collect();
    let refusing = budgets.iter().filter(|standing| !standing.shadow);
    let balance = refusing.map(|standing| Credits::from_micros(standing.remaining())).min();
    Balance { team: team.id.as_str(), balance, budgets: budgets.into_iter().map(LimitView::from).collect() }
}

/// A caller's own standing.
#[must_use]
pub fn me<'a>(principal: &'a Principal, team: &'a Team, books: &BudgetSnapshot) -> Me<'a> {
    let key_allows = |model: &_| principal.key_models.as_ref().is_none_or(|rules| rules.allow(model));
    let priced = team.prices.models.keys();
    let mut models: Vec<&str> =
        priced.filter(|id| team.models.allow(id) && key_allows(id)).map(|id| id.as_str()).collect();
    models.sort_unstable();
    Me {
        team: team.id.as_str(),
        user: principal.user.as_str(),
        credential: CredentialView { kind: principal.credential.kind(), id: principal.credential.id() },
        models,
        limits: books.standings.iter().map(LimitView::from).collect(),
    }
}

const fn counts_credits(kind: LimitKind) -> bool {
    matches!(kind.shape(), Shape::Window(_, Unit::Credits))
}
