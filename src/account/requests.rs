//! `GET /gateway/v1/requests` and `/gateway/v1/requests/{id}`: what became of the team's own calls.
//!
//! A call that runs is known by its reservation, on any replica; one whose answer is kept by that; any other by its
//! row.

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

/// How many rows are looked through at most for those of calls that nothing else is known of.
const SEARCHED_MAX: usize = 10_000;
/// How many of them are read at once.
const SEARCHED_AT_ONCE: usize = 500;
/// How much earlier than a call's id, by the ledger's clock, its row can have been written.
const SKEW_MINUTES: i64 = 5;

/// Several calls, newest first.
#[derive(Debug, Serialize)]
pub struct List {
    requests: Vec<Call>,
}

/// What became of a call.
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
    /// The status its caller was told, or would have been.
    status: Option<u16>,
    /// What it cost; while it runs, nobody knows.
    credits_cost: Option<Credits>,
    created_at: Option<Timestamp>,
    /// How large the answer is that is kept.
    answer_bytes: Option<u64>,
    /// The answer, where it is kept and asked for, and is JSON.
    answer: Option<Box<RawValue>>,
    /// Why there is no answer.
    message: Option<&'static str>,
}

const NOT_JSON: &str = "The answer is not JSON, so it cannot be shown here";
const TOO_LARGE: &str = "The answer was too large to keep, or has given way to newer ones";
const NOT_HERE: &str = "The answers together are too large to be shown at once: fetch this one by its callId";
const NOT_KEPT: &str = "The answer is not kept: one is kept only if its caller left before it had all of it, or had sent an \
    Idempotency-Key, and then for a limited time";
const NOBODY_KNOWS: &str = "The gateway that made the call ended before it could tell what became of it";
const NOT_SENT: &str = "The call was never sent: its caller left, or its gateway ended, while it still waited";
const TURNED_BACK: &str =
    "The call was sent and turned back: its caller left, or its gateway ended, while it waited to be sent again";

/// Why there is no answer to a call whose caller was told none.
const fn unanswered(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Released => NOT_SENT,
        Outcome::Refused => TURNED_BACK,
        Outcome::Charged | Outcome::Unknown => NOBODY_KNOWS,
    }
}

impl From<OpenCall> for Call {
    fn from(open: OpenCall) -> Self {
        let asked = Arc::unwrap_or_clone(open.asked);
        Self {
            call_id: open.id.to_string(),
            request_id: asked.request_id,
            state: match open.phase {
                Phase::Waiting | Phase::TurnedBack => "queued",
                Phase::Dispatched => "running",
            },
            endpoint: asked.model,
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
        let asked = Arc::unwrap_or_clone(row.asked);
        let told = Some(row.came.status).filter(|status| *status > 0);
        Self {
            call_id: row.id.to_string(),
            request_id: asked.request_id,
            state: "done",
            endpoint: asked.model,
            outcome: Some(status(row.outcome)),
            status: told,
            credits_cost: Some(row.charged),
            created_at: Some(row.admitted_at),
            answer_bytes: None,
            answer: None,
            message: Some(told.map_or(unanswered(row.outcome), |_| NOT_KEPT)),
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
    /// With the answer itself, where it is kept.
    fn of(kept: &StoredResponse) -> Option<Self> {
        let answer = kept.json().map(ToOwned::to_owned);
        let call = Self::from(kept.summary()?);
        let message = if answer.is_none() && kept.body.is_some() { Some(NOT_JSON) } else { call.message };
        Some(Self { answer, message, ..call })
    }
}

/// What the views ask.
pub(super) struct Requests<'a> {
    pub(super) ledger: &'a dyn Ledger,
    pub(super) replays: &'a Replays,
    pub(super) team: &'a TeamId,
}

impl Requests<'_> {
    /// The call of this id; `None` when it is no call of the team.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn call(&self, id: ReservationId) -> Result<Option<Call>, Refusal> {
        if let Some(open) = self.ledger.open_call(self.team, id).await.map_err(|outage| away(&outage))? {
            return Ok(Some(open.into()));
        }
        if let Some(kept) = self.replays.fetch(self.team, id).await? {
            return Ok(Call::of(&kept));
        }
        // It was settled after it was made.
        let not_before = id.made_at().and_then(|made| made.checked_sub(SKEW_MINUTES.minutes()).ok());
        let mut rows = self.rows(|row| row.id == id, 1, not_before).await?;
        let Some(row) = rows.pop() else { return Ok(None) };
        // A call that has just ended is kept a moment later than it is settled.
        let kept = self.replays.fetch(self.team, id).await?;
        Ok(kept.as_ref().and_then(Call::of).or_else(|| Some(row.into())))
    }

    /// All calls that carried this id, of the newest that are known.
    ///
    /// # Errors
    /// `request_not_found`, `ledger_unavailable`.
    pub(super) async fn carried(&self, id: &RequestId) -> Result<List, Refusal> {
        let mut calls = self.open(|open| open.asked.request_id == id.as_str()).await?;
        let rows = self.rows(|row| row.asked.request_id == id.as_str(), LISTED_MAX, None).await?;
        calls.extend(rows.into_iter().map(|row| (row.id, row.into())));
        calls.extend(self.kept(Some(id)).await?);
        if calls.is_empty() {
            return Err(Refusal::RequestNotFound);
        }
        let mut list = newest(calls);
        self.show_answers(&mut list).await?;
        Ok(list)
    }

    /// The team's open calls, and those of which something is kept.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn all(&self) -> Result<List, Refusal> {
        let mut calls = self.open(|_| true).await?;
        calls.extend(self.kept(None).await?);
        Ok(newest(calls))
    }

    /// Read first: what ends after this is known as open at least, and what ended before it is found in what is read
    /// later.
    async fn open(&self, wanted: impl Fn(&OpenCall) -> bool) -> Result<BTreeMap<ReservationId, Call>, Refusal> {
        let open = self.ledger.open_calls(self.team).await.map_err(|outage| away(&outage))?;
        Ok(open.into_iter().filter(wanted).map(|open| (open.id, open.into())).collect())
    }

    async fn kept(&self, of: Option<&RequestId>) -> Result<impl Iterator<Item = (ReservationId, Call)>, Refusal> {
        let kept = self.replays.list(self.team, of).await?;
        Ok(kept.into_iter().map(|kept| (kept.call.id, kept.into())))
    }

    /// As many answers, from the newest on, as are together no larger than one may be.
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
            if let Some(shown) = self.replays.fetch(self.team, id).await?.as_ref().and_then(Call::of) {
                *call = shown;
            }
        }
        Ok(())
    }

    /// The newest rows that are wanted, none of which was settled before a moment.
    async fn rows(
        &self,
        wanted: impl Fn(&Row) -> bool,
        most: usize,
        not_before: Option<Timestamp>,
    ) -> Result<Vec<Row>, Refusal> {
        let mut found = Vec::new();
        for skip in (0..SEARCHED_MAX).step_by(SEARCHED_AT_ONCE) {
            let read = self.ledger.rows(self.team, skip, SEARCHED_AT_ONCE).await.map_err(|outage| away(&outage))?;
            let oldest = read.rows.last().map(|row| row.settled_at);
            let is_last = read.rows.len() < SEARCHED_AT_ONCE || oldest < not_before;
            found.extend(read.rows.into_iter().filter(&wanted));
            if is_last || found.len() >= most {
                break;
            }
        }
        found.truncate(most);
        Ok(found)
    }
}

/// Ids made later sort later.
fn newest(calls: BTreeMap<ReservationId, Call>) -> List {
    List { requests: calls.into_values().rev().take(LISTED_MAX).collect() }
}
