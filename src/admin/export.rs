//! `GET /admin/v1/ledger`: rows of one team or of all, newest first, in pages. Each row is a paid
//! call that ended.

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderValue, StatusCode};
use jiff::civil::Date;
use serde::Serialize;

use super::accounts::{Account, Accounts, away};
use super::call::{Call, json, page};
use super::csv::{CSV, written};
use super::usage::{KEY_NAME, as_csv};
use crate::account::generations::Generation;
use crate::http::Answer;
use crate::identity::RegistrySync;
use crate::ledger::{LostRows, ReservationId, Row};
use crate::refusal::Refusal;
use crate::team::TeamId;

/// Query parameters of the page.
pub const QUERY: &[&str] = &["team", "from", "to", "after", "limit", "format"];
/// Default and largest number of rows on a page.
const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;
/// Rows read from the ledger at a time.
const AT_ONCE: usize = 1_000;
/// Header of a CSV page: how many rows of its teams were dropped because there were too many.
const X_ROWS_LOST: HeaderName = HeaderName::from_static("x-rows-lost");

struct Query {
    accounts: Vec<Account>,
    /// Whether the query names a team.
    is_named: bool,
    from: Option<Date>,
    to: Option<Date>,
    after: Option<Cursor>,
    limit: usize,
    as_csv: bool,
}

/// Where a page ended: `team/id`, or the id alone if the query names a team.
struct Cursor {
    team: TeamId,
    id: ReservationId,
}

impl Cursor {
    fn read(text: &str, named: Option<&str>) -> Option<Self> {
        let (team, id) = named.map(|team| (team, text)).or_else(|| text.split_once('/'))?;
        Some(Self { team: TeamId::parse(team)?, id: id.parse().ok()? })
    }

    fn text(&self, is_named: bool) -> String {
        if is_named { self.id.to_string() } else { format!("{}/{}", self.team, self.id) }
    }
}

impl Query {
    async fn read(accounts: &Accounts, call: &Call) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let mut day = |name: &str| {
            let read = call.query(name).map(str::parse::<Date>).transpose();
            read.unwrap_or_else(|_| {
                problems.push(format!("{name} must be a day such as 2026-11-22"));
                None
            })
        };
        let (from, to) = (day("from"), day("to"));
        let named = call.query("team");
        let after = call.query("after").map(|text| Cursor::read(text, named));
        if matches!(after, Some(None)) {
            problems.push("after must be what the page before it gave as next".to_owned());
        }
        let limit = call.query("limit").map_or(Some(LIMIT_DEFAULT), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
        if limit.is_none() {
            problems.push(format!("limit must be a whole number from 1 to {LIMIT_MAX}"));
        }
        let as_csv = as_csv(call, &mut problems);
        let Some(limit) = limit.filter(|_| problems.is_empty()) else {
            return Err(Refusal::InvalidRequest(problems));
        };
        let accounts = accounts.of(named).await?;
        Ok(Self {
            accounts,
            is_named: named.is_some(),
            from,
            to,
            after: after.flatten(),
            limit,
            as_csv,
        })
    }

    /// Whether the row's day, by which it was counted, is in the query.
    fn includes(&self, row: &Row) -> bool {
        let day: Option<Date> = row.day.parse().ok();
        day.is_none_or(|day| {
            self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
        })
    }

    /// Whether every older row was admitted before the days of the query.
    fn is_past(&self, row: &Row, account: &Account) -> bool {
        let settled = row.settled_at.to_zoned(account.time_zone.clone()).date();
        self.from.is_some_and(|from| settled < from)
    }
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    /// The team in the query; `null` for all.
    team: Option<&'a str>,
    rows: Vec<ExportedRow>,
    /// Rows of the teams on this page that were dropped because there were too many.
    lost: Vec<Lost>,
    /// Value of `after` for the next page; `null` on the last.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedRow {
    team: String,
    /// Name of the gateway key that is the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_name: Option<String>,
    #[serde(flatten)]
    generation: Generation,
}

#[derive(Debug, Serialize)]
struct Lost {
    team: String,
    #[serde(flatten)]
    rows: LostRows,
}

/// Rows of a page.
#[derive(Default)]
struct Found {
    rows: Vec<(TeamId, Row)>,
    lost: Vec<Lost>,
    /// Whether more rows follow.
    more: bool,
}

/// Answers the page.
///
/// # Errors
/// `invalid_request`, `team_not_found`, `ledger_unavailable`.
pub(super) async fn answer(
    accounts: &Accounts,
    names: &RegistrySync,
    call: &Call,
) -> Result<Answer, Refusal> {
    let query = Query::read(accounts, call).await?;
    let Found { rows, lost, more } = found(accounts, &query).await?;
    if query.as_csv {
        let gone: u64 = lost.iter().map(|lost| lost.rows.all()).sum();
        let named = rows.into_iter().map(|(team, row)| {
            let key_name = names.key_name(&row.summary.user).unwrap_or_default();
            cells(team, row, key_name)
        });
        let mut answer = page(StatusCode::OK, CSV, written(&TITLES, named)?);
        answer.headers_mut().insert(X_ROWS_LOST, HeaderValue::from(gone));
        return Ok(answer);
    }
    let last =
        rows.last().filter(|_| more).map(|(team, row)| Cursor { team: team.clone(), id: row.id });
    let next = last.map(|place| place.text(query.is_named));
    let line = |(team, row): (TeamId, Row)| {
        let key_name = names.key_name(&row.summary.user);
        ExportedRow { team: team.to_string(), key_name, generation: row.into() }
    };
    let rows = rows.into_iter().map(line).collect();
    let team =
        query.accounts.first().filter(|_| query.is_named).map(|account| account.team.as_str());
    json(StatusCode::OK, &Page { team, rows, lost, next })
}

/// Rows of a page, by team name.
async fn found(accounts: &Accounts, query: &Query) -> Result<Found, Refusal> {
    let mut found = Found::default();
    let comes =
        |account: &&Account| query.after.as_ref().is_none_or(|place| place.team <= account.team);
    for account in query.accounts.iter().filter(comes) {
        add_rows(accounts, query, account, &mut found).await?;
        if found.more {
            break;
        }
    }
    Ok(found)
}

/// Adds a team's rows until the page is full. New rows shift the others, so a page begins after a
/// row and not at an offset.
async fn add_rows(
    accounts: &Accounts,
    query: &Query,
    account: &Account,
    found: &mut Found,
) -> Result<(), Refusal> {
    let team = &account.team;
    let mut awaited =
        query.after.as_ref().filter(|place| place.team == *team).map(|place| place.id);
    let (mut skip, mut last) = (0, None);
    loop {
        let read =
            accounts.ledger().rows(team, skip, AT_ONCE).await.map_err(|outage| away(&outage))?;
        if read.total == 0 && !account.is_configured && query.is_named {
            return Err(Refusal::TeamNotFound);
        }
        if skip == 0 && read.lost.all() > 0 {
            found.lost.push(Lost { team: team.to_string(), rows: read.lost });
        }
        let is_end = read.rows.len() < AT_ONCE;
        skip += read.rows.len();
        // Rows of the page before come first if there are new ones.
        let seen = last
            .and_then(|last| read.rows.iter().position(|row| row.id == last))
            .map_or(0, |place| place + 1);
        for row in read.rows.into_iter().skip(seen) {
            last = Some(row.id);
            if let Some(after) = awaited {
                awaited = Some(after).filter(|after| *after != row.id);
            } else if query.is_past(&row, account) {
                return Ok(());
            } else if query.includes(&row) && found.rows.len() < query.limit {
                found.rows.push((team.clone(), row));
            } else if query.includes(&row) {
                found.more = true;
                return Ok(());
            }
        }
        if is_end {
            return Ok(());
        }
    }
}

const TITLES: [&str; 25] = [
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
    KEY_NAME,
    "team",
];

fn cells(team: TeamId, row: Row, key_name: String) -> Vec<String> {
    let (sent_at, answered_at) = (row.sent_at(), row.answered_at());
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let Row {
        id, outcome, reserved, charged, day, admitted_at, settled_at, summary, result, ..
    } = row;
    let summary = Arc::unwrap_or_clone(summary);
    vec![
        id.to_string(),
        summary.request_id,
        day,
        summary.user,
        summary.credential,
        summary.model,
        outcome.name().to_owned(),
        if result.status > 0 { result.status.to_string() } else { String::new() },
        result.code.unwrap_or_default(),
        summary.images.to_string(),
        summary.seconds.to_string(),
        result.images.to_string(),
        result.video_ms.to_string(),
        reserved.to_string(),
        charged.to_string(),
        summary.price_version,
        admitted_at.to_string(),
        moment(sent_at),
        moment(answered_at),
        settled_at.to_string(),
        result.queue_ms.to_string(),
        result.upstream_ms.to_string(),
        summary.key.unwrap_or_default(),
        key_name,
        team.to_string(),
    ]
}
