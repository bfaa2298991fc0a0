//! Current keys of one issuer: refreshed in the background, and when a token names an unknown key.
//! Kept while the issuer is unreachable, until they are too old.
//!
//! One task per issuer does all the reading. So requests never fetch, never wait for each other's
//! locks and cannot cause two reads: they notify the task and wait for its next result.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::fetch::{FETCH_TIME, FetchError, Fetcher};
use super::jwk::Fingerprint;
use super::keyset::{BYTES_MAX, KeySet, KeySetError};
use super::observer::{FAILED, NotObserved, OK, Observer};
use super::settings::KeySource;
use crate::clock::Clock;
use crate::live::Live;

/// Least time between two reads that unknown keys cause.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(30);
/// First pause after a failure while there are no keys; doubles each time, up to [`COOL_DOWN`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Most requests that may wait for one issuer.
const WAITING_MAX: usize = 512;

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The fetch failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The file could not be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// Holds no usable key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

/// The current key set of one issuer.
pub(super) struct IssuerKeys {
    pub(super) issuer: Arc<str>,
    pub(super) source: KeySource,
    keys: Live<Option<KeySet>>,
    history: Mutex<History>,
    requested: Notify,
    waiting: Semaphore,
    readings: watch::Sender<u64>,
}

/// How often keys are read, and how long they may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freshness {
    /// How often they are read again.
    pub(super) refresh: Duration,
    /// How long they are used after the last successful read.
    pub(super) max_stale: Duration,
}

/// Times of reads, by [`Clock::elapsed`].
#[derive(Clone, Copy, Debug, Default)]
struct History {
    tried: Option<Duration>,
    succeeded: Option<Duration>,
    failures: u32,
}

impl IssuerKeys {
    /// No keys yet.
    pub(super) fn new(issuer: Arc<str>, source: KeySource) -> Self {
        Self {
            issuer,
            source,
            keys: Live::new(None),
            history: Mutex::default(),
            requested: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
            readings: watch::Sender::new(0),
        }
    }

    /// The current keys; none before the first read, and none once they are too old.
    pub(super) fn read(&self) -> Arc<Option<KeySet>> {
        self.keys.read()
    }

    /// Whether a key is in the current set.
    pub(super) fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.read().as_ref().as_ref().is_some_and(|keys| keys.holds(fingerprint))
    }

    /// How long ago the keys were read successfully.
    pub(super) fn age(&self, clock: &Clock) -> Option<Duration> {
        self.history().succeeded.map(|at| clock.elapsed().saturating_sub(at))
    }

    /// Whether an unknown key may cause another read now.
    pub(super) fn may_be_asked(&self, clock: &Clock) -> bool {
        self.history().tried.is_none_or(|at| clock.elapsed() >= at + COOL_DOWN)
    }

    /// Requests a read, if one is allowed, and waits a bounded time for it. Returns `false` when
    /// too many requests are waiting already.
    #[must_use]
    pub(super) async fn ask(&self, clock: &Clock) -> bool {
        let Ok(_waiting) = self.waiting.try_acquire() else { return false };
        let mut readings = self.readings.subscribe();
        if self.may_be_asked(clock) {
            self.requested.notify_one();
            // Twice, since discovery is two fetches. Matters only if no task keeps the keys fresh.
            let _ = tokio::time::timeout(2 * FETCH_TIME, readings.changed()).await;
        }
        true
    }

    /// Reads when due and when requested, until cancelled. Drops keys that are too old, and with
    /// them the tokens verified with them: see [`IssuerKeys::holds`].
    pub(super) async fn keep_fresh(
        &self,
        freshness: Freshness,
        fetcher: Option<&Fetcher>,
        clock: &Clock,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) {
        loop {
            let due = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = self.requested.notified() => self.may_be_asked(clock),
                () = tokio::time::sleep(self.pause(freshness.refresh, clock)) => true,
            };
            if due {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => {
                        // The request is still waiting, and another task may have taken over these
                        // keys.
                        self.requested.notify_one();
                        return;
                    }
                    read = self.obtain(fetcher) => {
                        // Errors are logged and counted already; the loop goes on.
                        let _ = self.take(read, clock, observer);
                        self.drop_stale(freshness.max_stale, clock);
                    }
                }
            }
            self.readings.send_modify(|count| *count += 1);
        }
    }

    /// Reads once, for commands that keep nothing fresh.
    ///
    /// # Errors
    /// Why the keys could not be read.
    pub(super) async fn read_once(
        &self,
        fetcher: Option<&Fetcher>,
        clock: &Clock,
    ) -> Result<(), RenewalError> {
        let read = self.obtain(fetcher).await;
        self.take(read, clock, &NotObserved)
    }

    /// Reads a key file on this thread, at start, when waiting does no harm. Does nothing for other
    /// sources.
    pub(super) fn read_file_now(
        &self,
        clock: &Clock,
        observer: &dyn Observer,
    ) -> Result<(), RenewalError> {
        match &self.source {
            KeySource::File(path) => {
                self.take(read_file(path).map_err(RenewalError::from), clock, observer)
            }
            KeySource::Url(_) | KeySource::Discovery => Ok(()),
        }
    }

    async fn obtain(&self, fetcher: Option<&Fetcher>) -> Result<Bytes, RenewalError> {
        let unready = || FetchError::Unreachable("nothing to fetch with".to_owned());
        match &self.source {
            KeySource::Url(url) => Ok(fetcher.ok_or_else(unready)?.get(url).await?),
            KeySource::Discovery => Ok(fetcher.ok_or_else(unready)?.discover(&self.issuer).await?),
            KeySource::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                Ok(read.map_err(io::Error::other)??)
            }
        }
    }

    /// Installs new keys. After a failure the last good set stays.
    fn take(
        &self,
        read: Result<Bytes, RenewalError>,
        clock: &Clock,
        observer: &dyn Observer,
    ) -> Result<(), RenewalError> {
        let parsed = read.and_then(|bytes| Ok(KeySet::parse(&bytes)?));
        {
            let mut history = self.history();
            history.tried = Some(clock.elapsed());
            history.failures = if parsed.is_ok() { 0 } else { history.failures.saturating_add(1) };
            history.succeeded = if parsed.is_ok() { history.tried } else { history.succeeded };
        }
        let taken = parsed.map(|keys| self.replace(keys)).inspect_err(|error| {
            let stands = if self.read().is_some() {
                "the last good one stands"
            } else {
                "its tokens are answered 503 until it can be read"
            };
            tracing::warn!(
                issuer = &*self.issuer,
                %error,
                "the key set could not be read; {stands}"
            );
        });
        observer.refreshed(&self.issuer, if taken.is_ok() { OK } else { FAILED });
        taken
    }

    /// Called after every read. Failed reads are retried within [`COOL_DOWN`], so keys are used no
    /// longer than that beyond their time.
    fn drop_stale(&self, max_stale: Duration, clock: &Clock) {
        if self.read().is_some() && self.age(clock).is_some_and(|age| age >= max_stale) {
            self.keys.replace(None);
            tracing::error!(
                issuer = &*self.issuer,
                "the issuer's keys are older than max_stale: its tokens are answered 503 until \
                 they can be read again"
            );
        }
    }

    fn replace(&self, keys: KeySet) {
        let held = self.keys.read();
        let is_known = |same: fn(&KeySet, &KeySet) -> bool| {
            held.as_ref().as_ref().is_some_and(|held| same(held, &keys))
        };
        let same_keys = is_known(KeySet::has_the_keys_of);
        // Logs ignored keys when they change and not at every read.
        if same_keys && is_known(|held, keys| held.ignored() == keys.ignored()) {
            return;
        }
        let (usable, ignored) = (keys.usable(), keys.ignored().to_string());
        self.keys.replace(Some(keys));
        let what = if same_keys {
            "the key set ignores other keys than before"
        } else {
            "the key set has changed"
        };
        tracing::info!(issuer = &*self.issuer, usable, ignored, "{what}");
    }

    /// Time until the next read is due.
    fn pause(&self, period: Duration, clock: &Clock) -> Duration {
        let History { tried, succeeded, failures } = *self.history();
        let Some(tried) = tried else { return Duration::ZERO };
        let after_a_failure = match succeeded {
            Some(_) => COOL_DOWN,
            None => FIRST_PAUSE * 2_u32.pow(failures.clamp(1, 6) - 1),
        };
        let pause = if failures == 0 { period } else { after_a_failure.min(COOL_DOWN).min(period) };
        (tried + pause.max(FIRST_PAUSE)).saturating_sub(clock.elapsed())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "keyring of {}", self.issuer)
    }
}

/// Checks that a key file is usable.
///
/// # Errors
/// Why it is not usable.
pub fn check_file(path: &Path) -> Result<(), RenewalError> {
    KeySet::parse(&read_file(path)?).map(drop).map_err(RenewalError::from)
}

/// Reads at most one byte more than a key set may have, enough to see that it is too large.
fn read_file(path: &Path) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
