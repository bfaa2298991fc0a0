//! The command line: one file per command.

pub mod check;
pub mod check_token;
pub mod completions;
pub mod core_dumps;
pub mod demo;
pub mod ended;
pub mod gateway;
pub mod generate;
pub mod healthcheck;
pub mod keys;
pub mod prices;
mod runtime;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod table;
pub mod teams;
pub mod usage;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use ended::Ended;

use self::runtime::block_on;

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
            Command::Completions(completions) => completions.run(Self::command(), out),
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
