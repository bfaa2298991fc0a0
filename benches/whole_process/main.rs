//! The whole-process benchmark: what a call costs the gateway, beside nginx, HAProxy and plain
//! hyper on the same job, in one run.
//!
//! Read `README.md` beside this folder for what the figures mean. In this order: [`options`] and
//! [`run`] say what happens; [`peers`] starts everybody ([`gateway`], [`forward_core`], [`rivals`],
//! [`credentials`], [`process`]); [`load`] calls them with the [`job`] that [`upstream`] answers;
//! [`cpu`] reads what they used; [`measured`] is what came of it, and [`report`] prints it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]
#![allow(unreachable_pub, reason = "a program: nobody can reach anything in it")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures for people")]

mod cpu;
mod credentials;
mod forward_core;
mod gateway;
mod job;
mod load;
mod measured;
mod options;
#[path = "../shared/outcome.rs"]
mod outcome;
mod peers;
mod plain_hyper;
mod process;
mod replicas;
mod report;
mod rivals;
mod run;
mod spread;
mod store;
mod upstream;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tokio::task::LocalSet;

use options::{Options, Role};
use outcome::Outcome;

/// The gateway's own allocator, so that [`forward_core`] costs what it costs there. [`plain_hyper`]
/// gains by it as well.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    match act(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options) -> Outcome<bool> {
    if options.role.is_none() {
        job::check()?;
        if !options.bench {
            println!("nothing is measured without --bench, which `cargo bench` adds");
            return Ok(true);
        }
        process::require(&peers::programs(options))?;
        process::settle_down()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match options.role {
        // Prints its port in the first line of standard output, as the other roles do.
        Some(Role::Upstream) => runtime.block_on(async {
            let listener = upstream::listen()?;
            println!("{}", listener.local_addr()?.port());
            upstream::answer_everybody(listener).await
        })?,
        Some(Role::PlainHyper { upstream }) => runtime.block_on(plain_hyper::serve(upstream))?,
        Some(Role::ForwardCore { upstream }) => runtime.block_on(forward_core::serve(upstream))?,
        None => return LocalSet::new().block_on(&runtime, run::run(options)),
    }
    Ok(true)
}
