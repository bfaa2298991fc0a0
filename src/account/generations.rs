//! `GET /api/generations`: the team's calls, newest first, in pages.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::named::{Named, Names};
use super::query::{Page, Period};
use super::reading::away;
use super::usage::{Stats, seconds};
use crate::credits::Credits;
use crate::ledger::{Ledger, LostRows, Outcome, Row, Sums};
use crate::model::ModelId;
use crate::refusal::Refusal;
use crate::team::Team;

/// Most rows searched for those of one model.
const SEARCHED_MAX: usize = 10_000;
/// How many of them are read at a time.
const SEARCHED_AT_ONCE: usize = 500;

/// A page of calls.
#[derive(Debug, Serialize)]
pub struct List {
    generations: Vec<Named<Generation>>,
    /// Statistics of the current month.
    stats: Stats,
    pagination: Pagination,
    /// Rows dropped because there were too many; those that cost nothing go first.
    lost: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    limit: usize,
    offset: usize,
    /// Number of all rows; `null` when the page is for one model.
    total: Option<u64>,
    has_more: bool,
}

/// A call, as in every report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    id: String,
    request_id: String,
    endpoint: String,
    /// `completed`, `failed` (not executed, costs nothing) or `unknown`.
    status: &'static str,
    /// The ledger's outcome, which distinguishes failures: `released` was never sent; `refused`
    /// was, and counts as a request.
    outcome: &'static str,
    http_status: Option<u16>,
    code: Option<String>,
    cost: Credits,
    /// Credits reserved while it ran.
    reserved: Credits,
    /// Seconds in the queue and at the upstream.
    latency: Option<f64>,
    images: u64,
    video_seconds: f64,
    user: String,
    credential: String,
    price_version: String,
    created_at: Timestamp,
    sent_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    settled_at: Timestamp,
}

impl From<Row> for Generation {
    fn from(row: Row) -> Self {
        let (sent_at, answered_at) = (row.sent_at(), row.answered_at());
        let Row {
            id, outcome, reserved, charged, admitted_at, settled_at, summary, result, ..
        } = row;
        let summary = Arc::unwrap_or_clone(summary);
        let latency = seconds(result.queue_ms.saturating_add(result.upstream_ms));
        Self {
            id: id.to_string(),
            request_id: summary.request_id,
            endpoint: summary.model,
            status: status(outcome),
            outcome: outcome.name(),
            http_status: Some(result.status).filter(|status| *status > 0),
            code: result.code,
            cost: charged,
            reserved,
            latency: Some(latency).filter(|_| result.status > 0),
            images: result.images,
            video_seconds: seconds(result.video_ms),
            user: summary.user,
            credential: summary.credential,
            price_version: summary.price_version,
            created_at: admitted_at,
            sent_at,
            answered_at,
            settled_at,
        }
    }
}

/// Firemoon's term, where it has one.
pub(super) const fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Charged => "completed",
        Outcome::Released | Outcome::Refused => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// A page of the team's calls, and the month's statistics.
///
/// # Errors
/// `ledger_unavailable`.
pub async fn list(
    ledger: &dyn Ledger,
    team: &Team,
    names: Names<'_>,
    page: &Page,
    at: Timestamp,
) -> Result<List, Refusal> {
    let today = at.to_zoned(team.time_zone.clone()).date();
    let of_model =
        |model: &str| page.endpoint.as_ref().is_none_or(|endpoint| endpoint.as_str() == model);
    let usage =
        ledger.usage(&team.id, Period::Month.days(today)).await.map_err(|outage| away(&outage))?;
    let mut sums = Sums::default();
    usage.iter().filter(|cell| of_model(&cell.model)).for_each(|cell| sums += cell.sums);
    let (rows, total, has_more, lost) = match &page.endpoint {
        None => {
            let read = ledger
                .rows(&team.id, page.offset, page.limit)
                .await
                .map_err(|outage| away(&outage))?;
            let has_more = (page.offset.saturating_add(read.rows.len()) as u64) < read.total;
            (read.rows, Some(read.total), has_more, read.lost)
        }
        Some(endpoint) => {
            let (rows, has_more, lost) = search(ledger, team, endpoint, page).await?;
            (rows, None, has_more, lost)
        }
    };
    let pagination = Pagination { limit: page.limit, offset: page.offset, total, has_more };
    Ok(List {
        generations: rows
            .into_iter()
            .map(|row| names.with(&Arc::clone(&row.summary).user, Generation::from(row)))
            .collect(),
        stats: Stats::from(sums),
        pagination,
        lost: lost.all(),
    })
}

/// Rows of one model for the page, whether more follow among the newest [`SEARCHED_MAX`], and how
/// many rows were dropped.
async fn search(
    ledger: &dyn Ledger,
    team: &Team,
    endpoint: &ModelId,
    page: &Page,
) -> Result<(Vec<Row>, bool, LostRows), Refusal> {
    let mut found = Vec::new();
    let (mut passed, mut lost) = (0, LostRows::default());
    for skip in (0..SEARCHED_MAX).step_by(SEARCHED_AT_ONCE) {
        let read =
            ledger.rows(&team.id, skip, SEARCHED_AT_ONCE).await.map_err(|outage| away(&outage))?;
        let is_last = read.rows.len() < SEARCHED_AT_ONCE;
        lost = read.lost;
        for row in read.rows.into_iter().filter(|row| row.summary.model == endpoint.as_str()) {
            if passed < page.offset {
                passed += 1;
            } else if found.len() < page.limit {
                found.push(row);
            } else {
                return Ok((found, true, lost));
            }
        }
        if is_last {
            break;
        }
    }
    Ok((found, false, lost))
}
