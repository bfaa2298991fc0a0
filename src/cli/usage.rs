//! `moongate usage`: shows what was spent, from a running gateway.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Ended;
use super::gateway::Gateway;
use super::table::{self, text, time};

/// Rows requested at a time.
const ROWS_AT_ONCE: usize = 5_000;

/// Shows what was spent: by team, user, model and day, as a statement of a month, or call by call.
#[derive(Clone, Debug, Args)]
pub struct Usage {
    #[command(flatten)]
    gateway: Gateway,
    /// today, week, month, year, all, a month such as 2026-11, or days such as
    /// 2026-11-01..2026-11-22; in each team's time zone
    #[arg(long, value_name = "PERIOD", default_value = "month")]
    period: String,
    /// Only this team [default: every team, also one that has left the configuration]
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Groups of the lines; several, separated by commas
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',', default_value = "team")]
    by: Vec<Part>,
    /// The statement of a month such as 2026-11: what each user of the team spent on each model,
    /// with the sum
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["period", "by", "calls"])]
    statement: Option<String>,
    /// Every paid call on these days, team by team, newest first
    #[arg(long, conflicts_with_all = ["by", "period"])]
    calls: bool,
    /// With --calls: the first day, such as 2026-11-22 [default: as far back as there are calls]
    #[arg(long, value_name = "DAY", requires = "calls")]
    from: Option<String>,
    /// With --calls: the last day [default: today]
    #[arg(long, value_name = "DAY", requires = "calls")]
    to: Option<String>,
    /// Prints CSV for spreadsheets
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Team,
    User,
    Model,
    Day,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User => "user",
            Self::Model => "model",
            Self::Day => "day",
        }
    }
}

impl Usage {
    /// Reads the report and prints it.
    ///
    /// # Errors
    /// The gateway refuses or does not answer, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        if self.calls {
            return self.calls(out);
        }
        let (period, by) = match &self.statement {
            Some(month) if self.team.is_none() => {
                (month.as_str(), vec![Part::Team, Part::User, Part::Model])
            }
            Some(month) => (month.as_str(), vec![Part::User, Part::Model]),
            None => (self.period.as_str(), self.by.clone()),
        };
        let by: Vec<&str> = by.into_iter().map(Part::name).collect();
        let path =
            self.path("/admin/v1/usage", &[("period", Some(period)), ("by", Some(&by.join(",")))]);
        if self.csv {
            return out.write_all(&self.gateway.get_as_it_is(&path)?).map_err(Ended::from);
        }
        let report = self.gateway.get(&path)?;
        if self.gateway.json {
            return writeln!(out, "{report}").map_err(Ended::from);
        }
        if let Some(month) = &self.statement {
            head(out, month, &report)?;
        }
        print(out, &by, &report)?;
        lost(&report)?;
        // The account is shared by all teams, so its balance says nothing about one of them.
        if self.team.is_none() { balances(out, &report) } else { Ok(()) }
    }

    fn path(&self, page: &str, parameters: &[(&str, Option<&str>)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let team = ("team", self.team.as_deref());
        let format = ("format", self.csv.then_some("csv"));
        for (name, value) in parameters.iter().copied().chain([team, format]) {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        format!("{page}?{}", query.finish())
    }

    /// Prints page after page; each begins after the last row of the one before.
    fn calls(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let (limit, mut after) = (ROWS_AT_ONCE.to_string(), None::<String>);
        let (mut lines, mut is_first) = (Vec::new(), true);
        loop {
            let parameters = [
                ("from", self.from.as_deref()),
                ("to", self.to.as_deref()),
                ("after", after.as_deref()),
                ("limit", Some(limit.as_str())),
            ];
            let path = self.path("/admin/v1/ledger", &parameters);
            after = if self.csv {
                self.csv_page(out, &path, is_first)?
            } else {
                self.page(out, &path, &mut lines)?
            };
            is_first = false;
            if after.is_none() {
                break;
            }
        }
        if !self.csv && !self.gateway.json {
            let titles = [
                "CREATED", "CALL", "REQUEST", "USER", "MODEL", "OUTCOME", "STATUS", "CREDITS",
                "SECONDS",
            ];
            let titles = [&["TEAM"][usize::from(self.team.is_some())..], &titles].concat();
            table::write(out, &titles, &lines)?;
        }
        // Asks also for a team of which only rows are left.
        let path =
            Self { csv: false, ..self.clone() }.path("/admin/v1/usage", &[("period", Some("all"))]);
        lost(&*self.gateway.get(&path)?)
    }

    /// A page as CSV, with titles only on the first. No cell contains a newline, so each line is a
    /// row; id and team, first and last, need no quotes.
    fn csv_page(
        &self,
        out: &mut dyn Write,
        path: &str,
        is_first: bool,
    ) -> Result<Option<String>, Ended> {
        let page = self.gateway.get_as_it_is(path)?;
        let text = String::from_utf8_lossy(&page);
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(usize::from(!is_first)) {
            write!(out, "{line}\r\n")?;
        }
        let last = lines.last().filter(|_| lines.len() == ROWS_AT_ONCE + 1);
        let (id, team) = (
            last.and_then(|line| line.split(',').next()),
            last.and_then(|line| line.rsplit(',').next()),
        );
        Ok(id.zip(team).map(|(id, team)| {
            if self.team.is_some() { id.to_owned() } else { format!("{team}/{id}") }
        }))
    }

    /// A page: for programs, each row on a line as the gateway wrote it; for people, rows are
    /// collected until the column widths are known.
    fn page(
        &self,
        out: &mut dyn Write,
        path: &str,
        lines: &mut Vec<Vec<String>>,
    ) -> Result<Option<String>, Ended> {
        const COLUMNS: [&str; 8] =
            ["id", "requestId", "user", "endpoint", "outcome", "httpStatus", "cost", "latency"];
        let page = self.gateway.get(path)?;
        if self.gateway.json {
            for row in page.raw_rows() {
                writeln!(out, "{row}")?;
            }
        }
        for row in page["rows"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let team = self.team.is_none().then(|| text(&row["team"]));
            let first = team.into_iter().chain([time(&row["createdAt"])]);
            lines.push(first.chain(COLUMNS.iter().map(|name| about(row, name))).collect());
        }
        Ok(page["next"].as_str().map(str::to_owned))
    }
}

fn head(out: &mut dyn Write, month: &str, report: &Value) -> Result<(), Ended> {
    for covered in report["teams"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let [team, zone, from, to] =
            ["team", "timeZone", "from", "to"].map(|name| text(&covered[name]));
        writeln!(out, "Statement of team {team} for {month}: {from} to {to}, {zone}")?;
    }
    writeln!(out).map_err(Ended::from)
}

/// Prints to stderr, since the output may be for a program, whose calls cannot all be listed.
fn lost(report: &Value) -> Result<(), Ended> {
    for covered in report["teams"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let (team, rows) = (text(&covered["team"]), &covered["lostRows"]);
        for (kind, count, until) in [
            ("cost nothing", &rows["free"], &rows["freeUntil"]),
            ("cost something", &rows["paid"], &rows["paidUntil"]),
        ] {
            if count.as_u64().is_some_and(|count| count > 0) {
                writeln!(
                    std::io::stderr(),
                    "Team {team}: {count} rows of calls that {kind}, settled until {}, gave way \
                     to newer ones (ledger.rows_max); the sums have them",
                    text(until)
                )?;
            }
        }
    }
    Ok(())
}

/// A group of a row for people, with the names of gateway keys.
fn about(row: &Value, name: &str) -> String {
    match (name, row["keyName"].as_str()) {
        ("user", Some(key)) => format!("{key} ({})", text(&row[name])),
        (_, _) => text(&row[name]),
    }
}

/// Prints a line for each row, and the sum.
fn print(out: &mut dyn Write, by: &[&str], report: &Value) -> Result<(), Ended> {
    const NUMBERS: [(&str, &str); 9] = [
        ("requests", "CALLS"),
        ("completed", "COMPLETED"),
        ("failed", "FAILED"),
        ("refused", "REFUSED"),
        ("unknown", "UNKNOWN"),
        ("images", "IMAGES"),
        ("videoSeconds", "VIDEO SECONDS"),
        ("averageLatency", "LATENCY"),
        ("cost", "CREDITS"),
    ];
    let capitals: Vec<String> = by.iter().map(|name| name.to_uppercase()).collect();
    let titles: Vec<&str> = capitals
        .iter()
        .map(String::as_str)
        .chain(NUMBERS.iter().map(|(_, title)| *title))
        .collect();
    let numbers =
        |row: &Value| NUMBERS.iter().map(|(name, _)| text(&row[*name])).collect::<Vec<_>>();
    let line = |row: &Value| by.iter().map(|name| about(row, name)).chain(numbers(row)).collect();
    let mut lines: Vec<Vec<String>> =
        report["rows"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(line).collect();
    let sum = std::iter::once("TOTAL".to_owned()).chain(by.iter().skip(1).map(|_| String::new()));
    lines.push(sum.chain(numbers(&report["totals"])).collect());
    table::write(out, &titles, &lines).map_err(Ended::from)
}

/// Prints a line for each shared key with a known balance.
fn balances(out: &mut dyn Write, report: &Value) -> Result<(), Ended> {
    for held in report["balances"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let [key, balance, drift] = ["key", "balance", "drift"].map(|name| text(&held[name]));
        let [since, at] = ["since", "at"].map(|name| time(&held[name]));
        writeln!(out, "Shared key {key}: balance {balance} at {at}; drift {drift} since {since}")?;
    }
    Ok(())
}
