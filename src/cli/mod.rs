//! The command line: one file per command.

pub mod call;
pub mod changes;
pub mod check;
pub mod check_token;
pub mod completions;
pub mod core_dumps;
pub mod demo;
pub mod ended;
pub mod gateway;
pub mod generate;
pub mod healthcheck;
pub mod init;
pub mod keys;
pub mod limits;
pub mod prices;
pub mod refusals;
mod runtime;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod table;
pub mod teams;
pub mod upstream;
pub mod usage;

use std::env::consts;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};

pub use ended::Ended;

use self::runtime::block_on;
use crate::version::{COMMIT, VERSION};

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
    Init(init::Init),
    Demo(demo::Demo),
    Simulate(Box<simulate::Simulate>),
    Check(check::Check),
    CheckToken(check_token::CheckToken),
    Keys(keys::Keys),
    Teams(teams::Teams),
    Limits(limits::Limits),
    Usage(Box<usage::Usage>),
    Call(call::Call),
    Refusals(refusals::Refusals),
    Changes(changes::Changes),
    Upstream(upstream::Upstream),
    Prices(prices::Prices),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Healthcheck(healthcheck::Healthcheck),
}

/// Output of `--version`: version, target and TLS library.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let target = [consts::ARCH, consts::OS].join(" ");
        format!("{VERSION} (commit {COMMIT}, {target}, rustls with aws-lc)")
    });
    &TEXT
}

impl Cli {
    /// Runs the command; data goes to `out`, problems to `err`.
    #[must_use]
    pub fn run(self, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
        let ended = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Init(init) => init.run(out),
            Command::Demo(demo) => demo.run(out),
            Command::Simulate(simulate) => {
                block_on(simulate.run()).and_then(|ended| ended.map_err(Ended::Failed))
            }
            Command::Check(check) => {
                return check.run(out, err).map_or_else(|error| exit(error, err), ExitCode::from);
            }
            Command::CheckToken(check) => {
                let code = check.run(&mut io::stdin().lock(), out);
                return code.map_or_else(|ended| exit(ended, err), ExitCode::from);
            }
            Command::Call(call) => call.run(out),
            Command::Changes(changes) => changes.run(out),
            Command::Keys(keys) => keys.run(out),
            Command::Limits(limits) => limits.run(out),
            Command::Refusals(refusals) => refusals.run(out),
            Command::Teams(teams) => teams.run(out),
            Command::Upstream(upstream) => upstream.run(out),
            Command::Usage(usage) => usage.run(out),
            Command::Prices(prices) => prices.run(out),
            Command::Schema(schema) => schema.run(out).map_err(Ended::from),
            Command::Completions(completions) => completions.run(Self::command(), out),
            Command::Healthcheck(healthcheck) => healthcheck.run(),
        };
        ended.map_or_else(|ended| exit(ended, err), |()| ExitCode::SUCCESS)
    }
}

/// Prints why it failed, unless the reader has closed the output.
fn exit(ended: impl Into<Ended>, err: &mut dyn Write) -> ExitCode {
    let ended = ended.into();
    if !matches!(ended, Ended::ReadEnough) {
        let _ = writeln!(err, "moongate: {ended}");
    }
    match ended {
        Ended::ReadEnough => ExitCode::SUCCESS,
        Ended::Misused(_) => ExitCode::from(2),
        Ended::Failed(_) | Ended::Unclear(_) => ExitCode::FAILURE,
    }
}
