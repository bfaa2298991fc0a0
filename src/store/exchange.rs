//! The one way through to Redis: on the handle's connection, within the deadline, and once more on another connection
//! where that one proves broken or dead. All that is sent here is safe to repeat: that is what the ids and the scripts
//! are for.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::RedisError;
use tokio::time::{Instant, timeout_at};

use super::Outage;
use super::connection::Connection;
pub(super) use super::connection::DIAL_TIMEOUT;
use super::dial::Dialer;
use super::failure::{leads_on, outage_of, wants_another_connection};
use super::link::Link;

/// How often it is sent again where a cluster's node leads on to another, and how much longer is waited each time.
const LED_ON_MOST: u32 = 5;
const LED_ON_PAUSE: Duration = Duration::from_millis(10);

/// How far something has come, seen from outside when its time runs out.
#[derive(Default)]
struct Progress {
    /// The number of the connection it was last sent on; 0 is none.
    sent_on: AtomicU64,
    /// It was sent once more because its connection broke: that helps once.
    resent: AtomicBool,
    /// How often a cluster's node led on to another.
    led_on: AtomicU32,
}

impl Progress {
    /// It is sent on the connection of this number.
    fn goes_on(&self, number: u64) {
        self.sent_on.store(number, Ordering::Relaxed);
    }
}

/// What one handle sends, and how long an answer may take.
pub(super) struct Exchanges {
    connection: Arc<Connection>,
    deadline: Duration,
}

impl Exchanges {
    /// Exchanges over a connection that is made when it is needed.
    pub(super) fn new(dialer: Dialer, dial_timeout: Duration, deadline: Duration) -> Self {
        Self { connection: Connection::new(dialer, dial_timeout), deadline }
    }

    /// The connection and its number; made if there is none.
    pub(super) async fn link(&self) -> Result<(u64, Link), Outage> {
        self.connection.link().await
    }

    /// Does something with the connection, within the deadline. `key` is one that it names.
    pub(super) async fn run<T, F>(&self, key: &str, doing: impl Fn(Link) -> F) -> Result<T, Outage>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let progress = Progress::default();
        let attempt = async {
            loop {
                let (number, link) = self.link().await?;
                progress.goes_on(number);
                let error = match doing(link.clone()).await {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                if !self.may_be_resent(&error, number, &link, &progress).await {
                    return Err(outage_of(&error));
                }
            }
        };
        // Apart: it is large, and moved when its time is measured.
        self.in_time(key, &progress, Box::pin(attempt)).await
    }

    /// Whether what failed is to be sent again: its connection broke, so that another may serve, and it is the first
    /// time. A connection that broke while it was idle is no outage. In a cluster a node may lead on to one to which
    /// the client is just connecting anew: that is waited for.
    async fn may_be_resent(&self, error: &RedisError, number: u64, link: &Link, progress: &Progress) -> bool {
        if leads_on(error) && !link.is_to_one_server() {
            let times = progress.led_on.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(LED_ON_PAUSE * times).await;
            return times < LED_ON_MOST;
        }
        let another = wants_another_connection(error);
        if another {
            self.connection.drop_link(number);
        }
        another && !progress.resent.swap(true, Ordering::Relaxed)
    }

    /// Waits for the end of something until the deadline. A connection that is silent for half of that is doubted, so
    /// that what was sent on a dead one is sent again while there is time.
    async fn in_time<T>(
        &self,
        key: &str,
        progress: &Progress,
        attempt: impl Future<Output = Result<T, Outage>>,
    ) -> Result<T, Outage> {
        let (started, mut attempt) = (Instant::now(), pin!(attempt));
        if let Ok(done) = timeout_at(started + self.deadline / 2, attempt.as_mut()).await {
            return done;
        }
        self.connection.doubt(progress.sent_on.load(Ordering::Relaxed), key);
        let done = timeout_at(started + self.deadline, attempt).await;
        done.unwrap_or_else(|_| {
            self.connection.drop_link(progress.sent_on.load(Ordering::Relaxed));
            Err(Outage::TimedOut)
        })
    }
}
