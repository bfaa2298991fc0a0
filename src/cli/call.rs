//! `moongate call ID`: state and outcome of one call of any team.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::Ended;
use super::gateway::Gateway;
use super::table::{text, time};
use crate::printable::Printable;

/// Shows a call by its call id, or every call that carried a request id.
#[derive(Debug, Args)]
pub struct Call {
    /// The call's id (X-Call-Id), or the id of its request (X-Request-Id)
    #[arg(value_name = "ID", value_parser = id)]
    id: String,
    #[command(flatten)]
    gateway: Gateway,
}

/// Checks an id before it goes into a path.
fn id(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("an id is 1 to 128 of [A-Za-z0-9._-]".to_owned())
    }
}

/// Members that are shown, in this order, each with its title.
const SHOWN: [(&str, &str); 20] = [
    ("id", "Call"),
    ("requestId", "Request"),
    ("team", "Team"),
    ("user", "User"),
    ("keyName", "Key"),
    ("credential", "Credential"),
    ("endpoint", "Model"),
    ("state", "State"),
    ("outcome", "Outcome"),
    ("httpStatus", "Status"),
    ("code", "Refusal"),
    ("cost", "Cost"),
    ("reserved", "Reserved"),
    ("images", "Images"),
    ("videoSeconds", "Video seconds"),
    ("latency", "Seconds"),
    ("createdAt", "Admitted"),
    ("sentAt", "Sent"),
    ("answeredAt", "Answered"),
    ("settledAt", "Settled"),
];

impl Call {
    /// Prints the calls.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let page = self.gateway.get(&format!("/admin/v1/calls/{}", self.id))?;
        if self.gateway.json {
            return writeln!(out, "{page}").map_err(Ended::from);
        }
        for (place, call) in page["calls"].as_array().into_iter().flatten().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            show(call, out)?;
        }
        Ok(())
    }
}

fn show(call: &Value, out: &mut dyn Write) -> Result<(), Ended> {
    for (name, title) in SHOWN {
        let value = match name.ends_with("At") {
            true => time(&call[name]),
            false => text(&call[name]),
        };
        if !value.is_empty() {
            writeln!(out, "{title:<14}{}", Printable::whole(&value))?;
        }
    }
    Ok(())
}
