//! The command line: one file per command.

pub mod check;
pub mod check_token;
pub mod completions;
pub mod core_dumps;
pub mod demo;
pub mod gateway;
pub mod generate;
pub mod healthcheck;
pub mod keys;
pub mod prices;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod table;
pub mod teams;
pub mod usage;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::config::Settings;
use crate::telemetry::logs::FILTER_VARIABLE;
use crate::telemetry::{self, Telemetry};

/// The gateway a company puts in front of the Firemoon Studio API.
#[derive(Parser)]
#[command(name = "moongate", version = version(), about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Simulate(Box<simulate::Simulate>),
    Check(check::Check),
    CheckToken(check_token::CheckToken),
    Keys(keys::Keys),
    Teams(teams::Teams),
    Usage(Box<usage::Usage>),
    Prices(prices::Prices),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Healthcheck(healthcheck::Healthcheck),
}

/// Why a command ended without doing what it was asked. The text is for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The configuration, or the way it was called, is wrong: exit code 2.
    #[error("{0}")]
    Misused(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A gateway was asked and did not say whether it did it: exit code 1.
    #[error("{0}")]
    Unclear(String),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What `--version` says: version, target and TLS library.
const fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (rustls, aws-lc)")
}

impl Cli {
    /// Runs the command; data goes to `out`, problems to `err`.
    #[must_use]
    pub fn run(self, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
        let ended = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => demo.run(out),
            Command::Simulate(simulate) => block_on(simulate.run()).and_then(|ended| ended.map_err(Ended::Failed)),
            Command::Check(check) => return check.run(out, err).map_or_else(|error| exit(error, err), ExitCode::from),
            Command::CheckToken(check) => {
                let code = check.run(&mut io::stdin().lock(), out);
                return code.map_or_else(|ended| exit(ended, err), ExitCode::from);
            }
            Command::Keys(keys) => keys.run(out),
            Command::Teams(teams) => teams.run(out),
            Command::Usage(usage) => usage.run(out),
            Command::Prices(prices) => prices.run(out),
            Command::Schema(schema) => schema.run(out).map_err(Ended::from),
            Command::Completions(completions) => completions.run(out),
            Command::Healthcheck(healthcheck) => healthcheck.run(),
        };
        ended.map_or_else(|ended| exit(ended, err), |()| ExitCode::SUCCESS)
    }
}

/// Says why, unless nobody listens any more.
fn exit(ended: impl Into<Ended>, err: &mut dyn Write) -> ExitCode {
    let ended = ended.into();
    let _ = writeln!(err, "moongate: {ended}");
    match ended {
        Ended::Misused(_) => ExitCode::from(2),
        Ended::Failed(_) | Ended::Unclear(_) => ExitCode::FAILURE,
    }
}

/// Sets up metrics and logs as the settings say. To be dropped last: what was logged is written out then.
fn start_telemetry(settings: &Settings) -> Result<(Telemetry, Clock), Ended> {
    let clock = Clock::system();
    let filter = std::env::var(FILTER_VARIABLE).ok();
    let telemetry = telemetry::start(&settings.fixed.telemetry, filter.as_deref(), &clock);
    Ok((telemetry.map_err(|error| Ended::Failed(error.to_string()))?, clock))
}

/// Runs a command that waits, on one thread: the gateway's workers bring their own.
fn block_on<F: Future>(command: F) -> Result<F::Output, Ended> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(command))
}
