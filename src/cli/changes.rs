//! `moongate changes`: what operators changed lately.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::Ended;
use super::gateway::Gateway;
use super::table::{self, text, time};

/// Lists what operators changed lately, newest first, whichever replica they asked.
#[derive(Debug, Args)]
pub struct Changes {
    #[command(flatten)]
    gateway: Gateway,
}

impl Changes {
    /// Prints the changes.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let page = self.gateway.get("/admin/v1/changes")?;
        if self.gateway.json {
            return writeln!(out, "{page}").map_err(Ended::from);
        }
        let row = |change: &Value| {
            let certain = if change["certain"] == false { " (perhaps)" } else { "" };
            vec![
                time(&change["at"]),
                text(&change["operator"]),
                format!("{}{certain}", text(&change["action"])),
                text(&change["subject"]),
                text(&change["before"]),
                text(&change["after"]),
            ]
        };
        let rows: Vec<Vec<String>> =
            page["changes"].as_array().into_iter().flatten().map(row).collect();
        let titles = ["WHEN", "OPERATOR", "ACTION", "OF", "BEFORE", "AFTER"];
        table::write(out, &titles, &rows).map_err(Ended::from)
    }
}
