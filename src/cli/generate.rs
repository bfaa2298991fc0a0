//! `moongate keys generate`: makes a gateway key for the configuration file, which stores only its
//! hash.

use std::io::Write;

use super::Ended;
use crate::identity::GatewayKey;
use crate::printable;
use crate::team::{TeamId, UserId};

/// Makes a gateway key for the configuration file. Prints the key, only this once, and the line for
/// identity.keys in the file.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// The team that pays for its calls
    #[arg(long, value_name = "TEAM", value_parser = team)]
    team: TeamId,
    /// What it is used for
    #[arg(long, value_name = "NAME", value_parser = user)]
    name: UserId,
    /// The user it acts for [default: the key itself]
    #[arg(long, value_name = "USER", value_parser = user)]
    user: Option<UserId>,
    /// Prints JSON for programs
    #[arg(long)]
    json: bool,
}

fn team(text: &str) -> Result<TeamId, String> {
    TeamId::parse(text).ok_or_else(|| "a team's name is 1 to 64 of [A-Za-z0-9._-]".to_owned())
}

fn user(text: &str) -> Result<UserId, String> {
    let name = UserId::parse(text).filter(|_| printable::is_trimmed(text));
    name.ok_or_else(|| {
        "a name is 1 to 256 bytes without control characters or white space at its ends".to_owned()
    })
}

impl Generate {
    /// Makes the key and prints it.
    ///
    /// # Errors
    /// The system gives no random numbers, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let key = GatewayKey::generate()?;
        let entry = serde_json::json!({
            "id": key.id.as_str(),
            "team": self.team,
            "name": self.name.as_str(),
            "sha256": key.hash.to_hex(),
        });
        let mut entry = entry;
        if let (Some(user), Some(members)) = (&self.user, entry.as_object_mut()) {
            members.insert("user".to_owned(), user.as_str().into());
        }
        if self.json {
            let shown = serde_json::json!({ "key": key.text.expose(), "entry": entry });
            return writeln!(out, "{}", printable::json(&shown.to_string())).map_err(Ended::from);
        }
        writeln!(out, "The key, shown this once: {}", key.text.expose())?;
        writeln!(out, "The line for identity.keys in the configuration file:")?;
        // JSON is valid YAML and needs no quoting rules.
        writeln!(out, "    - {}", printable::json(&entry.to_string())).map_err(Ended::from)
    }
}
