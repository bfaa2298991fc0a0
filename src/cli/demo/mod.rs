//! `moongate demo`: the gateway, the Firemoon simulator and an embedded ledger in one process, with
//! two teams and no setup.

mod traffic;

use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::traffic::Caller;
use super::Ended;
use super::init::operators_token;
use super::runtime::{block_on, start_telemetry};
use crate::app::{self, Listener, Unusable};
use crate::config;
use crate::credits::Credits;
use crate::identity::{GatewayKey, SecretHash};
use crate::secret::Secret;
use crate::simulator::{self, KeySettings, Simulator};

/// Runs the gateway with a simulated Firemoon and two teams: nothing to install or configure.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Address for the teams' calls; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Address for the operator; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9091")]
    admin_address: SocketAddr,
    /// The ledger's file [default: a new file in the system's temporary folder, deleted at the end]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Makes both teams call now and then, so that the pages and boards have something to show
    #[arg(long)]
    traffic: bool,
    /// Logs a line for each request [default: none, since the pages ask often and the lines would
    /// push the printed addresses out of sight]
    #[arg(long)]
    access_log: bool,
}

/// A team of the demo.
struct DemoTeam {
    name: &'static str,
    key: GatewayKey,
}

impl Demo {
    /// Runs the demo until it is stopped.
    ///
    /// # Errors
    /// An address is in use, or the ledger's file cannot be opened.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let teams = [DemoTeam::new("design")?, DemoTeam::new("growth")?];
        let (shared_key, token) = (GatewayKey::generate()?.text, operators_token()?);
        let ledger = Ledger::at(self.ledger.clone())?;
        block_on(async {
            let simulated = Simulated::start(shared_key.expose()).await?;
            let text = self.configuration(&teams, &simulated, &ledger);
            let environment = |name: &str| match name {
                UPSTREAM_KEY => Some(shared_key.expose().to_owned()),
                OPERATOR => Some(SecretHash::of(token.expose()).to_hex()),
                _ => None,
            };
            let settings = config::parse(&text, "demo", &environment);
            let settings = settings.map_err(|problems| Ended::Failed(problems.to_string()))?;
            let (telemetry, clock) = start_telemetry(&settings)?;
            let acquired = app::acquire(
                &settings,
                &telemetry.metrics,
                &telemetry.access_log,
                &telemetry.audit_log,
                clock,
            )
            .map_err(|unusable| Ended::Failed(sentence(&unusable)))?;
            welcome(out, &teams, &acquired, (&simulated, &token))?;
            let stop = self.traffic(&teams, &acquired)?;
            app::run(acquired, None).await?;
            stop.cancel();
            simulated.stop().await;
            Ok(())
        })?
    }

    /// Makes both teams call, if requested, until the returned token is cancelled.
    fn traffic(
        &self,
        teams: &[DemoTeam; 2],
        acquired: &app::Acquired,
    ) -> Result<CancellationToken, Ended> {
        let stop = CancellationToken::new();
        if self.traffic {
            let team = acquired.team_address()?;
            for (demo, seconds) in teams.iter().zip([3, 7]) {
                let every = Duration::from_secs(seconds);
                let caller = Caller { key: demo.key.text.clone(), every };
                tokio::spawn(traffic::run(team, caller, stop.clone()));
            }
        }
        Ok(stop)
    }

    fn configuration(
        &self,
        teams: &[DemoTeam; 2],
        simulated: &Simulated,
        ledger: &Ledger,
    ) -> String {
        let [design, growth] = teams.each_ref().map(DemoTeam::entry);
        let (address, admin, upstream) = (self.address, self.admin_address, simulated.api);
        let access_log = self.access_log;
        let ledger = serde_json::json!(ledger.path);
        // Enough for some hours of traffic.
        let (day, month) = if self.traffic { (50, 500) } else { (5, 50) };
        format!(
            r#"
listen: {{ address: "{address}", workers: 1 }}
admin:
  address: "{admin}"
  tokens: [{{ name: demo, sha256: {{ env: {OPERATOR} }} }}]
upstream:
  base_url: "http://{upstream}/api"
  keys: [{{ name: demo, secret: {{ env: {UPSTREAM_KEY} }} }}]
  reconcile: {{ every: 10s }}
ledger: {{ embedded: {{ path: {ledger} }} }}
limits: {{ connections_max: 256 }}
shutdown: {{ delay: 0s }}
telemetry: {{ access_log: {access_log} }}
identity: {{ keys: [{design}, {growth}] }}
teams:
  design:
    models: ["flux/*", "nano-banana", "kling/*"]
    limits:
      requests_per_minute: 30
      concurrent: 8
      credits_per_day: {day}
      credits_per_month: {month}
  growth:
    models: ["flux/*", "nano-banana", "!flux/pro"]
    limits: {{ requests_per_minute: 6, credits_per_day: 1 }}
pricing:
  models:
    flux/dev: {{ per_image: 0.025 }}
    flux/schnell: {{ per_image: 0.003 }}
    flux/pro: {{ per_image: 0.05 }}
    nano-banana: {{ per_image: 0.039 }}
    kling/kling-2-1-master: {{ per_second: 0.28 }}
"#
        )
    }
}

/// Environment variable of the shared key in the demo's configuration; it exists only in this
/// process.
const UPSTREAM_KEY: &str = "MOONGATE_DEMO_UPSTREAM_KEY";
/// The same for the hash of the operator's token.
const OPERATOR: &str = "MOONGATE_DEMO_OPERATOR";

impl DemoTeam {
    fn new(name: &'static str) -> Result<Self, Ended> {
        Ok(Self { name, key: GatewayKey::generate()? })
    }

    /// The team's key as a configuration entry. JSON is valid YAML.
    fn entry(&self) -> String {
        let Self { name, key } = self;
        serde_json::json!({
            "id": key.id.as_str(),
            "team": name,
            "name": "demo",
            "sha256": key.hash.to_hex(),
        })
        .to_string()
    }
}

/// The simulator, on free ports.
struct Simulated {
    api: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Simulated {
    async fn start(shared_key: &str) -> Result<Self, Ended> {
        let (api, media) =
            (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let settings = simulator::Settings {
            keys: vec![KeySettings::new("demo", shared_key, simulator::Limits::PRO)],
            balance: Credits::from_micros(1_000_000_000),
            ..simulator::Settings::default()
        };
        let (address, stop) = (api.local_addr()?, CancellationToken::new());
        let task =
            tokio::spawn(simulator::serve(Simulator::new(settings), api, media, stop.clone()));
        Ok(Self { api: address, stop, task })
    }

    /// Stops the simulator. Called after the gateway has stopped, whose open calls end at the
    /// simulator.
    async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// The ledger's file: a given one, or one that is deleted with the demo.
struct Ledger {
    path: PathBuf,
    temporary: bool,
}

impl Ledger {
    fn at(path: Option<PathBuf>) -> Result<Self, Ended> {
        let temporary = path.is_none();
        let path = path.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("moongate-demo-{}.db", std::process::id()))
        });
        let path = std::path::absolute(path)?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.temporary {
            // Harmless when it stays: the system clears its temporary folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The demo has no configuration file, so its sentences name flags.
fn sentence(unusable: &Unusable) -> String {
    match unusable {
        Unusable::Address { listener, address, error } => {
            let flag = match listener {
                Listener::Team => "--address",
                Listener::Operator => "--admin-address",
            };
            format!("{listener} cannot listen on {address}: {error}; {flag} says where it listens")
        }
        Unusable::Certificate(_)
        | Unusable::File(_)
        | Unusable::Redis(_)
        | Unusable::Webhook(_)
        | Unusable::Traces(_)
        | Unusable::Live(_) => unusable.to_string(),
    }
}

fn welcome(
    out: &mut dyn Write,
    teams: &[DemoTeam; 2],
    acquired: &app::Acquired,
    (simulated, token): (&Simulated, &Secret),
) -> Result<(), Ended> {
    let (team, operator) = (acquired.team_address()?, acquired.operator_address()?);
    let [design, _] = teams;
    let (key, token) = (design.key.text.expose(), token.expose());
    writeln!(out, "Moongate is running, with a simulated Firemoon behind it.\n")?;
    writeln!(out, "  the team's page    http://{team}/#credential={key}")?;
    writeln!(out, "  the console        http://{operator}/console#token={token}")?;
    for DemoTeam { name, key } in teams {
        writeln!(out, "  team {name:<8}      key {}", key.text.expose())?;
    }
    writeln!(out, "\nGenerate an image as team design:\n")?;
    writeln!(
        out,
        "  curl -s http://{team}/api/v1/flux/dev -H 'Authorization: Bearer {key}' \
         -H 'Content-Type: application/json' -d '{{\"prompt\":\"a lighthouse at dusk\"}}'"
    )?;
    writeln!(out, "\nLook at it as an operator:\n")?;
    writeln!(out, "  export MOONGATE_TOKEN={token} MOONGATE_ADMIN=http://{operator}")?;
    let moongate = this_program();
    for command in ["usage", "teams list", "keys create --team design --name laptop"] {
        writeln!(out, "  {moongate} {command}")?;
    }
    writeln!(out, "\n  teams call         http://{team}/api")?;
    writeln!(out, "  metrics            http://{operator}/metrics")?;
    writeln!(out, "  readiness          http://{operator}/readyz")?;
    writeln!(out, "  what Firemoon saw  http://{}/_simulator/books", simulated.api)?;
    writeln!(out, "\nCtrl-C ends it.\n")?;
    out.flush().map_err(Ended::from)
}

/// The command that starts this program again: the shortest path to it from here.
fn this_program() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match std::env::current_exe() {
        Ok(path) if path.file_name().is_some_and(is_on_the_path(&path)) => "moongate".to_owned(),
        Ok(path) => path.strip_prefix(&here).unwrap_or(&path).display().to_string(),
        Err(_) => "moongate".to_owned(),
    }
}

/// Whether a program is found by its name alone.
fn is_on_the_path(program: &Path) -> impl FnOnce(&OsStr) -> bool + '_ {
    move |name| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut found = std::env::split_paths(&folders).map(|folder| folder.join(name));
        found
            .find(|path| path.is_file())
            .is_some_and(|first| first.canonicalize().ok() == program.canonicalize().ok())
    }
}
