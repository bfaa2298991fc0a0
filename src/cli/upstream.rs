//! `moongate upstream`: the shared keys, the account's limits, and the queue.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Ended;
use super::gateway::{Gateway, Page};
use super::table::{self, text, time};

/// The shared account: its keys, its limits, and the queue before it.
#[derive(Debug, Args)]
pub struct Upstream {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keys(Keys),
    Limits(Limits),
    Queue(Queue),
}

/// Lists the shared keys, which of them can be used, and why the others rest.
#[derive(Debug, Args)]
struct Keys {
    #[command(flatten)]
    gateway: Gateway,
}

/// Shows what is left of the account's limits, for all keys together and for each.
#[derive(Debug, Args)]
struct Limits {
    #[command(flatten)]
    gateway: Gateway,
}

/// Lists the calls that wait for the shared account, and each team's share of it.
#[derive(Debug, Args)]
struct Queue {
    #[command(flatten)]
    gateway: Gateway,
}

impl Upstream {
    /// Prints the keys, the limits or the queue.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        match &self.command {
            Command::Keys(Keys { gateway }) => shown(gateway, "/admin/v1/upstream-keys", out, keys),
            Command::Limits(Limits { gateway }) => shown(gateway, "/admin/v1/queue", out, limits),
            Command::Queue(Queue { gateway }) => shown(gateway, "/admin/v1/queue", out, queue),
        }
    }
}

fn shown(
    gateway: &Gateway,
    path: &str,
    out: &mut dyn Write,
    people: fn(&Page, &mut dyn Write) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let page = gateway.get(path)?;
    if gateway.json {
        return writeln!(out, "{page}").map_err(Ended::from);
    }
    people(&page, out)
}

fn keys(page: &Page, out: &mut dyn Write) -> Result<(), Ended> {
    let row = |key: &Value| {
        let state = match (&key["healthy"], &key["resting"]) {
            (_, Value::Null) => "used".to_owned(),
            (_, resting) => format!("rests: {}", text(&resting["why"])),
        };
        let until = time(&key["resting"]["until"]);
        vec![text(&key["name"]), text(&key["weight"]), state, until]
    };
    table(page, "keys", &["KEY", "WEIGHT", "STATE", "UNTIL"], row, out)
}

fn limits(page: &Page, out: &mut dyn Write) -> Result<(), Ended> {
    if list(page, "windows").next().is_none() {
        return writeln!(out, "upstream.limits limits nothing").map_err(Ended::from);
    }
    let row = |window: &Value| {
        let key = window["key"].as_str().unwrap_or("all together").to_owned();
        let [name, limit, left] = ["window", "limit", "remaining"].map(|name| text(&window[name]));
        vec![key, name, limit, left]
    };
    table(page, "windows", &["KEY", "WINDOW", "LIMIT", "REMAINING"], row, out)
}

fn queue(page: &Page, out: &mut dyn Write) -> Result<(), Ended> {
    if list(page, "teams").next().is_none() {
        return writeln!(out, "No call is open").map_err(Ended::from);
    }
    let team = |team: &Value| {
        let share = team["share"].as_f64();
        let share = share.map(|share| format!("{:.0} %", share * 100.0)).unwrap_or_default();
        let [name, weight, waiting, running] =
            ["team", "weight", "waiting", "running"].map(|name| text(&team[name]));
        vec![name, weight, share, waiting, running]
    };
    table(page, "teams", &["TEAM", "WEIGHT", "SHARE", "WAITING", "RUNNING"], team, out)?;
    if list(page, "waiting").next().is_none() {
        return Ok(());
    }
    writeln!(out)?;
    let call = |call: &Value| {
        let user = match call["keyName"].as_str() {
            Some(key) => format!("{key} ({})", text(&call["user"])),
            None => text(&call["user"]),
        };
        let [team, model, id] = ["team", "endpoint", "callId"].map(|name| text(&call[name]));
        vec![time(&call["since"]), team, user, model, id]
    };
    table(page, "waiting", &["WAITS SINCE", "TEAM", "USER", "MODEL", "CALL"], call, out)
}

fn list<'a>(page: &'a Page, name: &str) -> impl Iterator<Item = &'a Value> {
    page[name].as_array().into_iter().flatten()
}

fn table(
    page: &Page,
    name: &str,
    titles: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    let rows: Vec<Vec<String>> = list(page, name).map(row).collect();
    table::write(out, titles, &rows).map_err(Ended::from)
}
