//! The gateway with its whole job on: keys and tokens, every kind of limit on every level, a Redis
//! ledger, metrics, access log.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::credentials::{AUDIENCE, Credentials, ISSUER};
use crate::job::{FAST, SHARED_KEY, SLOW};
use crate::outcome::Outcome;

/// Every kind of limit, none of which binds; the most that the gateway takes.
const LIMITS: &str = "{ requests_per_second: 1000000, requests_per_minute: 1000000, \
    requests_per_hour: 1000000, requests_per_day: 1000000, requests_per_month: 1000000, \
    concurrent: 1000000, credits_per_day: 100000000, credits_per_month: 100000000, \
    credits_total: 100000000 }";

/// Where the gateway finds the others.
pub struct Neighbours {
    /// Own address.
    pub listen: SocketAddr,
    /// The operator's.
    pub admin: SocketAddr,
    /// The upstream's.
    pub upstream: SocketAddr,
    /// The ledger's.
    pub redis: SocketAddr,
}

/// Writes the configuration and what it refers to; where it is.
///
/// # Errors
/// A file cannot be written.
pub fn configure(
    folder: &Path,
    neighbours: &Neighbours,
    credentials: &Credentials,
) -> Outcome<PathBuf> {
    fs::write(folder.join("keys.json"), &credentials.key_set)?;
    fs::write(folder.join("firemoon-key"), SHARED_KEY)?;
    let Neighbours { listen, admin, upstream, redis } = neighbours;
    let mut text = format!(
        "listen: {{ address: {listen}, workers: 1 }}\n\
         admin: {{ address: {admin} }}\n\
         upstream:\n  base_url: http://{upstream}/api\n\
         \x20 keys: [{{ name: primary, secret: {{ file: firemoon-key }} }}]\n\
         ledger: {{ redis: {{ url: redis://{redis} }} }}\n\
         pricing:\n  models: {{ {FAST}: {{ per_image: 0.025 }}, {SLOW}: {{ per_image: 0.025 }} }}\n\
         telemetry: {{ logs: json, access_log: true }}\n\
         identity:\n  issuers:\n    - issuer: {ISSUER}\n      audiences: [{AUDIENCE}]\n\
         \x20     algorithms: [RS256]\n\
         \x20     jwks: {{ file: keys.json }}\n      team_claim: /team\n      teams:\n"
    );
    for team in &credentials.teams {
        writeln!(text, "        {0}: {0}", team.name)?;
    }
    writeln!(text, "  keys:")?;
    for team in &credentials.teams {
        let (id, hash) = (&team.key.id, team.key.hash.to_hex());
        let name = &team.name;
        writeln!(
            text,
            "    - {{ id: \"{id}\", sha256: \"{hash}\", team: {name}, name: bench, user: bench, \
             limits: {LIMITS} }}"
        )?;
    }
    writeln!(text, "teams:")?;
    for team in &credentials.teams {
        let name = &team.name;
        writeln!(
            text,
            "  {name}: {{ models: [\"flux/*\"], limits: {LIMITS}, user_limits: {LIMITS} }}"
        )?;
    }
    let file = folder.join("moongate.yaml");
    fs::write(&file, text)?;
    Ok(file)
}
