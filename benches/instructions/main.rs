//! How many instructions a call costs the gateway and redis-server, each held to a budget.
//!
//! Times change from machine to machine and from minute to minute; the instructions of one program
//! on one path hardly do. So these figures can be held: [`budgets`] says what each may be. In this
//! order: [`build`] makes the program that is counted; [`gateway`] calls it, with [`collector`] for
//! its traces, and [`stages`] asks the ledger's store alone; `callgrind` counts, and [`rounds`]
//! says how often. [`parts`] finds what one part of the program takes of a call: tracing, which is
//! to cost nothing while it is off. [`beside`] prints what it takes while it is on.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]
#![allow(unreachable_pub, reason = "a program: nobody can reach anything in it")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures for people")]

mod beside;
mod budgets;
mod build;
#[path = "../shared/callgrind.rs"]
mod callgrind;
#[allow(dead_code, reason = "another benchmark needs more of it")]
#[path = "../ledger_store/calls.rs"]
mod calls;
mod collector;
#[path = "../whole_process/gateway.rs"]
mod configuration;
#[allow(dead_code, reason = "another benchmark needs more of it")]
#[path = "../whole_process/credentials.rs"]
mod credentials;
mod gateway;
#[path = "../whole_process/job.rs"]
mod job;
#[path = "../shared/outcome.rs"]
mod outcome;
mod parts;
mod rounds;
mod stages;
#[allow(dead_code, reason = "another benchmark needs more of it")]
#[path = "../ledger_store/store.rs"]
mod store;
#[path = "../whole_process/upstream.rs"]
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use budgets::{Budgets, figure};
use outcome::Outcome;
use parts::Functions;

/// Tracing: what begins, ends and keeps spans, and what is asked on the way of a call that is not
/// recorded.
const TRACING: [Functions; 5] = [
    Functions { named: "", file: "src/telemetry/traces/" },
    Functions { named: "", file: "src/request/recording.rs" },
    Functions { named: "Arc<moongate::request::recording::Recording", file: "" },
    Functions { named: "enter", file: "src/request/request_log.rs" },
    Functions { named: "recording", file: "src/request/request_log.rs" },
];

/// The trace's id, and the header that carries it on: every call has them, and its access line.
const CONTEXT: [Functions; 1] = [Functions { named: "", file: "src/request/trace.rs" }];

/// Counts the instructions of a call, in the gateway and in redis-server, and holds them to their
/// budgets.
#[derive(Parser)]
#[command(name = "instructions")]
struct Options {
    /// Writes what was counted down as the new budgets.
    #[arg(long)]
    set_budgets: bool,
    /// Another gateway than the one that is built for this.
    #[arg(long, value_name = "PATH")]
    gateway_bin: Option<PathBuf>,
    /// Where to leave what callgrind saw, for `callgrind_annotate`.
    #[arg(long, value_name = "FOLDER")]
    profiles: Option<PathBuf>,
    /// Counts the gateway alone, while it records this share of the traces (0 to 1), beside what it
    /// takes without; nothing is held to a budget.
    #[arg(long, value_name = "SHARE", conflicts_with = "set_budgets")]
    traces: Option<f64>,
    /// What `cargo bench` says to every benchmark, and `cargo test --all-targets` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        println!("nothing is counted without --bench, which `cargo bench` adds");
        return ExitCode::SUCCESS;
    }
    match act(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options) -> Outcome<bool> {
    if !callgrind::is_installed() {
        return Err("valgrind is missing. Install with: apt-get install valgrind".into());
    }
    job::check()?;
    let folder = tempfile::tempdir()?;
    let profiles = options.profiles.clone().unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&profiles)?;
    let gateway = options.gateway_bin.clone().map_or_else(build::gateway, Ok)?;
    let count = |traces| gateway::count(&gateway, folder.path(), &profiles, traces);
    let parts = || gateway::count_parts([&TRACING, &CONTEXT], &gateway, folder.path(), &profiles);
    if let Some(share) = options.traces {
        beside::print(&count(None)?, &count(Some(share))?, share);
        beside::print_parts(parts()?);
        return Ok(true);
    }
    let mut figures = count(None)?;
    let [tracing, _] = parts()?;
    figures.push(figure("gateway", "of it tracing, which is off", tracing));
    figures.extend(stages::count(&profiles)?);
    if options.set_budgets {
        Budgets::set(&figures)?.print(&figures);
        return Ok(true);
    }
    Ok(Budgets::read()?.print(&figures))
}
