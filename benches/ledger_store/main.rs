//! What one call costs redis-server: admitted, marked and settled.
//!
//! Microseconds are those that the server counts for its scripts. Instructions need valgrind: the server runs under callgrind
//! twice, with few calls and with many, and the difference is what the calls cost.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::tz::TimeZone;
use moongate::clock::Clock;
use moongate::credits::Credits;
use moongate::ledger::redis::{KeptLedger, Settings, Topology};
use moongate::ledger::{
    Admission, Asked, Came, Ledger, Level, Outcome, Phase, ReservationId, Scope, Settlement, Unobserved, Verdict,
};
use moongate::team::{Limit, LimitKind, Limits, TeamId, UserId};

type Outcomes<T> = Result<T, Box<dyn Error>>;

/// Calls before those that are counted, and calls that are counted.
const FEW: usize = 256;
const MANY: usize = 2_048;

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

fn act() -> Outcomes<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("one team, one user, eight limits on each of two levels; a call is admitted, marked and settled");
    println!("{:>8} {:>14} {:>14}", "at once", "us a call", "instructions");
    let only: Option<usize> = std::env::var("AT_ONCE").ok().and_then(|text| text.parse().ok());
    for at_once in CROWDS.into_iter().filter(|crowd| only.is_none_or(|only| only == *crowd)) {
        let micros = runtime.block_on(micros(at_once))?;
        let instructions = runtime.block_on(instructions(at_once))?;
        let instructions = instructions.map_or_else(|| "no valgrind".to_owned(), |count| count.to_string());
        println!("{at_once:>8} {micros:>14.1} {instructions:>14}");
    }
    Ok(())
}

/// A redis-server of its own.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(under_valgrind: bool) -> Outcomes<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = if under_valgrind {
            let mut command = Command::new("valgrind");
            let out = std::env::var("CALLGRIND_OUT").unwrap_or_else(|_| "/dev/null".to_owned());
            command.args(["--tool=callgrind", &format!("--callgrind-out-file={out}"), "redis-server"]);
            command
        } else {
            Command::new("redis-server")
        };
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        for line in lines {
            if line?.contains("Ready to accept connections") {
                return Ok(Self { process, port });
            }
        }
        Err("redis-server did not start".into())
    }

    fn ask(&self, words: &[&str]) -> Outcomes<String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut command = redis::cmd(words.first().ok_or("no command")?);
        words.iter().skip(1).for_each(|word| {
            command.arg(word);
        });
        Ok(command.query(&mut client.get_connection()?)?)
    }

    /// Ends it; what it wrote to its error output.
    fn end(mut self) -> Outcomes<String> {
        // It closes the connection instead of answering.
        let _ = self.ask(&["SHUTDOWN", "NOSAVE"]);
        self.process.wait()?;
        let mut errors = String::new();
        self.process.stderr.take().ok_or("no error output")?.read_to_string(&mut errors)?;
        Ok(errors)
    }
}

fn ledger(server: &Server) -> Outcomes<Arc<dyn Ledger>> {
    let url = format!("redis://127.0.0.1:{}", server.port);
    let settings = Settings {
        deadline: Duration::from_secs(60),
        // A new server is trusted after a third of that.
        reservation_ttl: Duration::from_secs(3),
        ..Settings::new(Topology::Single { url })
    };
    Ok(Arc::new(KeptLedger::new(settings, Clock::system(), Arc::new(Unobserved))?))
}

fn admission() -> Outcomes<Admission> {
    let user = UserId::parse("user-4711@bench.example").ok_or("a user")?;
    let kinds = LimitKind::ALL.iter().copied().filter(|kind| *kind != LimitKind::CreditsTotal);
    let most = |kind: LimitKind| if kind.name().starts_with("credits") { 1 << 50 } else { Limit::REQUESTS_MAX };
    let limits = Arc::new(Limits::new(kinds.map(|kind| Limit::new(kind, most(kind)))));
    let level = |scope| Level { scope, limits: Arc::clone(&limits) };
    let asked = Asked {
        request_id: "0123456789abcdef0123456789abcdef".into(),
        user: user.as_str().into(),
        credential: "token".into(),
        model: "flux/dev".into(),
        images: 1,
        price_version: "2026-11".into(),
        ..Asked::default()
    };
    Ok(Admission {
        id: ReservationId::new(),
        team: TeamId::parse("alpha").ok_or("a team")?,
        levels: vec![level(Scope::Team), level(Scope::User(user))],
        time_zone: TimeZone::UTC,
        price: Credits::from_micros(25_000),
        phase: Phase::Waiting,
        asked,
    })
}

async fn call(ledger: &Arc<dyn Ledger>, like: &Admission) -> Outcomes<()> {
    let admission = Admission { id: ReservationId::new(), ..like.clone() };
    let (team, id, charged) = (admission.team.clone(), admission.id, admission.price);
    let Verdict::Admitted { .. } = ledger.admit(admission).await? else { return Err("refused".into()) };
    ledger.dispatch(&team, id).await?;
    let came = Came { status: 200, images: 1, upstream_ms: 2_000, ..Came::default() };
    ledger.settle(&team, Settlement { id, outcome: Outcome::Charged, charged, came, keeps_slots: false }).await?;
    Ok(())
}

async fn calls(ledger: &Arc<dyn Ledger>, count: usize, at_once: usize) -> Outcomes<()> {
    let like = admission()?;
    for _ in 0..count / at_once {
        for done in join_all((0..at_once).map(|_| call(ledger, &like))).await {
            done?;
        }
    }
    Ok(())
}

/// A ledger on a server that is trusted by now.
async fn ready(server: &Server) -> Outcomes<Arc<dyn Ledger>> {
    let ledger = ledger(server)?;
    let like = admission()?;
    while call(&ledger, &like).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(ledger)
}

async fn micros(at_once: usize) -> Outcomes<f64> {
    let server = Server::start(false)?;
    let ledger = ready(&server).await?;
    calls(&ledger, FEW.max(at_once), at_once).await?;
    server.ask(&["CONFIG", "RESETSTAT"])?;
    calls(&ledger, MANY, at_once).await?;
    let statistics = server.ask(&["INFO", "commandstats"])?;
    let spent = statistics.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).ok_or("no script ran")?;
    let spent = spent.split(',').find_map(|part| part.strip_prefix("usec=")).ok_or("no time")?;
    let spent: f64 = spent.parse()?;
    server.end()?;
    Ok(spent / MANY as f64)
}

async fn instructions(at_once: usize) -> Outcomes<Option<u64>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(None);
    }
    let (few, many) = (counted(at_once, FEW.max(at_once)).await?, counted(at_once, MANY).await?);
    Ok(Some(many.saturating_sub(few) / (MANY - FEW.max(at_once)) as u64))
}

async fn counted(at_once: usize, count: usize) -> Outcomes<u64> {
    let server = Server::start(true)?;
    let ledger = ready(&server).await?;
    calls(&ledger, count, at_once).await?;
    drop(ledger);
    let errors = server.end()?;
    let collected =
        errors.lines().find_map(|line| line.split("Collected : ").nth(1)).ok_or("callgrind said nothing")?;
    Ok(collected.trim().parse()?)
}
