//! The connection to Redis: made when first needed, shared by every operation of the handle, made anew when it fails or
//! is found to be dead.
//!
//! A connection can be dead without anyone having said so: a balancer, or a network's table of connections, drops idle
//! ones in silence. Waiting for the deadline would tell, but by then a call was refused that Redis could have served.
//! So a connection that stays silent for a while is doubted: another is made beside it, and if that one answers first,
//! it takes the place of the old one, and whoever waits there is told that it broke. A Redis that is merely slow is
//! slow on both, and keeps the one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::Outage;
use super::dial::Dialer;
use super::link::Link;

/// How long one attempt to connect may take, the handshakes included, unless less is wanted. It goes on beyond the
/// operation that began it.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

type Dialing = Shared<BoxFuture<'static, Result<Link, Outage>>>;

enum Stage {
    Idle,
    Dialing(Dialing),
    Up(Link),
}

struct State {
    /// The number of the attempt, so that a failure seen late does not tear down a newer connection.
    number: u64,
    stage: Stage,
    /// Another connection is being made to see whether this one is dead.
    is_doubted: bool,
}

/// The one connection of a handle.
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

    /// The connection and its number; made if there is none. Everyone who waits for it waits for the same attempt,
    /// which a caller who leaves does not end.
    pub(super) async fn link(self: &Arc<Self>) -> Result<(u64, Link), Outage> {
        let (number, dialing) = {
            let mut state = self.state();
            match &state.stage {
                Stage::Up(link) => return Ok((state.number, link.clone())),
                Stage::Dialing(dialing) => (state.number, dialing.clone()),
                Stage::Idle => {
                    let dialing = self.dial();
                    *state = State { number: state.number + 1, stage: Stage::Dialing(dialing.clone()), ..*state };
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
        // The task is only ever cut off with its runtime.
        attempt.map(|ended| ended.unwrap_or_else(|_| Err(Outage::Unreachable("stopped".to_owned())))).boxed().shared()
    }

    async fn dial_in_time(&self) -> Result<Link, Outage> {
        tokio::time::timeout(self.timeout, self.dialer.dial()).await.unwrap_or(Err(Outage::TimedOut))
    }

    /// The connection of this number did not serve: the next operation makes another. With Sentinel that is also what
    /// finds a new primary, since it is asked for whenever a connection is made. A cluster's client makes those to its
    /// nodes by itself, and what one node does is not to take the others away.
    pub(super) fn drop_link(&self, number: u64) {
        let mut state = self.state();
        if state.number == number && matches!(&state.stage, Stage::Up(link) if link.is_to_one_server()) {
            state.stage = Stage::Idle;
        }
    }

    /// The connection of this number has been silent for long: another is made beside it, and replaces it if it answers
    /// first. `key` is one that the silent server has.
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
        // Of a cluster the other nodes may have answered; the one that was silent here has answered there.
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
