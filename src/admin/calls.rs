//! `GET /admin/v1/calls/{id}`: one call of any team by its call id, or all calls with a request id.

use http::StatusCode;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use serde_json::json;

use super::accounts::{Account, Accounts, away};
use super::call::{self, Call};
use crate::account::generations::Generation;
use crate::credits::Credits;
use crate::http::Answer;
use crate::identity::RegistrySync;
use crate::ledger::{OpenCall, Phase, ReservationId, Row};
use crate::refusal::Refusal;

/// Most calls of one request id that are shown, newest first.
const SHOWN_MAX: usize = 100;
/// Most rows of a team that are searched for a call id, whose time bounds the search as well.
const SEARCHED_FOR_A_CALL: usize = 100_000;
/// Most rows of a team that are searched for a request id.
const SEARCHED_FOR_A_REQUEST: usize = 10_000;
/// Rows that are read at once.
const AT_ONCE: usize = 1_000;
/// Minutes by which a row's time can lie before its call's id: the clocks of gateway and store
/// differ.
const SKEW_MINUTES: i64 = 5;

/// A call that has ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    team: String,
    /// `done`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_name: Option<String>,
    #[serde(flatten)]
    generation: Generation,
}

/// A call that has not ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    team: String,
    /// `queued` or `running`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_name: Option<String>,
    id: String,
    request_id: String,
    endpoint: String,
    user: String,
    credential: String,
    reserved: Credits,
    created_at: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Open(Open),
    Ended(Box<Ended>),
}

/// The calls of the query.
enum CallQuery<'a> {
    Call(ReservationId),
    Request(&'a str),
}

impl CallQuery<'_> {
    fn is(&self, id: ReservationId, request_id: &str) -> bool {
        match self {
            Self::Call(query) => *query == id,
            Self::Request(query) => *query == request_id,
        }
    }

    /// Most rows of a team that are searched for it.
    const fn searched_max(&self) -> usize {
        match self {
            Self::Call(_) => SEARCHED_FOR_A_CALL,
            Self::Request(_) => SEARCHED_FOR_A_REQUEST,
        }
    }

    /// Earliest time at which its row can have been written.
    fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Call(id) => id.made_at()?.checked_sub(SKEW_MINUTES.minutes()).ok(),
            Self::Request(_) => None,
        }
    }
}

/// Answers the page.
///
/// # Errors
/// `call_not_found`, `ledger_unavailable`.
pub(super) async fn answer(
    accounts: &Accounts,
    names: &RegistrySync,
    call: &Call,
) -> Result<Answer, Refusal> {
    let id = call.id();
    // A request id that the gateway made has the form of a call's, and names none.
    let mut found = match id.parse() {
        Ok(id) => search_all(accounts, names, &CallQuery::Call(id)).await?,
        Err(_) => Vec::new(),
    };
    if found.is_empty() {
        found = search_all(accounts, names, &CallQuery::Request(id)).await?;
    }
    if found.is_empty() {
        return Err(Refusal::CallNotFound);
    }
    found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let calls: Vec<Found> = found.into_iter().take(SHOWN_MAX).map(|(_, found)| found).collect();
    call::json(StatusCode::OK, &json!({ "calls": calls }))
}

/// Calls with the time of their admission.
type Calls = Vec<(Timestamp, Found)>;

async fn search_all(
    accounts: &Accounts,
    names: &RegistrySync,
    query: &CallQuery<'_>,
) -> Result<Calls, Refusal> {
    let mut found = Vec::new();
    for account in accounts.of(None).await? {
        search((accounts, names), &account, query, &mut found).await?;
        if matches!(query, CallQuery::Call(_)) && !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

async fn search(
    (accounts, names): (&Accounts, &RegistrySync),
    account: &Account,
    query: &CallQuery<'_>,
    found: &mut Calls,
) -> Result<(), Refusal> {
    let ledger = accounts.ledger();
    // Read first: what ends meanwhile is found among the rows that are read later.
    let open = ledger.open_calls(&account.team).await.map_err(|outage| away(&outage))?;
    for open in open.into_iter().filter(|open| query.is(open.id, &open.summary.request_id)) {
        found.push((open.admitted_at, Found::Open(self::open(names, account, &open))));
    }
    let not_before = query.not_before();
    for skip in (0..query.searched_max()).step_by(AT_ONCE) {
        let read = ledger.rows(&account.team, skip, AT_ONCE).await;
        let rows = read.map_err(|outage| away(&outage))?.rows;
        let oldest = rows.last().map(|row| row.settled_at);
        let is_last = rows.len() < AT_ONCE || oldest < not_before;
        for row in rows.into_iter().filter(|row| query.is(row.id, &row.summary.request_id)) {
            let id = row.id.to_string();
            found.retain(|(_, other)| !matches!(other, Found::Open(open) if open.id == id));
            found.push((row.admitted_at, Found::Ended(Box::new(ended(names, account, row)))));
        }
        let is_found = matches!(query, CallQuery::Call(_)) && !found.is_empty();
        if is_last || is_found {
            break;
        }
    }
    Ok(())
}

fn open(names: &RegistrySync, account: &Account, open: &OpenCall) -> Open {
    Open {
        team: account.team.to_string(),
        state: match open.phase {
            Phase::Waiting | Phase::TurnedBack => "queued",
            Phase::Dispatched => "running",
        },
        key_name: names.key_name(&open.summary.user),
        id: open.id.to_string(),
        request_id: open.summary.request_id.clone(),
        endpoint: open.summary.model.clone(),
        user: open.summary.user.clone(),
        credential: open.summary.credential.clone(),
        reserved: open.reserved,
        created_at: open.admitted_at,
    }
}

fn ended(names: &RegistrySync, account: &Account, row: Row) -> Ended {
    Ended {
        team: account.team.to_string(),
        state: "done",
        key_name: names.key_name(&row.summary.user),
        generation: row.into(),
    }
}
