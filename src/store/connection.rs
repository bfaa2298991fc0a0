//! Connection to Redis: made when first needed, shared by all operations of its client, and made
//! anew when it fails or is found dead.
//!
//! A connection can be dead without a sign: balancers and NAT tables drop idle ones silently. The
//! deadline would show it, but by then a call was refused that Redis could have served. So a
//! connection that stays silent for a while is doubted: another is made beside it, and if that one
//! answers first, it replaces the old one, and operations waiting there fail as if it broke. A
//! Redis that is merely slow is slow on both, and the connection stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::Outage;
use super::dial::Dialer;
use super::link::Link;

/// How long one attempt to connect may take, handshakes included, by default. It may outlast the
/// operation that began it.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

type Dialing = Shared<BoxFuture<'static, Result<Link, Outage>>>;

enum Stage {
    Idle,
    Dialing(Dialing),
    Up(Link),
}

struct State {
    /// Number of the attempt, so that a late failure does not drop a newer connection.
    number: u64,
    stage: Stage,
    /// Another connection is being made to see whether this one is dead.
    is_doubted: bool,
}

/// The connection of one client.
pub(super) struct Connection {
    dialer: Dialer,
    timeout: Duration,
    state: Mutex<State>,
}

impl Connection {
    pub(super) fn new(dialer: Dialer, timeout: Duration) -> Arc<Self> {
        let state = State { number: 0, stage: Stage::Idle, is_doubted: false };
        Arc::new(Self { dialer, timeout, state: Mutex::new(state) })
    }

    /// The connection and its number, made if there is none. All waiters share one attempt, which
    /// goes on when one of them leaves.
    pub(super) async fn link(self: &Arc<Self>) -> Result<(u64, Link), Outage> {
        let (number, dialing) = {
            let mut state = self.state();
            match &state.stage {
                Stage::Up(link) => return Ok((state.number, link.clone())),
                Stage::Dialing(dialing) => (state.number, dialing.clone()),
                Stage::Idle => {
                    let dialing = self.dial();
                    *state = State {
                        number: state.number + 1,
                        stage: Stage::Dialing(dialing.clone()),
                        ..*state
                    };
                    (state.number, dialing)
                }
            }
        };
        let outcome = dialing.await;
        let mut state = self.state();
        if state.number == number {
            state.stage = outcome.clone().map_or(Stage::Idle, Stage::Up);
        }
        outcome.map(|link| (number, link))
    }

    fn dial(self: &Arc<Self>) -> Dialing {
        let connection = Arc::clone(self);
        let attempt = tokio::spawn(async move { connection.dial_in_time().await });
        // The task is only cancelled together with its runtime.
        attempt
            .map(|ended| ended.unwrap_or_else(|_| Err(Outage::Unreachable("stopped".to_owned()))))
            .boxed()
            .shared()
    }

    async fn dial_in_time(&self) -> Result<Link, Outage> {
        tokio::time::timeout(self.timeout, self.dialer.dial())
            .await
            .unwrap_or(Err(Outage::TimedOut))
    }

    /// Drops the connection of this number, so that the next operation makes another. That is also
    /// how a new primary is found: Sentinel is asked for it with every connection. A cluster's
    /// client reconnects to its nodes by itself, and a failure of one node must not drop the
    /// others.
    pub(super) fn drop_link(&self, number: u64) {
        let mut state = self.state();
        if state.number == number
            && matches!(&state.stage, Stage::Up(link) if link.is_to_one_server())
        {
            state.stage = Stage::Idle;
        }
    }

    /// Doubts the connection of this number, which has been silent: makes another beside it, which
    /// replaces it if it answers first. `key` is a key of the silent server.
    pub(super) fn doubt(self: &Arc<Self>, number: u64, key: &str) {
        let answers = {
            let mut state = self.state();
            let Stage::Up(link) = &state.stage else { return };
            if state.number != number || state.is_doubted {
                return;
            }
            let answers = link.pulse().answers();
            state.is_doubted = true;
            answers
        };
        let (connection, key) = (Arc::clone(self), key.to_owned());
        tokio::spawn(async move {
            let other = connection.another_that_answers(&key).await;
            connection.judge(number, answers, other);
        });
    }

    async fn another_that_answers(&self, key: &str) -> Option<Link> {
        let attempt = async {
            let mut other = self.dialer.dial().await.ok()?;
            other.run_at(redis::cmd("PING"), key).await.ok()?;
            Some(other)
        };
        tokio::time::timeout(self.timeout, attempt).await.ok().flatten()
    }

    fn judge(&self, number: u64, answers: u64, other: Option<Link>) {
        let mut state = self.state();
        state.is_doubted = false;
        let Stage::Up(old) = &state.stage else { return };
        // Other nodes of a cluster may have answered on the old connection, so its count says
        // nothing; the silent node has answered on the new one.
        let is_dead = !old.is_to_one_server() || old.pulse().answers() == answers;
        if let Some(other) = other.filter(|_| state.number == number && is_dead) {
            old.pulse().end();
            *state = State { number: number + 1, stage: Stage::Up(other), is_doubted: false };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
