//! Sends every operation to Redis: on the client's connection, within the deadline, and once more
//! on another connection if that one proves broken or dead. Operations have ids, and scripts check
//! them, so that all of them are safe to repeat.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::RedisError;
use tokio::time::timeout;

use super::Outage;
use super::connection::Connection;
pub(super) use super::connection::DIAL_TIMEOUT;
use super::dial::Dialer;
use super::failure::{is_redirect, outage_of, wants_another_connection};
use super::link::Link;

/// Most retries after a redirect of a cluster's node; the pause before each is longer by
/// `REDIRECT_PAUSE`.
const REDIRECTS_MAX: u32 = 5;
const REDIRECT_PAUSE: Duration = Duration::from_millis(10);

/// Parts in which a deadline is waited for; see [`Exchanges::in_time`]. A busy process notices the
/// end of each part when its task runs again. Sending a command and noticing its answer takes three
/// runs of the task, connecting as many, and few operations have more than four commands.
const DEADLINE_PARTS: u32 = 16;

/// Progress of an operation, for the code that times it out.
#[derive(Default)]
struct Progress {
    /// Number of the connection it was last sent on; 0 is none.
    sent_on: AtomicU64,
    /// Whether it was resent because its connection broke: only once.
    resent: AtomicBool,
    /// How often a cluster's node redirected it.
    redirects: AtomicU32,
}

impl Progress {
    /// Notes that it is sent on the connection of this number.
    fn note_sent_on(&self, number: u64) {
        self.sent_on.store(number, Ordering::Relaxed);
    }
}

/// Operations of one client, and their deadline.
pub(super) struct Exchanges {
    connection: Arc<Connection>,
    deadline: Duration,
}

impl Exchanges {
    /// Connects on first use.
    pub(super) fn new(dialer: Dialer, dial_timeout: Duration, deadline: Duration) -> Self {
        Self { connection: Connection::new(dialer, dial_timeout), deadline }
    }

    /// The connection and its number, made if there is none.
    pub(super) async fn link(&self) -> Result<(u64, Link), Outage> {
        self.connection.link().await
    }

    /// Runs something on the connection within the deadline. `key` is a key that it uses.
    pub(super) async fn run<T, F>(&self, key: &str, doing: impl Fn(Link) -> F) -> Result<T, Outage>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let progress = Progress::default();
        let attempt = async {
            loop {
                let (number, link) = self.link().await?;
                progress.note_sent_on(number);
                let error = match doing(link.clone()).await {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                if !self.may_be_resent(&error, number, &link, &progress).await {
                    return Err(outage_of(&error));
                }
            }
        };
        // Boxed: it is large, and would be moved into each timeout.
        self.in_time(key, &progress, Box::pin(attempt)).await
    }

    /// Whether to send it again: once, if its connection broke, since a connection that broke while
    /// idle is no outage. In a cluster also when a node redirects to one that the client is still
    /// connecting to, after a pause.
    async fn may_be_resent(
        &self,
        error: &RedisError,
        number: u64,
        link: &Link,
        progress: &Progress,
    ) -> bool {
        if is_redirect(error) && !link.is_to_one_server() {
            let times = progress.redirects.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(REDIRECT_PAUSE * times).await;
            return times < REDIRECTS_MAX;
        }
        let another = wants_another_connection(error);
        if another {
            self.connection.drop_link(number);
        }
        another && !progress.resent.swap(true, Ordering::Relaxed)
    }

    /// Waits for the operation until its deadline. After half of that the connection is doubted, so
    /// that what was sent on a dead one can still be resent in time.
    ///
    /// The deadline is about the store. A process with thousands of calls at once comes late to
    /// everything, also to sending a command and to an answer that arrived long ago. So each part
    /// of the deadline begins when the end of the one before was noticed: a process that is late
    /// has that delay once more for each part, and needs it fewer times for the operation.
    async fn in_time<T>(
        &self,
        key: &str,
        progress: &Progress,
        attempt: impl Future<Output = Result<T, Outage>>,
    ) -> Result<T, Outage> {
        let mut attempt = pin!(attempt);
        for part in 1..=DEADLINE_PARTS {
            if let Ok(done) = timeout(self.deadline / DEADLINE_PARTS, attempt.as_mut()).await {
                return done;
            }
            if part == DEADLINE_PARTS / 2 {
                self.connection.doubt(progress.sent_on.load(Ordering::Relaxed), key);
            }
        }
        self.connection.drop_link(progress.sent_on.load(Ordering::Relaxed));
        Err(Outage::TimedOut)
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
