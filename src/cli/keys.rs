//! `moongate keys`: makes, lists, rotates and revokes gateway keys of a running gateway, and makes
//! those for the configuration file.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::gateway::Gateway;
use super::table::{self, text, time};
use super::{Ended, generate};
use crate::config;
use crate::team::KeyId;

/// Gateway keys: makes, lists, rotates and revokes them.
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<Create>),
    List(List),
    Rotate(Rotate),
    Revoke(Revoke),
    Generate(generate::Generate),
}

/// Makes a key in a running gateway and prints it, only this once.
#[derive(Debug, Args)]
struct Create {
    /// The team that pays for its calls
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// What it is used for
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The user it acts for [default: the key itself]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// When it expires, such as 2027-01-31T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// A model it is restricted to, as in a team: an id, prefix/* or !id; repeatable [default: all
    /// of the team]
    #[arg(long = "model", value_name = "RULE")]
    models: Vec<String>,
    /// A limit of its own, such as requests_per_day=100 or credits_per_month=2.50; repeatable
    #[arg(long = "limit", value_name = "KIND=AMOUNT", value_parser = limit)]
    limits: Vec<(String, String)>,
    #[command(flatten)]
    gateway: Gateway,
}

/// Lists the keys of a running gateway.
#[derive(Debug, Args)]
struct List {
    /// Only those of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

/// Gives a key a new secret and prints it, only this once. The old one stays valid for the overlap.
#[derive(Debug, Args)]
struct Rotate {
    /// The key's public id: the 12 letters and digits after mgk_
    #[arg(value_name = "ID")]
    id: String,
    /// How long the old secret stays valid, such as 0s or 24h
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    overlap: u64,
    /// End older secrets of the key together with it: otherwise each stays valid until its own end
    #[arg(long)]
    end_older: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// Revokes a key: every replica refuses it within two seconds.
#[derive(Debug, Args)]
struct Revoke {
    /// The key's public id: the 12 letters and digits after mgk_
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    gateway: Gateway,
}

fn limit(text: &str) -> Result<(String, String), String> {
    let (kind, amount) =
        text.split_once('=').ok_or("a limit is KIND=AMOUNT, such as requests_per_day=100")?;
    Ok((kind.to_owned(), amount.to_owned()))
}

/// Parses an id before it goes into a path. The error never repeats it, as clap's would: it may be
/// the whole key with its secret.
fn id(text: &str) -> Result<KeyId, Ended> {
    let wrong = || {
        Ended::Misused(
            "a key's id is the 12 letters and digits after mgk_, without the secret".to_owned(),
        )
    };
    KeyId::parse(text).ok_or_else(wrong)
}

fn seconds(text: &str) -> Result<u64, String> {
    config::duration(text).map(|duration| duration.as_secs())
}

impl Keys {
    /// Runs the command.
    ///
    /// # Errors
    /// The gateway refused or was not reached, or the output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        match &self.command {
            Command::Create(create) => create.run(out),
            Command::List(list) => list.run(out),
            Command::Rotate(rotate) => rotate.run(out),
            Command::Revoke(revoke) => revoke.run(out),
            Command::Generate(generate) => generate.run(out),
        }
    }
}

impl Create {
    fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let mut limits = Map::new();
        for (kind, amount) in &self.limits {
            // Numbers stay numbers; credits may also be strings.
            let amount =
                amount.parse::<u64>().map_or_else(|_| Value::from(amount.as_str()), Value::from);
            limits.insert(kind.clone(), amount);
        }
        let mut body = json!({ "team": self.team, "name": self.name, "limits": limits });
        if let Some(members) = body.as_object_mut() {
            let named = [("user", &self.user), ("expires_at", &self.expires_at)];
            members.extend(
                named
                    .into_iter()
                    .filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into()))),
            );
            if !self.models.is_empty() {
                members.insert("models".to_owned(), json!(self.models));
            }
        }
        let made = self.gateway.post("/admin/v1/keys", &body)?;
        if self.gateway.json {
            return writeln!(out, "{made}").map_err(Ended::from);
        }
        print_key(out, &made)
    }
}

impl Rotate {
    fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let path = format!("/admin/v1/keys/{}/rotate", id(&self.id)?.as_str());
        let mut body = json!({ "overlap_seconds": self.overlap });
        if self.end_older {
            // Sent only when set: an older gateway does not know it.
            body["end_older"] = json!(true);
        }
        let made = self.gateway.post(&path, &body)?;
        if self.gateway.json {
            return writeln!(out, "{made}").map_err(Ended::from);
        }
        print_key(out, &made)?;
        let old = made.pointer("/key/secrets/1").unwrap_or(&Value::Null);
        if is_in_overlap(old) {
            writeln!(out, "The old one is good until {}", time(&old["ends_at"]))?;
        } else {
            writeln!(out, "The old one is not good any more")?;
        }
        let older = made
            .pointer("/key/secrets")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for secret in older.iter().skip(2).filter(|secret| is_in_overlap(secret)) {
            writeln!(out, "An older one is good until {}, as promised", time(&secret["ends_at"]))?;
        }
        Ok(())
    }
}

impl Revoke {
    fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let id = id(&self.id)?;
        let key =
            self.gateway.post(&format!("/admin/v1/keys/{}/revoke", id.as_str()), &json!({}))?;
        if self.gateway.json {
            return writeln!(out, "{key}").map_err(Ended::from);
        }
        writeln!(out, "The key {} of the team {} is revoked", id.as_str(), text(&key["team"]))
            .map_err(Ended::from)
    }
}

impl List {
    fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let query: String = match &self.team {
            Some(team) => {
                form_urlencoded::Serializer::new("?".to_owned()).append_pair("team", team).finish()
            }
            None => String::new(),
        };
        let keys = self.gateway.get(&format!("/admin/v1/keys{query}"))?;
        if self.gateway.json {
            return writeln!(out, "{keys}").map_err(Ended::from);
        }
        let row = |key: &Value| {
            let columns =
                ["id", "team", "name", "user", "state", "source"].map(|name| text(&key[name]));
            let times = ["expires_at", "last_used_at"].map(|name| time(&key[name]));
            columns.into_iter().chain(times).chain([overlap(key)]).collect()
        };
        let rows: Vec<Vec<String>> =
            keys.get("keys").and_then(Value::as_array).into_iter().flatten().map(row).collect();
        let titles = [
            "ID",
            "TEAM",
            "NAME",
            "USER",
            "STATE",
            "SOURCE",
            "EXPIRES",
            "LAST USED",
            "OLD SECRETS GOOD UNTIL",
        ];
        table::write(out, &titles, &rows).map_err(Ended::from)
    }
}

fn print_key(out: &mut dyn Write, made: &Value) -> Result<(), Ended> {
    writeln!(out, "The key, shown this once: {}", text(&made["secret"]))?;
    let key = made.get("key").unwrap_or(&Value::Null);
    writeln!(out, "Its id is {}; it is the team {}'s", text(&key["id"]), text(&key["team"]))
        .map_err(Ended::from)
}

/// When each replaced secret that is still valid ends.
fn overlap(key: &Value) -> String {
    let secrets =
        key.get("secrets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ends: Vec<String> = secrets
        .iter()
        .filter(|secret| is_in_overlap(secret))
        .map(|secret| time(&secret["ends_at"]))
        .collect();
    ends.join(", ")
}

fn is_in_overlap(secret: &Value) -> bool {
    secret.get("state").and_then(Value::as_str) == Some("overlap")
}
