//! `moongate refusals [TEAM]`: which calls were refused lately, and why.

use std::cmp::Reverse;
use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::Ended;
use super::gateway::{Gateway, Page};
use super::table::{self, text, time};
use super::teams::name;

/// Lists calls that were refused lately, newest first, whichever replica refused them.
#[derive(Debug, Args)]
pub struct Refusals {
    /// Only this team [default: every team]
    #[arg(value_name = "TEAM", value_parser = name)]
    team: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

const TITLES: [&str; 9] =
    ["WHEN", "TEAM", "USER", "MODEL", "STATUS", "CODE", "LIMIT", "CALL", "MESSAGE"];

impl Refusals {
    /// Prints the refused calls.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let pages = self.pages()?;
        if self.gateway.json {
            // One team's page as the gateway wrote it; for all teams, a list of such pages.
            return match (&self.team, pages.first()) {
                (Some(_), Some(page)) => writeln!(out, "{page}"),
                _ => {
                    let pages: Vec<String> = pages.iter().map(Page::to_string).collect();
                    writeln!(out, "{{\"teams\":[{}]}}", pages.join(","))
                }
            }
            .map_err(Ended::from);
        }
        let calls = |page: &Page| page["refusals"].as_array().cloned().unwrap_or_default();
        let mut refused: Vec<(String, Value)> = pages
            .iter()
            .flat_map(|page| calls(page).into_iter().map(|call| (text(&page["team"]), call)))
            .collect();
        // All are written in one form and one zone, so that they compare as text.
        refused.sort_by_key(|(_, call)| Reverse(text(&call["createdAt"])));
        let rows: Vec<Vec<String>> = refused.iter().map(|(team, call)| row(team, call)).collect();
        table::write(out, &TITLES, &rows).map_err(Ended::from)
    }

    fn pages(&self) -> Result<Vec<Page>, Ended> {
        let page = |team: &str| self.gateway.get(&format!("/admin/v1/teams/{team}/refusals"));
        match &self.team {
            Some(team) => Ok(vec![page(team)?]),
            None => {
                let teams = self.gateway.get("/admin/v1/teams")?;
                let teams = teams["teams"].as_array().into_iter().flatten();
                teams.map(|team| page(&text(&team["team"]))).collect()
            }
        }
    }
}

fn row(team: &str, call: &Value) -> Vec<String> {
    let shown = ["endpoint", "status", "code", "limit", "callId", "message"];
    let user = match call["keyName"].as_str() {
        Some(key) => format!("{key} ({})", text(&call["user"])),
        None => text(&call["user"]),
    };
    let head = [time(&call["createdAt"]), team.to_owned(), user];
    head.into_iter().chain(shown.map(|name| text(&call[name]))).collect()
}
