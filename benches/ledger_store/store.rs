//! A redis-server of one's own, under callgrind or not, and a ledger over it.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings};
use moongate::ledger::{Ledger, Unobserved};
use moongate::store::Topology;

use crate::callgrind;
use crate::outcome::Outcome;

/// A server that ends when its handle does.
pub struct Store {
    process: Child,
    port: u16,
}

impl Store {
    /// Starts one under callgrind, which writes to this file at the end.
    ///
    /// # Errors
    /// It does not start.
    pub fn counted(profile: &Path) -> Outcome<Self> {
        Self::start(callgrind::command(Path::new("redis-server"), profile, &[]))
    }

    /// Starts one as it is.
    ///
    /// # Errors
    /// It does not start.
    pub fn plain() -> Outcome<Self> {
        Self::start(Command::new("redis-server"))
    }

    fn start(mut command: Command) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        // What it does by its own clock is no part of a call, and under callgrind would be most of
        // a lone one.
        command.args(["--hz", "1", "--dynamic-hz", "no"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let store = Self { process, port };
        for line in BufReader::new(output).lines() {
            if line?.contains("Ready to accept connections") {
                store.is_in_use()?;
                return Ok(store);
            }
        }
        Err("redis-server did not start".into())
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it answers to a command.
    ///
    /// # Errors
    /// It does not answer with a text.
    pub fn ask(&self, words: &[&str]) -> Outcome<String> {
        let mut command = redis::cmd(words.first().ok_or("no command")?);
        command.arg(words.get(1..).unwrap_or_default());
        Ok(command.query(
            &mut redis::Client::open(format!("redis://{}", self.address()))?.get_connection()?,
        )?)
    }

    /// Makes it one that gateways have known for long: of a new one nothing is believed for ten
    /// seconds.
    ///
    /// # Errors
    /// It does not answer.
    fn is_in_use(&self) -> Outcome<()> {
        let info = self.ask(&["INFO", "replication"])?;
        let replication_id =
            info.lines().find_map(|line| line.strip_prefix("master_replid:")).ok_or("no reign")?;
        self.ask(&["HSET", "mg1:{mg1:teams}:reigns", replication_id, "1"])?;
        self.ask(&["SADD", "mg1:teams", "*"])?;
        Ok(())
    }

    /// A ledger on it.
    ///
    /// # Errors
    /// Its address is none.
    pub fn ledger(&self) -> Outcome<Arc<dyn Ledger>> {
        let topology = Topology::Single { url: format!("redis://{}", self.address()) };
        let mut settings = Settings::new(topology);
        settings.store.deadline = Duration::from_secs(60);
        Ok(Arc::new(RedisLedger::new(settings, Clock::system(), Arc::new(Unobserved))?))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Asked to end, callgrind writes down what it saw; the server closes the connection instead
        // of answering.
        if self.ask(&["SHUTDOWN", "NOSAVE"]).is_err() {
            self.process.wait().ok();
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
