//! The shapes of the team's own views. The field names are ours: Firemoon documents none.

use jiff::Timestamp;
use serde::Serialize;

use crate::credits::Credits;
use crate::identity::Principal;
use crate::ledger::{Books, Standing};
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

/// How one limit stands.
#[derive(Debug, Serialize)]
pub struct LimitView {
    /// `team:credits_per_month`.
    limit: String,
    max: Amount,
    /// Prepaid credits: how much of `max` was topped up.
    #[serde(rename = "toppedUp", skip_serializing_if = "Option::is_none")]
    topped_up: Option<Credits>,
    used: Amount,
    reserved: Amount,
    remaining: Amount,
    /// When the window ends or the bucket is full; `null` for prepaid credits and slots.
    reset: Option<Timestamp>,
    /// It is only counted, and refuses nobody.
    shadow: bool,
}

/// Calls are whole numbers, credits decimals.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Amount {
    Requests(u64),
    Credits(Credits),
}

/// The balance of a team.
#[must_use]
pub fn balance<'a>(team: &'a Team, books: &Books) -> Balance<'a> {
    let budgets: Vec<&Standing> = books.standings.iter().filter(|standing| counts_credits(standing.kind)).collect();
    let refusing = budgets.iter().filter(|standing| !standing.shadow);
    let balance = refusing.map(|standing| Credits::from_micros(standing.remaining())).min();
    Balance { team: team.id.as_str(), balance, budgets: budgets.into_iter().map(limit).collect() }
}

/// A caller's own standing.
#[must_use]
pub fn me<'a>(principal: &'a Principal, team: &'a Team, books: &Books) -> Me<'a> {
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
        limits: books.standings.iter().map(limit).collect(),
    }
}

const fn counts_credits(kind: LimitKind) -> bool {
    matches!(kind.shape(), Shape::Window(_, Unit::Credits))
}

/// A limit as a view shows it.
pub(super) fn limit(standing: &Standing) -> LimitView {
    let amount = |number| {
        if counts_credits(standing.kind) {
            Amount::Credits(Credits::from_micros(number))
        } else {
            Amount::Requests(number)
        }
    };
    LimitView {
        limit: format!("{}:{}", standing.scope.level(), standing.kind),
        max: amount(standing.max),
        topped_up: standing.topped_up_credits(),
        used: amount(standing.used),
        reserved: amount(standing.reserved),
        remaining: amount(standing.remaining()),
        reset: standing.reset_at,
        shadow: standing.shadow,
    }
}
