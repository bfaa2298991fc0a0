//! Parses the command line, runs it, turns the result into an exit code.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use moongate::cli::Cli;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // One TLS library, chosen here and nowhere else; it fails only when another one was chosen before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Cli::parse().run(&mut stdout(), &mut stderr())
}
