//! A connection to one server or to a cluster.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{
    MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr,
};
use redis::{Cmd, ErrorKind, RedisError, Value};
use tokio_util::sync::CancellationToken;

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Link {
    to: To,
    /// Address of the one server.
    at: Arc<str>,
    pulse: Arc<Pulse>,
}

#[derive(Clone)]
enum To {
    /// One server, or the primary that Sentinels named.
    Server(MultiplexedConnection),
    /// A cluster; it finds the node and reconnects by itself.
    Cluster(ClusterConnection),
}

impl Link {
    /// A connection to the server at this address.
    pub(crate) fn to_server(server: MultiplexedConnection, at: &str) -> Self {
        Self { to: To::Server(server), at: at.into(), pulse: Arc::default() }
    }

    /// A connection to a cluster.
    pub(crate) fn to_cluster(cluster: ClusterConnection) -> Self {
        Self { to: To::Cluster(cluster), at: "".into(), pulse: Arc::default() }
    }

    /// Observations of it while in use.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether it leads to one server, and so ends with that server's connection.
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

    /// Sends a command without a key to the server, or in a cluster to the primary that has this
    /// key.
    pub(crate) async fn run_at(&mut self, command: Cmd, key: &str) -> Result<Value, RedisError> {
        let sent = async {
            match &mut self.to {
                To::Server(server) => server.req_packed_command(&command).await,
                To::Cluster(cluster) => {
                    cluster.route_command(command, RoutingInfo::SingleNode(node_of(key))).await
                }
            }
        };
        self.pulse.feel(sent).await?.extract_error()
    }

    /// Sends a command without a key to the server, or to every primary of a cluster. Returns each
    /// answer with its server's address.
    pub(crate) async fn run_everywhere(
        &mut self,
        command: Cmd,
    ) -> Result<Vec<(String, Value)>, RedisError> {
        let sent = async {
            match &mut self.to {
                To::Server(server) => server.req_packed_command(&command).await,
                To::Cluster(cluster) => {
                    let primaries =
                        RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                    cluster.route_command(command, primaries).await
                }
            }
        };
        let answer = self.pulse.feel(sent).await?.extract_error()?;
        if self.is_to_one_server() {
            return Ok(vec![(self.at.to_string(), answer)]);
        }
        let answers = answer
            .into_map_iter()
            .map_err(|_| (ErrorKind::UnexpectedReturnType, "no answer per node"))?;
        answers.map(|(node, answer)| Ok((redis::from_redis_value(node)?, answer))).collect()
    }

    /// Sends a command and after it, on the same connection, `WAIT` for `replicas` replicas for at
    /// most `patience`. Returns how many replicas have what it wrote. `key` selects the node of a
    /// cluster.
    pub(crate) async fn run_and_wait(
        &mut self,
        command: &Cmd,
        key: &str,
        replicas: u32,
        patience: Duration,
    ) -> Result<(Value, u32), RedisError> {
        let mut both = redis::pipe();
        both.add_command(command.clone())
            .cmd("WAIT")
            .arg(replicas)
            .arg(patience.as_millis().max(1).to_string());
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

/// Observations of a connection while in use.
#[derive(Default)]
pub(crate) struct Pulse {
    answers: AtomicU64,
    /// Cancelled when another connection has replaced this one.
    replaced: CancellationToken,
    /// Number of the one server's replication id when first read, which holds as long as the
    /// connection.
    replication: OnceLock<u64>,
}

impl Pulse {
    /// Waits for an answer, or until the connection is replaced.
    async fn feel<T>(
        &self,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        tokio::select! {
            biased;
            answer = answer => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                answer
            }
            () = self.replaced.cancelled() => {
                Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())
            }
        }
    }

    /// Number of the one server's replication id, once it was read.
    pub(crate) const fn replication(&self) -> &OnceLock<u64> {
        &self.replication
    }

    /// Number of answers so far.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Ends the connection because another has replaced it: operations that wait on it fail as if
    /// it broke.
    pub(crate) fn end(&self) {
        self.replaced.cancel();
    }
}

/// The primary that has a key.
fn node_of(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
}
