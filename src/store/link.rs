//! Something to send commands on: to one server, or to a cluster.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, RedisError, Value};
use tokio_util::sync::CancellationToken;

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Link {
    to: To,
    /// The address of the one server.
    at: Arc<str>,
    pulse: Arc<Pulse>,
}

#[derive(Clone)]
enum To {
    /// One server, or the primary that Sentinels named.
    Server(MultiplexedConnection),
    /// A cluster; it finds the node itself, and reconnects itself.
    Cluster(ClusterConnection),
}

impl Link {
    /// To one server, at this address.
    pub(crate) fn to_server(server: MultiplexedConnection, at: &str) -> Self {
        Self { to: To::Server(server), at: at.into(), pulse: Arc::default() }
    }

    /// To a cluster.
    pub(crate) fn to_cluster(cluster: ClusterConnection) -> Self {
        Self { to: To::Cluster(cluster), at: "".into(), pulse: Arc::default() }
    }

    /// What is seen of it while it is in use.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether it leads to one server, and so is over when that one is.
    pub(crate) const fn is_to_one_server(&self) -> bool {
        matches!(self.to, To::Server(_))
    }

    /// Sends a command and returns its answer.
    pub(crate) async fn run(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let sent = async {
            match &mut self.to {
                To::Server(server) => server.req_packed_command(command).await,
                To::Cluster(cluster) => cluster.req_packed_command(command).await,
            }
        };
        self.pulse.feel(sent).await?.extract_error()
    }

    /// Sends a command that names no key to the server, or in a cluster to the primary, that has this one.
    pub(crate) async fn run_at(&mut self, command: Cmd, key: &str) -> Result<Value, RedisError> {
        let sent = async {
            match &mut self.to {
                To::Server(server) => server.req_packed_command(&command).await,
                To::Cluster(cluster) => cluster.route_command(command, RoutingInfo::SingleNode(node_of(key))).await,
            }
        };
        self.pulse.feel(sent).await?.extract_error()
    }

    /// Sends a command that names no key to the server, or in a cluster to every primary: the answers, each with the
    /// address of its server.
    pub(crate) async fn run_everywhere(&mut self, command: Cmd) -> Result<Vec<(String, Value)>, RedisError> {
        let sent = async {
            match &mut self.to {
                To::Server(server) => server.req_packed_command(&command).await,
                To::Cluster(cluster) => {
                    let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                    cluster.route_command(command, primaries).await
                }
            }
        };
        let answer = self.pulse.feel(sent).await?.extract_error()?;
        if self.is_to_one_server() {
            return Ok(vec![(self.at.to_string(), answer)]);
        }
        let answers = answer.into_map_iter().map_err(|_| (ErrorKind::UnexpectedReturnType, "not told node by node"))?;
        answers.map(|(node, answer)| Ok((redis::from_redis_value(node)?, answer))).collect()
    }

    /// Sends a command, and after it on the same connection asks how many replicas have what it wrote, waiting at most
    /// `patience` for `replicas` of them. `key` says which node of a cluster it is for.
    pub(crate) async fn run_and_wait(
        &mut self,
        command: &Cmd,
        key: &str,
        replicas: u32,
        patience: Duration,
    ) -> Result<(Value, u32), RedisError> {
        let mut both = redis::pipe();
        both.add_command(command.clone()).cmd("WAIT").arg(replicas).arg(patience.as_millis().max(1).to_string());
        let sent = async {
            match &mut self.to {
                To::Server(server) => server.req_packed_commands(&both, 0, 2).await,
                To::Cluster(cluster) => cluster.route_pipeline(both, 0, 2, node_of(key)).await,
            }
        };
        let mut answers = self.pulse.feel(sent).await?.into_iter();
        let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
        let have = match answers.next() {
            Some(Value::Int(have)) => u32::try_from(have).unwrap_or(0),
            _ => 0,
        };
        Ok((answer, have))
    }
}

/// What is seen of a connection while it is in use.
#[derive(Default)]
pub(crate) struct Pulse {
    answers: AtomicU64,
    /// Another has taken its place, and nobody is to wait on it any longer.
    replaced: CancellationToken,
    /// A number for what the one server was when it was asked: it is that for as long as the connection lives.
    reign: OnceLock<u64>,
}

impl Pulse {
    /// Waits for an answer on the connection, or for the connection to be found dead.
    async fn feel<T>(&self, answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
        tokio::select! {
            biased;
            answer = answer => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                answer
            }
            () = self.replaced.cancelled() => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        }
    }

    /// A number for what the one server is, once somebody has asked.
    pub(crate) const fn reign(&self) -> &OnceLock<u64> {
        &self.reign
    }

    /// How many answers have come.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Another connection has taken the place of this one: whoever waits on it is told that it broke.
    pub(crate) fn end(&self) {
        self.replaced.cancel();
    }
}

/// The primary that has a key.
fn node_of(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
}
