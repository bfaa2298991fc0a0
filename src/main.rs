//! Parses the command line, runs it, turns the result into an exit code.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use moongate::cli::{Cli, core_dumps};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // First of all: every command may come to hold a secret.
    if let Err(error) = core_dumps::forbid() {
        let _ = writeln!(
            stderr(),
            "moongate: a crash may write the secrets to disk, core dumps cannot be \
             forbidden: {error}"
        );
    }
    // The process has one TLS library, chosen here. Fails only if another was installed before,
    // which nothing here does.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Cli::parse().run(&mut stdout(), &mut stderr())
}
