//! What one call costs redis-server: admitted, marked unless it was admitted as sent, and settled.
//!
//! Microseconds are those that the server counts for its scripts; instructions are counted by
//! callgrind.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]
#![allow(unreachable_pub, reason = "a program: nobody can reach anything in it")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures for people")]

#[allow(dead_code, reason = "another benchmark needs more of it")]
#[path = "../shared/callgrind.rs"]
mod callgrind;
mod calls;
#[path = "../shared/outcome.rs"]
mod outcome;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use callgrind::Counted;
use calls::{Way, admission, calls};
use outcome::Outcome;
use store::Store;

/// Calls before those that are counted, and calls that are counted.
const FEW: usize = 256;
const MANY: usize = 1_024;

/// How many calls are under way at once.
const CROWDS: [usize; 3] = [1, 16, 128];

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    match act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ledger_store: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "one team, one user, eight limits on each of two levels; a call is admitted, and settled"
    );
    println!("{:>8} {:>12} {:>12} {:>14}", "at once", "admitted", "us a call", "instructions");
    let only: Option<usize> = std::env::var("AT_ONCE").ok().and_then(|text| text.parse().ok());
    for at_once in CROWDS.into_iter().filter(|crowd| only.is_none_or(|only| only == *crowd)) {
        for way in [Way::AsSent, Way::ThenMarked] {
            let micros = runtime.block_on(micros(way, at_once))?;
            let instructions = runtime.block_on(instructions(way, at_once))?;
            let instructions =
                instructions.map_or_else(|| "no valgrind".to_owned(), |count| count.to_string());
            println!("{at_once:>8} {:>12} {micros:>12.1} {instructions:>14}", way.name());
        }
    }
    Ok(())
}

async fn micros(way: Way, at_once: usize) -> Outcome<f64> {
    let store = Store::plain()?;
    let (ledger, like) = (store.ledger()?, admission(way)?);
    calls(&ledger, &like, FEW, at_once).await?;
    store.ask(&["CONFIG", "RESETSTAT"])?;
    calls(&ledger, &like, MANY, at_once).await?;
    let statistics = store.ask(&["INFO", "commandstats"])?;
    let spent = statistics
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))
        .ok_or("no script ran")?;
    let spent = spent.split(',').find_map(|part| part.strip_prefix("usec=")).ok_or("no time")?;
    Ok(spent.parse::<f64>()? / MANY as f64)
}

async fn instructions(way: Way, at_once: usize) -> Outcome<Option<u64>> {
    if !callgrind::is_installed() {
        return Ok(None);
    }
    let profile =
        std::env::var_os("CALLGRIND_OUT").map_or_else(|| "/dev/null".into(), PathBuf::from);
    let store = Store::counted(&profile)?;
    let (ledger, like) = (store.ledger()?, admission(way)?);
    calls(&ledger, &like, FEW, at_once).await?;
    let counted = Counted::new(store.id())?;
    let mark = counted.mark()?;
    calls(&ledger, &like, MANY, at_once).await?;
    counted.for_each(MANY, &mark).map(Some)
}
