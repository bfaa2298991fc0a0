//! The command line of the benchmark.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures whole processes side by side on one job: the gateway, nginx, HAProxy, a plain hyper
/// proxy, and no proxy at all.
#[derive(Parser)]
#[command(name = "whole_process")]
pub struct Options {
    /// What this process is; none is the benchmark itself.
    #[command(subcommand)]
    pub role: Option<Role>,
    /// A look in 20 seconds: fewer and shorter windows, no calls in flight.
    #[arg(long)]
    pub quick: bool,
    /// Measures only what begins with this, such as `gateway` or `haproxy-rs256`. Repeatable.
    #[arg(long, value_name = "PEER")]
    pub only: Vec<String>,
    /// The gateway's binary; the one that was built with the benchmark when left out.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_moongate"))]
    pub gateway_bin: PathBuf,
    /// Another build of the gateway, measured in the same run: lines `beside-key` and
    /// `beside-rs256`.
    #[arg(long, value_name = "PATH")]
    pub beside: Option<PathBuf>,
    /// How often every peer is saturated; 5, or 2 with --quick.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// How long a window is, in milliseconds; 2000, or 500 with --quick.
    #[arg(long, value_name = "MS")]
    pub window: Option<u64>,
    /// How many teams share the connections.
    #[arg(long, default_value_t = 4)]
    pub teams: usize,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Calls per second of the open loop; 0 leaves it out.
    #[arg(long, default_value_t = 2000)]
    pub rate: u32,
    /// How often every peer is called by one connection only; 2, or 1 with --quick; 0 leaves it
    /// out.
    #[arg(long, value_name = "N")]
    pub lone_rounds: Option<usize>,
    /// Gateways that share one team, to see how they get on; 0 leaves them out.
    #[arg(long, default_value_t = 2)]
    pub replicas: usize,
    /// Calls held in flight at once, to see what one costs in memory; 0 leaves it out. 5000, or 0
    /// with --quick.
    #[arg(long)]
    pub in_flight: Option<usize>,
    /// What `cargo bench` says to every benchmark, and `cargo test --all-targets` does not.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// The other processes that are this binary.
#[derive(Subcommand, Clone, Copy)]
pub enum Role {
    /// Answers like Firemoon.
    #[command(hide = true)]
    Upstream,
    /// Forwards with hyper's server and pooled client, and checks nothing.
    #[command(hide = true)]
    PlainHyper {
        /// The upstream.
        upstream: SocketAddr,
    },
    /// Forwards with the gateway's own listener and connections, and does nothing else of its job.
    #[command(hide = true)]
    ForwardCore {
        /// The upstream.
        upstream: SocketAddr,
    },
}

/// How long everything takes.
pub struct Plan {
    /// Saturated windows per peer.
    pub rounds: usize,
    /// Windows per peer at a fixed rate.
    pub paced_rounds: usize,
    /// Windows per peer in which one call is made after another.
    pub lone_rounds: usize,
    /// The length of a window.
    pub window: Duration,
    /// Load before every window that is not measured: connections are made, caches warm.
    pub warm_up: Duration,
    /// How often every proxy is started, to see how long that takes.
    pub starts: usize,
    /// Calls in flight at once for the figure of memory.
    pub in_flight: usize,
}

impl Options {
    /// The plan that the flags make.
    pub fn plan(&self) -> Plan {
        let milliseconds = Duration::from_millis;
        let usual = if self.quick {
            Plan {
                rounds: 2,
                paced_rounds: 1,
                lone_rounds: 1,
                window: milliseconds(500),
                warm_up: milliseconds(100),
                starts: 1,
                in_flight: 0,
            }
        } else {
            Plan {
                rounds: 5,
                // Of two windows the 99th percentile says nothing.
                paced_rounds: 5,
                lone_rounds: 2,
                window: milliseconds(2000),
                warm_up: milliseconds(200),
                starts: 5,
                in_flight: 5000,
            }
        };
        Plan {
            rounds: self.rounds.unwrap_or(usual.rounds).max(1),
            paced_rounds: if self.rate == 0 { 0 } else { usual.paced_rounds },
            lone_rounds: self.lone_rounds.unwrap_or(usual.lone_rounds),
            window: self.window.map_or(usual.window, milliseconds),
            in_flight: self.in_flight.unwrap_or(usual.in_flight),
            ..usual
        }
    }

    /// Whether a peer of this name is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }
}
