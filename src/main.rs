//! Parses the command line and runs it.

use clap::Parser;

#[derive(Parser)]
enum Command {
    Simulate(moongate::cli::simulate::Simulate),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let Command::Simulate(simulate) = Command::parse();
    match simulate.run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
