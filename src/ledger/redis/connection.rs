//! The connection to Redis: made when first needed, shared by every operation of the handle, made anew when it fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::dial::Dialer;
use crate::ledger::Outage;

/// How long one attempt to connect may take, the handshakes included, unless less is wanted. It goes on beyond the operation that began it.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Something to send commands on. Clones share one connection.
#[derive(Clone)]
pub(super) enum Link {
    /// One server, or the primary that Sentinels named.
    Server(MultiplexedConnection),
    /// A cluster; it finds the node itself, and reconnects itself.
    Cluster(ClusterConnection),
}

impl Link {
    /// Sends a command and returns its answer.
    pub(super) async fn run(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Server(server) => server.req_packed_command(command).await,
            Self::Cluster(cluster) => cluster.req_packed_command(command).await,
        }?
        .extract_error()
    }

    /// Sends a command that names no key to the server, or in a cluster to the primary, that has this one.
    pub(super) async fn run_at(&mut self, command: Cmd, key: &str) -> Result<Value, RedisError> {
        match self {
            Self::Server(server) => server.req_packed_command(&command).await,
            Self::Cluster(cluster) => cluster.route_command(command, RoutingInfo::SingleNode(node_of(key))).await,
        }?
        .extract_error()
    }

    /// Sends a command, and after it on the same connection asks how many replicas have what it wrote, waiting at most
    /// `patience` for `replicas` of them. `key` says which node of a cluster it is for.
    pub(super) async fn run_and_wait(
        &mut self,
        command: &Cmd,
        key: &str,
        replicas: u32,
        patience: Duration,
    ) -> Result<(Value, u32), RedisError> {
        let mut both = redis::pipe();
        both.add_command(command.clone()).cmd("WAIT").arg(replicas).arg(patience.as_millis().max(1).to_string());
        let answers = match self {
            Self::Server(server) => server.req_packed_commands(&both, 0, 2).await,
            Self::Cluster(cluster) => cluster.route_pipeline(both, 0, 2, node_of(key)).await,
        }?;
        let mut answers = answers.into_iter();
        let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
        let have = match answers.next() {
            Some(Value::Int(have)) => u32::try_from(have).unwrap_or(0),
            _ => 0,
        };
        Ok((answer, have))
    }
}

/// The primary that has a key.
fn node_of(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
}

type Dialing = Shared<BoxFuture<'static, Result<Link, Outage>>>;

enum State {
    Idle,
    Dialing(Dialing),
    Up(Link),
}

/// The one connection of a handle.
pub(super) struct Connection {
    dialer: Arc<Dialer>,
    timeout: Duration,
    /// The number of the attempt, so that a failure seen late does not tear down a newer connection; and where it stands.
    state: Mutex<(u64, State)>,
}

impl Connection {
    pub(super) fn new(dialer: Dialer, timeout: Duration) -> Self {
        Self { dialer: Arc::new(dialer), timeout, state: Mutex::new((0, State::Idle)) }
    }

    /// The connection and its number; made if there is none. Everyone who waits for it waits for the same attempt, which
    /// a caller who leaves does not end.
    pub(super) async fn link(&self) -> Result<(u64, Link), Outage> {
        let (number, dialing) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match &state.1 {
                State::Up(link) => return Ok((state.0, link.clone())),
                State::Dialing(dialing) => (state.0, dialing.clone()),
                State::Idle => {
                    let dialing = self.dial();
                    *state = (state.0 + 1, State::Dialing(dialing.clone()));
                    (state.0, dialing)
                }
            }
        };
        let outcome = dialing.await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == number {
            state.1 = outcome.clone().map_or(State::Idle, State::Up);
        }
        outcome.map(|link| (number, link))
    }

    fn dial(&self) -> Dialing {
        let (dialer, timeout) = (Arc::clone(&self.dialer), self.timeout);
        let attempt = tokio::spawn(async move {
            match tokio::time::timeout(timeout, dialer.dial()).await {
                Ok(Ok(link)) => Ok(link),
                Ok(Err(error)) => Err(outage_of(&error)),
                Err(_) => Err(Outage::TimedOut),
            }
        });
        // The task is only ever cut off with its runtime.
        attempt.map(|ended| ended.unwrap_or_else(|_| Err(Outage::Unreachable("stopped".to_owned())))).boxed().shared()
    }

    /// The connection of this number did not serve: the next operation makes another. With Sentinel that is also what
    /// finds a new primary, since it is asked for whenever a connection is made.
    pub(super) fn drop_link(&self, number: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == number && matches!(state.1, State::Up(Link::Server(_))) {
            state.1 = State::Idle;
        }
    }
}

/// What an error of the client means to the ledger. The server's texts name commands and keys, never a secret.
pub(super) fn outage_of(error: &RedisError) -> Outage {
    if error.is_timeout() {
        return Outage::TimedOut;
    }
    let answered =
        matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType);
    if !answered {
        return Outage::Unreachable(error.to_string());
    }
    let code = error.code().unwrap_or_default();
    Outage::Refused(format!("{code} {}", error.detail().unwrap_or_default()).trim().to_owned())
}

/// Whether another connection may serve where this one did not: it broke, or it leads to a server that is no primary.
pub(super) fn wants_another_connection(error: &RedisError) -> bool {
    let not_primary = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
    );
    not_primary || error.is_io_error() || error.is_unrecoverable_error()
}
