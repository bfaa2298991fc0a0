//! `moongate healthcheck`: asks a running gateway whether it is ready, for container probes that can only run a command.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;

use super::Ended;
use crate::config::address::host_and_port;

/// Asks a running gateway whether it is ready; exits 0 when it is and 1 when it is not.
#[derive(Clone, Debug, Args)]
pub struct Healthcheck {
    /// The operator's listener of the gateway
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9091", value_parser = host_and_port)]
    address: String,
    /// Ask only whether the process is alive
    #[arg(long)]
    live: bool,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Why the gateway is not well.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("{0} is no known address")]
    NoAddress(String),
    #[error("no gateway answers at {0}: {1}")]
    Silent(String, io::Error),
    #[error("{0}")]
    Says(String),
}

impl Healthcheck {
    /// Asks.
    ///
    /// # Errors
    /// It is not ready, or nobody answers.
    pub fn run(&self) -> Result<(), Ended> {
        self.ask().map_err(|unwell| Ended::Failed(unwell.to_string()))
    }

    fn ask(&self) -> Result<(), Unwell> {
        let path = if self.live { "/livez" } else { "/readyz" };
        let silent = |error| Unwell::Silent(self.address.clone(), error);
        let answer = self.get(path).map_err(silent)?.ok_or_else(|| Unwell::NoAddress(self.address.clone()))?;
        let status = answer.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) == Some("200") {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Err(Unwell::Says(format!("{path} answers {status}: {body}")))
    }

    /// The whole answer, read within the time-out; `None` when the address names nothing.
    fn get(&self, path: &str) -> io::Result<Option<String>> {
        let timeout = Duration::from_secs(self.timeout);
        let mut tried = self.address.to_socket_addrs()?.map(|address| TcpStream::connect_timeout(&address, timeout));
        // A name may have an address of either family, of which the listener has one.
        let Some(first) = tried.next() else { return Ok(None) };
        let mut stream = first.or_else(|error| tried.find_map(Result::ok).ok_or(error))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = String::new();
        // A few lines are all there is to say.
        for line in BufReader::new(io::Read::take(stream, 64 * 1024)).lines() {
            answer.push_str(&line?);
            answer.push_str("\r\n");
        }
        Ok(Some(answer))
    }
}
