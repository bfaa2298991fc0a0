//! `moongate limits TEAM`: status of the limits of every level of a team.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::Ended;
use super::gateway::Gateway;
use super::table::{self, text};
use super::teams::{LIMIT_TITLES, limit_row, name};

/// Shows the status of every limit of a team, its users and its keys with limits of their own.
#[derive(Debug, Args)]
pub struct Limits {
    /// The team
    #[arg(value_name = "TEAM", value_parser = name)]
    team: String,
    /// Only this user of the team; a gateway key without a user is key:ID
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

impl Limits {
    /// Prints the limits.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let page = self.gateway.get(&format!("/admin/v1/teams/{}/limits", self.team))?;
        if self.gateway.json {
            return writeln!(out, "{page}").map_err(Ended::from);
        }
        let levels = page["levels"].as_array().into_iter().flatten();
        let wanted = levels.filter(|level| match &self.user {
            Some(user) => level["level"] == "user" && level["name"] == user.as_str(),
            None => true,
        });
        let rows: Vec<Vec<String>> = wanted.flat_map(rows).collect();
        if let (Some(user), true) = (&self.user, rows.is_empty()) {
            return Err(Ended::Failed(format!(
                "no user {user:?} of the team has called this month or has a key"
            )));
        }
        let titles: Vec<&str> =
            ["LEVEL", "WHO", "SPENT THIS MONTH"].into_iter().chain(LIMIT_TITLES).collect();
        table::write(out, &titles, &rows)?;
        match page["hidden"].as_u64() {
            None | Some(0) => Ok(()),
            Some(hidden) => writeln!(out, "and {hidden} more users and keys, which spent less")
                .map_err(Ended::from),
        }
    }
}

/// One row per limit; one row for a level without limits.
fn rows(level: &Value) -> Vec<Vec<String>> {
    let who = match level["keyName"].as_str() {
        Some(key) => format!("{} ({key})", text(&level["name"])),
        None => text(&level["name"]),
    };
    let who = if level["suspended"] == true { format!("{who}, suspended") } else { who };
    let spent = text(&level["month"]["cost"]);
    let head = [text(&level["level"]), who, spent];
    let limits = level["limits"].as_array().map(Vec::as_slice).unwrap_or_default();
    if limits.is_empty() {
        let none = ["none"].map(str::to_owned);
        return vec![head.into_iter().chain(none).collect()];
    }
    limits.iter().map(|limit| head.clone().into_iter().chain(limit_row(limit)).collect()).collect()
}
