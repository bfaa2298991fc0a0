//! `GET /admin/v1/ledger`: a team's rows, newest first, one for each paid call that ended; page by page.

use http::StatusCode;
use jiff::civil::Date;
use serde::Serialize;

use super::accounts::{Account, Accounts, away};
use super::call::{Call, json, page};
use super::csv::{CSV, written};
use super::usage::as_csv;
use crate::account::generations::Generation;
use crate::http::Answer;
use crate::ledger::{ReservationId, Row};
use crate::refusal::Refusal;

/// The parameters of the page.
pub const QUERY: &[&str] = &["team", "from", "to", "after", "limit", "format"];
/// How many rows a page has when nobody says, and at most.
const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;
/// How many are read of the ledger at once.
const AT_ONCE: usize = 1_000;

struct Asked {
    account: Account,
    from: Option<Date>,
    to: Option<Date>,
    after: Option<ReservationId>,
    limit: usize,
    as_csv: bool,
}

impl Asked {
    fn read(accounts: &Accounts, call: &Call) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let mut day = |name: &str| {
            let read = call.asked(name).map(str::parse::<Date>).transpose();
            read.unwrap_or_else(|_| {
                problems.push(format!("{name} must be a day such as 2026-11-22"));
                None
            })
        };
        let (from, to) = (day("from"), day("to"));
        let after = call.asked("after").map(str::parse::<ReservationId>).transpose().unwrap_or_else(|_| {
            problems.push("after must be the id of a row".to_owned());
            None
        });
        let limit = call.asked("limit").map_or(Some(LIMIT_DEFAULT), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
        if limit.is_none() {
            problems.push(format!("limit must be a whole number from 1 to {LIMIT_MAX}"));
        }
        let as_csv = as_csv(call, &mut problems);
        if call.asked("team").is_none() {
            problems.push("team is missing".to_owned());
        }
        let Some(limit) = limit.filter(|_| problems.is_empty()) else {
            return Err(Refusal::InvalidRequest(problems));
        };
        let account = accounts.of(call.asked("team"))?.into_iter().next().ok_or(Refusal::TeamNotFound)?;
        Ok(Self { account, from, to, after, limit, as_csv })
    }

    /// Whether a row's day, whose window admitted it, is one of those asked for.
    fn wants(&self, row: &Row) -> bool {
        let day: Option<Date> = row.day.parse().ok();
        day.is_none_or(|day| self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to))
    }

    /// Whether every older row was admitted before the days asked for: it was settled before them.
    fn is_past(&self, row: &Row) -> bool {
        let settled = row.settled_at.to_zoned(self.account.time_zone.clone()).date();
        self.from.is_some_and(|from| settled < from)
    }
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    team: &'a str,
    rows: Vec<Generation>,
    /// What to give as `after` for the next page; `null` on the last.
    next: Option<String>,
}

/// Answers the page.
///
/// # Errors
/// `invalid_request`, `team_not_found`, `ledger_unavailable`.
pub(super) async fn answer(accounts: &Accounts, call: &Call) -> Result<Answer, Refusal> {
    let asked = Asked::read(accounts, call)?;
    let (rows, more) = rows(accounts, &asked).await?;
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    if asked.as_csv {
        let csv = written(&TITLES, rows.into_iter().map(cells))?;
        return Ok(page(StatusCode::OK, CSV, csv));
    }
    let rows = rows.into_iter().map(Generation::from).collect();
    json(StatusCode::OK, &Page { team: asked.account.team.as_str(), rows, next })
}

/// A page of rows, and whether there are more behind it. Rows that come meanwhile move the others on, so a page begins
/// behind a row and not at a number.
async fn rows(accounts: &Accounts, asked: &Asked) -> Result<(Vec<Row>, bool), Refusal> {
    let (team, mut page) = (&asked.account.team, Vec::new());
    let (mut skip, mut last, mut awaited) = (0, None, asked.after);
    loop {
        let read = accounts.ledger().rows(team, skip, AT_ONCE).await.map_err(|outage| away(&outage))?;
        if read.total == 0 && !asked.account.is_configured {
            return Err(Refusal::TeamNotFound);
        }
        let is_end = read.rows.len() < AT_ONCE;
        skip += read.rows.len();
        // What was seen before stands first when new rows have come since.
        let seen = last.and_then(|last| read.rows.iter().position(|row| row.id == last)).map_or(0, |place| place + 1);
        for row in read.rows.into_iter().skip(seen) {
            last = Some(row.id);
            if let Some(after) = awaited {
                awaited = Some(after).filter(|after| *after != row.id);
            } else if asked.is_past(&row) {
                return Ok((page, false));
            } else if asked.wants(&row) && page.len() < asked.limit {
                page.push(row);
            } else if asked.wants(&row) {
                return Ok((page, true));
            }
        }
        if is_end {
            return Ok((page, false));
        }
    }
}

const TITLES: [&str; 23] = [
    "id",
    "requestId",
    "day",
    "user",
    "credential",
    "model",
    "outcome",
    "httpStatus",
    "code",
    "imagesAsked",
    "secondsAsked",
    "images",
    "videoMilliseconds",
    "reserved",
    "cost",
    "priceVersion",
    "createdAt",
    "sentAt",
    "answeredAt",
    "settledAt",
    "queueMilliseconds",
    "upstreamMilliseconds",
    "key",
];

fn cells(row: Row) -> Vec<String> {
    let (sent_at, answered_at) = (row.sent_at(), row.answered_at());
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let Row { id, outcome, reserved, charged, day, admitted_at, settled_at, asked, came, .. } = row;
    vec![
        id.to_string(),
        asked.request_id,
        day,
        asked.user,
        asked.credential,
        asked.model,
        outcome.name().to_owned(),
        if came.status > 0 { came.status.to_string() } else { String::new() },
        came.code.unwrap_or_default(),
        asked.images.to_string(),
        asked.seconds.to_string(),
        came.images.to_string(),
        came.video_ms.to_string(),
        reserved.to_string(),
        charged.to_string(),
        asked.price_version,
        admitted_at.to_string(),
        moment(sent_at),
        moment(answered_at),
        settled_at.to_string(),
        came.queue_ms.to_string(),
        came.upstream_ms.to_string(),
        asked.key.unwrap_or_default(),
    ]
}
