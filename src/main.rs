//! Parses the command line, runs it, turns the result into an exit code.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use moongate::cli::{Cli, core_dumps};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything is read: every command may come to hold a secret.
    if let Err(error) = core_dumps::forbid() {
        let _ = writeln!(
            stderr(),
            "moongate: a crash may write the secrets to disk, core dumps cannot be forbidden: {error}"
        );
    }
    // One TLS library, chosen here and nowhere else; it fails only when another one was chosen before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Cli::parse().run(&mut stdout(), &mut stderr())
}
