//! `GET /gateway/v1/requests` and `/gateway/v1/requests/{id}`: state and outcome of a team's calls.
//!
//! A running call is found by its reservation, on any replica; one with a stored answer by that;
//! any other by its row.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use serde_json::value::RawValue;

use super::generations::status;
use super::reading::away;
use crate::credits::Credits;
use crate::idempotency::{LISTED_MAX, Replays, StoredResponse, Summary};
use crate::ledger::{Ledger, OpenCall, Outcome, Phase, ReservationId, Row};
use crate::refusal::Refusal;
use crate::request::RequestId;
use crate::team::TeamId;

/// Most rows searched for calls that are known only by their row.
const SEARCHED_MAX: usize = 10_000;
/// How many of them are read at a time.
const SEARCHED_AT_ONCE: usize = 500;
/// Minutes by which a row may be older than its call's id, since the clocks differ.
const SKEW_MINUTES: i64 = 5;

/// Calls, newest first.
#[derive(Debug, Serialize)]
pub struct List {
    requests: Vec<Call>,
}

/// State and outcome of a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    call_id: String,
    request_id: String,
    /// `queued`, `running` or `done`.
    state: &'static str,
    endpoint: String,
    /// `completed`, `failed` or `unknown`, once it is done.
    outcome: Option<&'static str>,
    /// The status of the answer, whether or not the caller got it.
    status: Option<u16>,
    /// What it cost; unknown while it runs.
    credits_cost: Option<Credits>,
    created_at: Option<Timestamp>,
    /// Size of the stored answer.
    answer_bytes: Option<u64>,
    /// The stored answer, if requested and JSON.
    answer: Option<Box<RawValue>>,
    /// Why there is no answer.
    message: Option<&'static str>,
}

const NOT_JSON: &str = "The answer is not JSON, so it cannot be shown here";
const TOO_LARGE: &str = "The answer was too large to keep, or has given way to newer ones";
const NOT_HERE: &str =
    "The answers together are too large to be shown at once: fetch this one by its callId";
const NOT_KEPT: &str = "The answer is not kept: one is kept only if its caller left before it had \
                        all of it, or had sent an Idempotency-Key, and then for a limited time";
const NOBODY_KNOWS: &str = "The gateway that made the call ended before it knew the outcome";
const NOT_SENT: &str =
    "The call was never sent: its caller left, or its gateway ended, while it still waited";
const TURNED_BACK: &str = "The call was sent and turned back: its caller left, or its gateway \
                           ended, while it waited to be sent again";

/// The message for a call that was never answered.
const fn unanswered(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Released => NOT_SENT,
        Outcome::Refused => TURNED_BACK,
        Outcome::Charged | Outcome::Unknown => NOBODY_KNOWS,
    }
}

impl From<OpenCall> for Call {
    fn from(open: OpenCall) -> Self {
        let summary = Arc::unwrap_or_clone(open.summary);
        Self {
            call_id: open.id.to_string(),
            request_id: summary.request_id,
            state: match open.phase {
                Phase::Waiting | Phase::TurnedBack => "queued",
                Phase::Dispatched => "running",
            },
            endpoint: summary.model,
            outcome: None,
            status: None,
            credits_cost: None,
            created_at: Some(open.admitted_at),
            answer_bytes: None,
            answer: None,
            message: None,
        }
    }
}

impl From<Row> for Call {
    fn from(row: Row) -> Self {
        let summary = Arc::unwrap_or_clone(row.summary);
        let http_status = Some(row.result.status).filter(|status| *status > 0);
        Self {
            call_id: row.id.to_string(),
            request_id: summary.request_id,
            state: "done",
            endpoint: summary.model,
            outcome: Some(status(row.outcome)),
            status: http_status,
            credits_cost: Some(row.charged),
            created_at: Some(row.admitted_at),
            answer_bytes: None,
            answer: None,
            message: Some(http_status.map_or(unanswered(row.outcome), |_| NOT_KEPT)),
        }
    }
}

impl From<Summary> for Call {
    fn from(kept: Summary) -> Self {
        Self {
            call_id: kept.call.id.to_string(),
            request_id: kept.request_id.to_string(),
            state: "done",
            endpoint: kept.call.model.to_string(),
            outcome: Some(status(kept.call.outcome)),
            status: Some(kept.status.as_u16()),
            credits_cost: Some(kept.cost),
            created_at: kept.call.id.made_at(),
            answer_bytes: kept.body_bytes,
            answer: None,
            message: kept.body_bytes.is_none().then_some(TOO_LARGE),
        }
    }
}

impl Call {
    /// The stored answer's facts, with its body where that is stored.
    fn of(kept: &StoredResponse) -> Option<Self> {
        let answer = kept.json().map(ToOwned::to_owned);
        let call = Self::from(kept.summary()?);
        let message =
            if answer.is_none() && kept.body.is_some() { Some(NOT_JSON) } else { call.message };
        Some(Self { answer, message, ..call })
    }
}

/// Lookup of a team's calls.
pub(super) struct Requests<'a> {
    pub(super) ledger: &'a dyn Ledger,
    pub(super) replays: &'a Replays,
    pub(super) team: &'a TeamId,
}

impl Requests<'_> {
    /// The call with this id; `None` when it is no call of the team.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn call(&self, id: ReservationId) -> Result<Option<Call>, Refusal> {
        if let Some(open) =
            self.ledger.open_call(self.team, id).await.map_err(|outage| away(&outage))?
        {
            return Ok(Some(open.into()));
        }
        if let Some(kept) = self.replays.fetch(self.team, id).await? {
            return Ok(Call::of(&kept));
        }
        // A row is written after its call's id was made.
        let not_before =
            id.made_at().and_then(|made| made.checked_sub(SKEW_MINUTES.minutes()).ok());
        let mut rows = self.rows(|row| row.id == id, 1, not_before).await?;
        let Some(row) = rows.pop() else { return Ok(None) };
        // A call that has just ended is stored a moment after it is settled.
        let kept = self.replays.fetch(self.team, id).await?;
        Ok(kept.as_ref().and_then(Call::of).or_else(|| Some(row.into())))
    }

    /// Calls that carried this request id, among the newest.
    ///
    /// # Errors
    /// `request_not_found`, `ledger_unavailable`.
    pub(super) async fn carried(&self, id: &RequestId) -> Result<List, Refusal> {
        let mut calls = self.open(|open| open.summary.request_id == id.as_str()).await?;
        let rows = self.rows(|row| row.summary.request_id == id.as_str(), LISTED_MAX, None).await?;
        calls.extend(rows.into_iter().map(|row| (row.id, row.into())));
        calls.extend(self.kept(Some(id)).await?);
        if calls.is_empty() {
            return Err(Refusal::RequestNotFound);
        }
        let mut list = newest(calls);
        self.show_answers(&mut list).await?;
        Ok(list)
    }

    /// The team's open calls, and those with a stored outcome.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn all(&self) -> Result<List, Refusal> {
        let mut calls = self.open(|_| true).await?;
        calls.extend(self.kept(None).await?);
        Ok(newest(calls))
    }

    /// Reads open calls first: a call that ends after this is at least known as open, and one that
    /// ended before is found in the later reads.
    async fn open(
        &self,
        matches: impl Fn(&OpenCall) -> bool,
    ) -> Result<BTreeMap<ReservationId, Call>, Refusal> {
        let open = self.ledger.open_calls(self.team).await.map_err(|outage| away(&outage))?;
        Ok(open.into_iter().filter(matches).map(|open| (open.id, open.into())).collect())
    }

    async fn kept(
        &self,
        of: Option<&RequestId>,
    ) -> Result<impl Iterator<Item = (ReservationId, Call)>, Refusal> {
        let kept = self.replays.list(self.team, of).await?;
        Ok(kept.into_iter().map(|kept| (kept.call.id, kept.into())))
    }

    /// Adds answers, newest first, up to the size of the largest one.
    async fn show_answers(&self, list: &mut List) -> Result<(), Refusal> {
        let mut room = self.replays.answer_bytes_max();
        for call in &mut list.requests {
            let Some(bytes) = call.answer_bytes else { continue };
            if bytes > room {
                call.message = Some(NOT_HERE);
                continue;
            }
            room -= bytes;
            let Ok(id) = call.call_id.parse() else { continue };
            if let Some(shown) =
                self.replays.fetch(self.team, id).await?.as_ref().and_then(Call::of)
            {
                *call = shown;
            }
        }
        Ok(())
    }

    /// The newest matching rows that were not settled before `not_before`.
    async fn rows(
        &self,
        matches: impl Fn(&Row) -> bool,
        most: usize,
        not_before: Option<Timestamp>,
    ) -> Result<Vec<Row>, Refusal> {
        let mut found = Vec::new();
        for skip in (0..SEARCHED_MAX).step_by(SEARCHED_AT_ONCE) {
            let read = self
                .ledger
                .rows(self.team, skip, SEARCHED_AT_ONCE)
                .await
                .map_err(|outage| away(&outage))?;
            let oldest = read.rows.last().map(|row| row.settled_at);
            let is_last = read.rows.len() < SEARCHED_AT_ONCE || oldest < not_before;
            found.extend(read.rows.into_iter().filter(&matches));
            if is_last || found.len() >= most {
                break;
            }
        }
        found.truncate(most);
        Ok(found)
    }
}

/// Newest first: later ids sort later.
fn newest(calls: BTreeMap<ReservationId, Call>) -> List {
    List { requests: calls.into_values().rev().take(LISTED_MAX).collect() }
}
