//! `GET /admin/v1/usage`: totals of calls in a period, by team, user, model and day.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::accounts::{Account, Accounts, away};
use super::call::{Call, json, page};
use super::csv::{CSV, written};
use crate::account::query::Period;
use crate::account::usage::Totals;
use crate::credits::Credits;
use crate::http::Answer;
use crate::identity::RegistrySync;
use crate::ledger::{Days, LostRows, Sums, Usage};
use crate::refusal::Refusal;
use crate::upstream::Upstream;
use crate::upstream::balance::{Balance, Drift};
use crate::upstream::keys::Key;

/// Query parameters of the page.
pub const QUERY: &[&str] = &["period", "team", "by", "format"];
/// Name of the gateway key, for a user that is one.
pub(super) const KEY_NAME: &str = "keyName";

/// What the lines are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Team,
    User,
    Model,
    Day,
}

impl Part {
    const ALL: [Self; 4] = [Self::Team, Self::User, Self::Model, Self::Day];

    const fn name(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User => "user",
            Self::Model => "model",
            Self::Day => "day",
        }
    }

    fn of(self, account: &Account, cell: &Usage) -> String {
        match self {
            Self::Team => account.team.to_string(),
            Self::User => cell.user.clone(),
            Self::Model => cell.model.clone(),
            Self::Day => cell.day.to_string(),
        }
    }
}

/// Days of the report: a named period, a month, or a range.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Span {
    UpToToday(Period),
    Days(Days),
}

impl Span {
    fn read(text: &str) -> Option<Self> {
        if let Some(period) = Period::ALL.into_iter().find(|period| period.name() == text) {
            return Some(Self::UpToToday(period));
        }
        if let Some((first, last)) = text.split_once("..") {
            return Some(Self::Days(first.parse().ok()?..=last.parse().ok()?));
        }
        // A month is the name of its first day without the day.
        let first: Date = format!("{text}-01").parse().ok().filter(|_| text.len() == 7)?;
        Some(Self::Days(first..=first.last_of_month()))
    }
}

struct Query {
    span: Span,
    by: Vec<Part>,
    as_csv: bool,
}

impl Query {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let span = Span::read(call.query("period").unwrap_or("month"));
        if span.is_none() {
            problems.push(
                "period must be today, week, month, year, all, a month such as 2026-11, or days \
                 such as 2026-11-01..2026-11-22"
                    .to_owned(),
            );
        }
        let part = |name: &str| Part::ALL.into_iter().find(|part| part.name() == name);
        let by: Option<Vec<Part>> =
            call.query("by").unwrap_or("team").split(',').map(part).collect();
        let by = by.filter(|parts| {
            parts.iter().enumerate().all(|(place, part)| !parts[..place].contains(part))
        });
        if by.is_none() {
            problems
                .push("by must be some of team, user, model, day, separated by commas".to_owned());
        }
        let as_csv = as_csv(call, &mut problems);
        match (span, by) {
            (Some(span), Some(by)) if problems.is_empty() => Ok(Self { span, by, as_csv }),
            (_, _) => Err(Refusal::InvalidRequest(problems)),
        }
    }
}

/// Whether the answer is to be CSV.
pub(super) fn as_csv(call: &Call, problems: &mut Vec<String>) -> bool {
    match call.query("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            problems.push("format must be json or csv".to_owned());
            false
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    period: String,
    teams: Vec<Covered>,
    rows: Vec<UsageRow>,
    totals: Totals,
    /// Balances of the shared keys' accounts, as this replica last read them.
    balances: Vec<KeyBalance>,
}

/// A line: its groups and its numbers.
#[derive(Debug, Serialize)]
struct UsageRow {
    #[serde(flatten)]
    about: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    totals: Totals,
}

/// The balance of a shared key's account, compared with the ledger of all teams.
#[derive(Debug, Serialize)]
struct KeyBalance {
    key: String,
    balance: Credits,
    drift: Drift,
    since: Timestamp,
    at: Timestamp,
}

impl KeyBalance {
    fn of(key: &Key) -> Option<Self> {
        let Balance { credits, drift, since, at } = key.balance()?;
        Some(Self { key: key.name.to_string(), balance: credits, drift, since, at })
    }
}

/// Days of a team in the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Covered {
    team: String,
    time_zone: String,
    from: Option<Date>,
    to: Date,
    /// Rows of single calls that were dropped because there were too many; the totals include them.
    lost_rows: Option<LostRows>,
}

/// Answers the page.
///
/// # Errors
/// `invalid_request`, `team_not_found`, `ledger_unavailable`.
pub(super) async fn answer(
    accounts: &Accounts,
    upstream: &Upstream,
    names: &RegistrySync,
    call: &Call,
) -> Result<Answer, Refusal> {
    let query = Query::read(call)?;
    let mut teams = Vec::new();
    let (mut lines, mut totals) = (BTreeMap::<Vec<String>, Sums>::new(), Sums::default());
    let named = call.query("team");
    for account in accounts.of(named).await? {
        let days = match &query.span {
            Span::UpToToday(period) => period.days(accounts.today(&account).await?),
            Span::Days(days) => days.clone(),
        };
        let usage = accounts
            .ledger()
            .usage(&account.team, days.clone())
            .await
            .map_err(|outage| away(&outage))?;
        if !account.is_configured && usage.is_empty() {
            match named {
                Some(_) => return Err(Refusal::TeamNotFound),
                // Left out: the team has left the configuration and spent nothing in the period.
                None => continue,
            }
        }
        for cell in &usage {
            let key = query.by.iter().map(|part| part.of(&account, cell)).collect();
            *lines.entry(key).or_default() += cell.sums;
            totals += cell.sums;
        }
        let (first, to) = days.into_inner();
        let from =
            if first == Date::MIN { usage.first().map(|cell| cell.day) } else { Some(first) };
        let time_zone = account.time_zone.iana_name().unwrap_or("UTC").to_owned();
        let lost =
            accounts.ledger().rows(&account.team, 0, 0).await.map_err(|outage| away(&outage))?.lost;
        let lost_rows = Some(lost).filter(|lost| lost.all() > 0);
        teams.push(Covered { team: account.team.to_string(), time_zone, from, to, lost_rows });
    }
    let by: Vec<&'static str> = query.by.iter().map(|part| part.name()).collect();
    let user = query.by.iter().position(|part| *part == Part::User);
    let key_name = |key: &[String]| user.and_then(|user| names.key_name(&key[user]));
    if query.as_csv {
        let numbers = Totals::from(Sums::default()).cells().map(|(name, _)| name);
        let titles: Vec<&str> =
            by.iter().copied().chain(numbers).chain(user.map(|_| KEY_NAME)).collect();
        let row = |(key, sums): (Vec<String>, Sums)| {
            let name = user.map(|_| key_name(&key).unwrap_or_default());
            let numbers = Totals::from(sums).cells().map(|(_, cell)| cell);
            key.into_iter().chain(numbers).chain(name).collect()
        };
        return Ok(page(StatusCode::OK, CSV, written(&titles, lines.into_iter().map(row))?));
    }
    let row = |(key, sums): (Vec<String>, Sums)| {
        let name = key_name(&key).map(|name| (KEY_NAME, name));
        UsageRow {
            about: by.iter().copied().zip(key).chain(name).collect(),
            totals: Totals::from(sums),
        }
    };
    let rows = lines.into_iter().map(row).collect();
    let period = call.query("period").unwrap_or("month").to_owned();
    // Balances are shown only while reconciliation updates them: those read before a reload are out
    // of date.
    let reconciled = upstream.reconcile.as_ref().map(|_| upstream.keys.iter());
    let balances = reconciled.into_iter().flatten().filter_map(|key| KeyBalance::of(key)).collect();
    json(StatusCode::OK, &Report { period, teams, rows, totals: Totals::from(totals), balances })
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_word_a_month_or_days() {
        let days = |text: &str| match Span::read(text) {
            Some(Span::Days(days)) => format!("{} {}", days.start(), days.end()),
            span => format!("{span:?}"),
        };
        assert_eq!(days("2028-02"), "2028-02-01 2028-02-29");
        assert_eq!(days("2026-12-31..2027-01-01"), "2026-12-31 2027-01-01");
        assert_eq!(Span::read("week"), Some(Span::UpToToday(Period::Week)));
        for wrong in [
            "",
            "2026",
            "2026-13",
            "2026-1",
            "2026-11-01",
            "..",
            "2026-11-31..2026-12-01",
            "november",
        ] {
            assert_eq!(Span::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_s_numbers_are_those_of_a_view() {
        let totals = Totals::from(Sums::default());
        let shown = serde_json::to_value(&totals).expect("JSON");
        let mut names: Vec<&str> =
            shown.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut numbers = totals.cells().map(|(name, _)| name);
        names.sort_unstable();
        numbers.sort_unstable();
        assert_eq!(names, numbers);
    }

    #[test]
    fn the_smallest_amount_is_a_decimal_in_json_and_csv() {
        let totals = Totals::from(Sums { credits: Credits::from_micros(2), ..Sums::default() });
        assert!(totals.cells().contains(&("cost", "0.000002".to_owned())));
        let line = serde_json::to_string(&UsageRow {
            about: BTreeMap::from([("user", "ann".to_owned())]),
            totals,
        });
        assert!(line.expect("JSON").contains(r#""cost":0.000002"#));
    }
}
