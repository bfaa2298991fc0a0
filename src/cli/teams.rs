//! `moongate teams`: limits and suspensions of the teams of a running gateway.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Ended;
use super::gateway::Gateway;
use super::table::{self, text, time};
use crate::credits::Credits;
use crate::ledger::TopUpId;
use crate::printable::Printable;
use crate::team::TeamId;

/// Teams: their limits, and whether they may call.
#[derive(Debug, Args)]
pub struct Teams {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Suspend(Suspend),
    Resume(Resume),
    Topup(Topup),
    AcceptLoss(AcceptLoss),
}

/// Lists the teams of a running gateway.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    gateway: Gateway,
}

/// Shows one team with the status of each limit.
#[derive(Debug, Args)]
struct Show {
    /// The team
    #[arg(value_name = "TEAM", value_parser = name)]
    team: String,
    #[command(flatten)]
    gateway: Gateway,
}

/// Suspends a team, or one of its users: every replica refuses them within two seconds.
#[derive(Debug, Args)]
struct Suspend {
    #[command(flatten)]
    whose: Whose,
}

/// Resumes what was suspended with suspend.
#[derive(Debug, Args)]
struct Resume {
    #[command(flatten)]
    whose: Whose,
}

/// Adds credits to a prepaid budget (credits_total) of a team, on top of the configured ones.
#[derive(Debug, Args)]
struct Topup {
    /// The team
    #[arg(value_name = "TEAM", value_parser = name)]
    team: String,
    /// How many credits, such as 500 or 12.50
    #[arg(value_name = "CREDITS")]
    credits: Credits,
    /// A name for this top-up: given again, nothing is added [default: a new one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The budget of this user of the team
    #[arg(long, value_name = "USER", conflicts_with = "key")]
    user: Option<String>,
    /// The budget of this gateway key of the team, by its id
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

/// Opens the budgets of a team that were closed because the ledger's store has lost writes: what is
/// left counts.
#[derive(Debug, Args)]
struct AcceptLoss {
    /// The team
    #[arg(
        value_name = "TEAM",
        value_parser = name,
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    team: Option<String>,
    /// Every team whose budgets are closed
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
struct Whose {
    /// The team
    #[arg(value_name = "TEAM", value_parser = name)]
    team: String,
    /// Only this user of the team
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

/// Parses a name before it goes into a path.
pub(super) fn name(text: &str) -> Result<String, String> {
    let wrong = || "a team's name is 1 to 64 of [A-Za-z0-9._-]".to_owned();
    TeamId::parse(text).map(|team| team.as_str().to_owned()).ok_or_else(wrong)
}

impl Teams {
    /// Runs the command.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        match &self.command {
            Command::List(List { gateway }) => list(gateway, out),
            Command::Show(Show { team, gateway }) => show(team, gateway, out),
            Command::Suspend(Suspend { whose }) => whose.change("suspend", out),
            Command::Resume(Resume { whose }) => whose.change("resume", out),
            Command::Topup(topup) => topup.run(out),
            Command::AcceptLoss(accept) => accept.run(out),
        }
    }
}

fn list(gateway: &Gateway, out: &mut dyn Write) -> Result<(), Ended> {
    let teams = gateway.get("/admin/v1/teams")?;
    if gateway.json {
        return writeln!(out, "{teams}").map_err(Ended::from);
    }
    let row = |team: &Value| {
        let users = users(team).len();
        // The limit with the smallest share left. A shadow limit refuses nothing.
        let refusing = limits(team).filter(|limit| !is_shadow(limit));
        let tightest = refusing.min_by(|one, other| share_left(one).total_cmp(&share_left(other)));
        let tightest = tightest.map(|limit| format!("{} {}", text(&limit["limit"]), status(limit)));
        vec![
            text(&team["team"]),
            access(team).to_owned(),
            if users == 0 { String::new() } else { users.to_string() },
            text(&team["open"]),
            if is_closed(team) { CLOSED.to_owned() } else { tightest.unwrap_or_default() },
        ]
    };
    let rows: Vec<Vec<String>> =
        teams.get("teams").and_then(Value::as_array).into_iter().flatten().map(row).collect();
    let titles = ["TEAM", "ACCESS", "SUSPENDED USERS", "OPEN CALLS", "TIGHTEST LIMIT"];
    table::write(out, &titles, &rows).map_err(Ended::from)
}

fn show(team: &str, gateway: &Gateway, out: &mut dyn Write) -> Result<(), Ended> {
    let team = gateway.get(&format!("/admin/v1/teams/{team}"))?;
    if gateway.json {
        return writeln!(out, "{team}").map_err(Ended::from);
    }
    writeln!(out, "Team {}: {}", text(&team["team"]), access(&team))?;
    let users = users(&team);
    if !users.is_empty() {
        writeln!(out, "Suspended users: {}", Printable::whole(&users.join(", ")))?;
    }
    if is_closed(&team) {
        return writeln!(out, "Its budgets are {CLOSED}").map_err(Ended::from);
    }
    writeln!(out)?;
    let rows: Vec<Vec<String>> = limits(&team).map(|limit| limit_row(limit).into()).collect();
    table::write(out, &LIMIT_TITLES, &rows).map_err(Ended::from)
}

/// The columns of [`limit_row`].
pub(super) const LIMIT_TITLES: [&str; 6] =
    ["LIMIT", "MAX", "USED", "RESERVED", "REMAINING", "RESET"];

/// Status of a limit, as a row of a table.
pub(super) fn limit_row(limit: &Value) -> [String; 6] {
    let shadow = if is_shadow(limit) { " (shadow: refuses nobody)" } else { "" };
    let [max, used, reserved, remaining] =
        ["max", "used", "reserved", "remaining"].map(|name| text(&limit[name]));
    let name = format!("{}{shadow}", text(&limit["limit"]));
    [name, max, used, reserved, remaining, time(&limit["reset"])]
}

fn limits(team: &Value) -> impl Iterator<Item = &Value> {
    team["limits"].as_array().into_iter().flatten()
}

pub(super) fn is_shadow(limit: &Value) -> bool {
    limit["shadow"].as_bool().unwrap_or_default()
}

impl Topup {
    fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let id = self.id.clone().unwrap_or_else(|| TopUpId::new().to_string());
        let mut body = json!({ "id": id, "credits": self.credits.to_string() });
        if let Some(members) = body.as_object_mut() {
            let whose = [("user", &self.user), ("key", &self.key)];
            members.extend(
                whose
                    .into_iter()
                    .filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into()))),
            );
        }
        let answer = self.gateway.post(&format!("/admin/v1/teams/{}/topup", self.team), &body);
        let answer = answer.map_err(|ended| match &ended {
            // The credits may have been added, so a retry needs the same id.
            Ended::Unclear(why) if self.id.is_none() => Ended::Unclear(format!(
                "{why}\nit is not known whether it was added; to try again: --id {id}"
            )),
            Ended::Unclear(_) | Ended::Failed(_) | Ended::Misused(_) | Ended::ReadEnough => ended,
        })?;
        if self.gateway.json {
            return writeln!(out, "{answer}").map_err(Ended::from);
        }
        let done = if answer.get("added") == Some(&Value::Bool(true)) {
            "is added"
        } else {
            "was added before"
        };
        let [limit, max, configured, topped_up] =
            ["limit", "max", "configured", "toppedUp"].map(|name| text(&answer[name]));
        writeln!(out, "Team {}: the top-up {id} of {} {done}", self.team, self.credits)?;
        writeln!(out, "{limit} allows {max}: {configured} configured, {topped_up} topped up")
            .map_err(Ended::from)
    }
}

impl AcceptLoss {
    fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let path = match &self.team {
            Some(team) => format!("/admin/v1/teams/{team}/accept-loss"),
            None => "/admin/v1/accept-loss".to_owned(),
        };
        let answer = self.gateway.post(&path, &json!({}))?;
        if self.gateway.json {
            return writeln!(out, "{answer}").map_err(Ended::from);
        }
        let opened: Vec<&str> = match (&self.team, answer.get("accepted")) {
            (Some(team), Some(Value::Bool(true))) => vec![team],
            (_, Some(Value::Array(teams))) => teams.iter().filter_map(Value::as_str).collect(),
            (_, _) => Vec::new(),
        };
        let text = match opened.is_empty() {
            true => "No budgets were closed: nothing changed".to_owned(),
            false => format!(
                "What is left of them is accepted, their budgets are open: {}",
                opened.join(", ")
            ),
        };
        writeln!(out, "{text}").map_err(Ended::from)
    }
}

impl Whose {
    fn change(&self, verb: &str, out: &mut dyn Write) -> Result<(), Ended> {
        let mut body = Map::new();
        body.extend(self.user.as_deref().map(|user| ("user".to_owned(), user.into())));
        let path = format!("/admin/v1/teams/{}/{verb}", self.team);
        let answer = self.gateway.post(&path, &Value::Object(body))?;
        if self.gateway.json {
            return writeln!(out, "{answer}").map_err(Ended::from);
        }
        let suspension = answer.get("suspension").unwrap_or(&json!({})).clone();
        let who = match &self.user {
            Some(user) => {
                let state =
                    if users(&suspension).contains(user) { "suspended" } else { "not suspended" };
                format!("The user {} of the team {} is {state}", Printable::whole(user), self.team)
            }
            None => format!("The team {}: {}", self.team, access(&suspension)),
        };
        writeln!(out, "{who}").map_err(Ended::from)
    }
}

/// Label of budgets that are closed after a loss.
const CLOSED: &str = "closed: the ledger's store has lost writes (moongate teams accept-loss)";

fn is_closed(team: &Value) -> bool {
    team.get("closed").and_then(Value::as_bool).unwrap_or_default()
}

fn access(team: &Value) -> &'static str {
    let is = |name| team.get(name).and_then(Value::as_bool).unwrap_or_default();
    match (is("by_configuration"), is("by_operator")) {
        (true, true) => "suspended, by the configuration and by an operator",
        (true, false) => "suspended by the configuration",
        (false, true) => "suspended by an operator",
        (false, false) => "may call",
    }
}

fn users(team: &Value) -> Vec<String> {
    let named = |name| {
        team.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    };
    let mut users: Vec<String> = named("users_by_configuration")
        .chain(named("users_by_operator"))
        .map(str::to_owned)
        .collect();
    users.sort();
    users.dedup();
    users
}

fn status(limit: &Value) -> String {
    format!("{} of {} left", text(&limit["remaining"]), text(&limit["max"]))
}

fn share_left(limit: &Value) -> f64 {
    let number = |name| text(&limit[name]).parse::<f64>().unwrap_or_default();
    if number("max") > 0.0 { number("remaining") / number("max") } else { 0.0 }
}
