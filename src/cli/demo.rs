//! `moongate demo`: the gateway, the Firemoon simulator and an embedded ledger in one process, with two teams. Needs nothing.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Ended;
use super::runtime::{block_on, start_telemetry};
use crate::app::{self, Listener, Unusable};
use crate::config;
use crate::credits::Credits;
use crate::identity::GatewayKey;
use crate::simulator::{self, KeySettings, Simulator};

/// Runs the gateway with a simulated Firemoon and two teams: nothing to install, nothing to configure.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where the teams call; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Where the operator looks; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9091")]
    admin_address: SocketAddr,
    /// Where the ledger is kept [default: a new file in the system's temporary folder, gone at the end]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

/// A team of the demo.
struct DemoTeam {
    name: &'static str,
    key: GatewayKey,
}

impl Demo {
    /// Runs the demo until it is told to stop.
    ///
    /// # Errors
    /// An address is taken, or the ledger's file cannot be had.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let teams = [DemoTeam::new("design")?, DemoTeam::new("growth")?];
        let shared_key = GatewayKey::generate()?.text;
        let ledger = Ledger::at(self.ledger.clone())?;
        block_on(async {
            let simulated = Simulated::start(shared_key.expose()).await?;
            let text = self.configuration(&teams, &simulated, &ledger);
            let environment = |name: &str| (name == UPSTREAM_KEY).then(|| shared_key.expose().to_owned());
            let settings = config::parse(&text, "demo", &environment);
            let settings = settings.map_err(|problems| Ended::Failed(problems.to_string()))?;
            let (telemetry, clock) = start_telemetry(&settings)?;
            let acquired =
                app::acquire(&settings, &telemetry.metrics, &telemetry.access_log, &telemetry.audit_log, clock)
                    .map_err(|unusable| Ended::Failed(said(&unusable)))?;
            welcome(out, &teams, &acquired, &simulated)?;
            app::run(acquired, None).await?;
            simulated.stop().await;
            Ok(())
        })?
    }

    fn configuration(&self, teams: &[DemoTeam; 2], simulated: &Simulated, ledger: &Ledger) -> String {
        let [design, growth] = teams.each_ref().map(DemoTeam::entry);
        let (address, admin, upstream) = (self.address, self.admin_address, simulated.api);
        let ledger = serde_json::json!(ledger.path);
        format!(
            r#"
listen: {{ address: "{address}", workers: 1 }}
admin: {{ address: "{admin}" }}
upstream:
  base_url: "http://{upstream}/api"
  keys: [{{ name: demo, secret: {{ env: {UPSTREAM_KEY} }} }}]
ledger: {{ embedded: {{ path: {ledger} }} }}
limits: {{ connections_max: 256 }}
shutdown: {{ delay: 0s }}
telemetry: {{ access_log: true }}
identity: {{ keys: [{design}, {growth}] }}
teams:
  design:
    models: ["*"]
    limits: {{ requests_per_minute: 30, concurrent: 8, credits_per_day: 5, credits_per_month: 50 }}
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

/// The variable that the demo's configuration takes the shared key from; it exists within this process only.
const UPSTREAM_KEY: &str = "MOONGATE_DEMO_UPSTREAM_KEY";

impl DemoTeam {
    fn new(name: &'static str) -> Result<Self, Ended> {
        Ok(Self { name, key: GatewayKey::generate()? })
    }

    /// The team's key as the configuration keeps it. JSON is YAML.
    fn entry(&self) -> String {
        let Self { name, key } = self;
        serde_json::json!({"id": key.id.as_str(), "team": name, "name": "demo", "sha256": key.hash.to_hex()})
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
        let (api, media) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let settings = simulator::Settings {
            keys: vec![KeySettings::new("demo", shared_key, simulator::Limits::PRO)],
            balance: Credits::from_micros(1_000_000_000),
            ..simulator::Settings::default()
        };
        let (address, stop) = (api.local_addr()?, CancellationToken::new());
        let task = tokio::spawn(simulator::serve(Simulator::new(settings), api, media, stop.clone()));
        Ok(Self { api: address, stop, task })
    }

    /// After the gateway: its open calls end at the simulator.
    async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// The ledger's file: the one that was asked for, or one that goes with the demo.
struct Ledger {
    path: PathBuf,
    temporary: bool,
}

impl Ledger {
    fn at(path: Option<PathBuf>) -> Result<Self, Ended> {
        let temporary = path.is_none();
        let path =
            path.unwrap_or_else(|| std::env::temp_dir().join(format!("moongate-demo-{}.db", std::process::id())));
        let path = std::path::absolute(path)?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing is lost when it stays: the system clears its temporary folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Nobody has written the demo's configuration: where it listens is said by flags.
fn said(unusable: &Unusable) -> String {
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
        | Unusable::Live(_) => unusable.to_string(),
    }
}

fn welcome(
    out: &mut dyn Write,
    teams: &[DemoTeam; 2],
    acquired: &app::Acquired,
    simulated: &Simulated,
) -> Result<(), Ended> {
    let (team, operator) = (acquired.team_address()?, acquired.operator_address()?);
    let [design, growth] = teams;
    writeln!(out, "Moongate is running, with a simulated Firemoon behind it.\n")?;
    for DemoTeam { name, key } in [design, growth] {
        writeln!(out, "  team {name:<8} key {}", key.text.expose())?;
    }
    writeln!(out, "\nGenerate an image as team design:\n")?;
    let key = design.key.text.expose();
    writeln!(
        out,
        "  curl -s http://{team}/api/v1/flux/dev -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"prompt\":\"a lighthouse at dusk\"}}'"
    )?;
    writeln!(out, "\n  teams call         http://{team}/api")?;
    writeln!(out, "  metrics            http://{operator}/metrics")?;
    writeln!(out, "  readiness          http://{operator}/readyz")?;
    writeln!(out, "  what Firemoon saw  http://{}/_simulator/books", simulated.api)?;
    writeln!(out, "\nCtrl-C ends it.\n")?;
    out.flush().map_err(Ended::from)
}
