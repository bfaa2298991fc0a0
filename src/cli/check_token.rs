//! `moongate check-token`: checks a token against the configuration and shows each check, to find
//! out why it is refused.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Ended;
use super::runtime::block_on;
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::identity::examine::{Examination, Finding};
use crate::identity::{Authenticator, KeyRegistry, NotObserved, Presented};
use crate::printable::{self, Printable};
use crate::team::TeamId;

/// Most bytes read from standard input: more than any listener accepts.
const TOKEN_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Exit code for an accepted token.
const ACCEPTED: u8 = 0;
/// Exit code for a refused one.
const REFUSED: u8 = 1;

/// Reads a token (JWT) from standard input and shows how the configuration judges it, check by
/// check.
///
/// Ends with 0 when it is accepted, 1 when it is refused, and 2 when it could not be checked.
/// Suspensions made by a command, and gateway keys made by one, are known only to a running
/// gateway.
#[derive(Debug, clap::Args)]
pub struct CheckToken {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "MOONGATE_CONFIG")]
    pub config: PathBuf,
    /// The team that the caller chooses with X-Moongate-Team.
    #[arg(long, value_name = "TEAM", value_parser = team)]
    pub team: Option<TeamId>,
    /// Prints JSON for programs.
    #[arg(long)]
    pub json: bool,
}

fn team(text: &str) -> Result<TeamId, String> {
    TeamId::parse(text).ok_or_else(|| "a team's name is 1 to 64 of [A-Za-z0-9._-]".to_owned())
}

impl CheckToken {
    /// Checks the token in `input`; returns the exit code. Never prints the token.
    ///
    /// # Errors
    /// There is no token, the configuration is invalid, or the output could not be written.
    pub fn run(&self, input: &mut dyn Read, out: &mut dyn Write) -> Result<u8, Ended> {
        let settings =
            config::load(&self.config).map_err(|problems| Ended::Misused(problems.to_string()))?;
        let token = token(input)?;
        let (trouble, examined) = block_on(self.examined(&settings, &token))??;
        if self.json {
            writeln!(
                out,
                "{}",
                printable::json(&as_json(&examined, trouble.as_deref()).to_string())
            )?;
        } else {
            writeln!(out, "{}", as_text(&examined, trouble.as_deref()))?;
        }
        Ok(if examined.verdict.is_ok() { ACCEPTED } else { REFUSED })
    }

    /// Examines it as a gateway that has just started: reads the keys of the token's issuer first.
    async fn examined(
        &self,
        settings: &Settings,
        token: &str,
    ) -> Result<(Option<String>, Examination), Ended> {
        let (teams, registry) = (&settings.live.teams, Arc::new(KeyRegistry::default()));
        let identity = settings.live.identity.clone();
        let made = Authenticator::new(
            identity,
            teams,
            &registry,
            None,
            Clock::system(),
            Arc::new(NotObserved),
        );
        let authenticator = made.map_err(|error| Ended::Misused(error.to_string()))?;
        let trouble = authenticator.read_keys_for(token).await.err().map(|error| error.to_string());
        Ok((
            trouble,
            authenticator.examine(Presented { credential: token, team: self.team.as_ref() }),
        ))
    }
}

/// Reads a token as pasted: alone, or with its request header.
fn token(input: &mut dyn Read) -> Result<String, Ended> {
    let mut text = String::new();
    let read = input.take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error: io::Error| {
        Ended::Misused(format!("no token can be read from standard input: {error}"))
    })?;
    let text = text.trim();
    let token = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    if token.is_empty() {
        return Err(Ended::Misused("there is no token on standard input".to_owned()));
    }
    if token.starts_with("mgk_") {
        let known = "a gateway key is no token: moongate keys list says whether it is good";
        return Err(Ended::Misused(known.to_owned()));
    }
    Ok(token.to_owned())
}

fn as_text(examined: &Examination, trouble: Option<&str>) -> String {
    let mut lines: Vec<String> = examined.findings.iter().map(line).collect();
    lines.extend(
        trouble.map(|why| format!("{:<11} the issuer's keys: {}", "", Printable::whole(why))),
    );
    lines.push(match &examined.verdict {
        Ok((principal, _)) => {
            format!(
                "accepted: team {}, user {}",
                principal.team,
                Printable::whole(principal.user.as_str())
            )
        }
        Err(check) => {
            let kind = check.rejection().refusal().kind();
            format!(
                "refused: the caller gets {} {}; log and metric say {check}",
                kind.status.as_u16(),
                kind.code
            )
        }
    });
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let Finding { what, passed, detail } = finding;
    let outcome = match passed {
        Some(true) => "ok    ",
        Some(false) => "FAILED",
        None => "-",
    };
    format!("{what:<11} {outcome} {detail}").trim_end().to_owned()
}

fn as_json(examined: &Examination, trouble: Option<&str>) -> Value {
    let checks: Vec<Value> = examined
        .findings
        .iter()
        .map(|Finding { what, passed, detail }| {
            json!({ "check": what, "passed": passed, "detail": detail })
        })
        .collect();
    match &examined.verdict {
        Ok((principal, _)) => json!({
            "accepted": true,
            "team": principal.team,
            "user": principal.user.as_str(),
            "issuer": principal.credential.id(),
            "checks": checks,
            "keys_error": trouble,
        }),
        Err(check) => {
            let kind = check.rejection().refusal().kind();
            json!({
                "accepted": false,
                "failed": check.name(),
                "status": kind.status.as_u16(),
                "code": kind.code,
                "checks": checks,
                "keys_error": trouble,
            })
        }
    }
}
