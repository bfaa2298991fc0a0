//! The keys of one issuer as they are now: read in the background, once more when a token says a key nobody knows, and
//! kept while the issuer is away, for as long as they may be stale.
//!
//! One task per issuer does all the reading, so requests never fetch, never wait for each other's locks, and cannot
//! make it read twice: they ask, and wait for its next result.

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

/// How long after one reading an unknown key may cause the next.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(30);
/// The first pause after a failure while there are no keys at all; doubled each time, up to [`COOL_DOWN`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How many requests may wait for one issuer.
const WAITING_MAX: usize = 512;

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The issuer did not deliver.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The file could not be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// What came is not a usable key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

/// The live key set of one issuer.
pub(super) struct IssuerKeys {
    pub(super) issuer: Arc<str>,
    pub(super) source: KeySource,
    keys: Live<Option<KeySet>>,
    history: Mutex<History>,
    wanted: Notify,
    waiting: Semaphore,
    readings: watch::Sender<u64>,
}

/// How fresh an issuer's keys are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freshness {
    /// How often they are read again although nobody asked.
    pub(super) refresh: Duration,
    /// How long they are used after they were last read well.
    pub(super) max_stale: Duration,
}

/// When keys were read; times are those of [`Clock::elapsed`].
#[derive(Clone, Copy, Debug, Default)]
struct History {
    tried: Option<Duration>,
    succeeded: Option<Duration>,
    failures: u32,
}

impl IssuerKeys {
    /// A keyring that has no keys yet.
    pub(super) fn new(issuer: Arc<str>, source: KeySource) -> Self {
        Self {
            issuer,
            source,
            keys: Live::new(None),
            history: Mutex::default(),
            wanted: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
            readings: watch::Sender::new(0),
        }
    }

    /// The keys as they are now; none before the first were read, and none when they are too old to be used.
    pub(super) fn read(&self) -> Arc<Option<KeySet>> {
        self.keys.read()
    }

    /// Whether a key is in the set now.
    pub(super) fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.read().as_ref().as_ref().is_some_and(|keys| keys.holds(fingerprint))
    }

    /// How long ago the keys were last read well.
    pub(super) fn age(&self, clock: &Clock) -> Option<Duration> {
        self.history().succeeded.map(|at| clock.elapsed().saturating_sub(at))
    }

    /// Whether an unknown key is reason enough to read again now.
    pub(super) fn may_be_asked(&self, clock: &Clock) -> bool {
        self.history().tried.is_none_or(|at| clock.elapsed() >= at + COOL_DOWN)
    }

    /// Asks for the keys to be read and waits until they have been, if it may be asked at all; bounded in time. Says no
    /// when too many are waiting already.
    #[must_use]
    pub(super) async fn ask(&self, clock: &Clock) -> bool {
        let Ok(_waiting) = self.waiting.try_acquire() else { return false };
        let mut readings = self.readings.subscribe();
        if self.may_be_asked(clock) {
            self.wanted.notify_one();
            // Twice, because a discovery is two fetches; it matters only when nobody keeps the ring fresh.
            let _ = tokio::time::timeout(2 * FETCH_TIME, readings.changed()).await;
        }
        true
    }

    /// Reads again whenever it is due, and when asked, until cancelled; drops the keys when they become too old. Tokens
    /// that were verified with them go with them: see [`IssuerKeys::holds`].
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
                () = self.wanted.notified() => self.may_be_asked(clock),
                () = tokio::time::sleep(self.pause(freshness.refresh, clock)) => true,
            };
            if due {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => {
                        // Whoever asked is still waiting, and the keyring may have another task by now.
                        self.wanted.notify_one();
                        return;
                    }
                    read = self.obtain(fetcher) => {
                        // Logged and counted already; the loop goes on either way.
                        let _ = self.take(read, clock, observer);
                        self.drop_stale(freshness.max_stale, clock);
                    }
                }
            }
            self.readings.send_modify(|count| *count += 1);
        }
    }

    /// Reads once, for those who keep nothing fresh.
    ///
    /// # Errors
    /// Says why the keys could not be read.
    pub(super) async fn read_once(&self, fetcher: Option<&Fetcher>, clock: &Clock) -> Result<(), RenewalError> {
        let read = self.obtain(fetcher).await;
        self.take(read, clock, &NotObserved)
    }

    /// Reads a key file on this thread; for the start, when waiting is no harm. Other sources have nothing to read yet.
    pub(super) fn read_file_now(&self, clock: &Clock, observer: &dyn Observer) -> Result<(), RenewalError> {
        match &self.source {
            KeySource::File(path) => self.take(read_file(path).map_err(RenewalError::from), clock, observer),
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

    /// Puts new keys in place. Bad news changes nothing but the counters: the last good set stands.
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
            tracing::warn!(issuer = &*self.issuer, %error, "the key set could not be read; {stands}");
        });
        observer.refreshed(&self.issuer, if taken.is_ok() { OK } else { FAILED });
        taken
    }

    /// Called after every reading: those that fail come again within [`COOL_DOWN`], so keys are used no longer than
    /// that beyond what is allowed.
    fn drop_stale(&self, max_stale: Duration, clock: &Clock) {
        if self.read().is_some() && self.age(clock).is_some_and(|age| age >= max_stale) {
            self.keys.replace(None);
            tracing::error!(
                issuer = &*self.issuer,
                "the issuer's keys are older than max_stale: its tokens are answered 503 until they can be read again"
            );
        }
    }

    fn replace(&self, keys: KeySet) {
        let held = self.keys.read();
        let is_known =
            |same: fn(&KeySet, &KeySet) -> bool| held.as_ref().as_ref().is_some_and(|held| same(held, &keys));
        let same_keys = is_known(KeySet::has_the_keys_of);
        // What is ignored is told when it changes, not whenever it is read.
        if same_keys && is_known(|held, keys| held.ignored() == keys.ignored()) {
            return;
        }
        let (usable, ignored) = (keys.usable(), keys.ignored().to_string());
        self.keys.replace(Some(keys));
        let what = if same_keys { "the key set ignores other keys than before" } else { "the key set has changed" };
        tracing::info!(issuer = &*self.issuer, usable, ignored, "{what}");
    }

    /// How long until the next reading is due.
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

/// Whether a key file could be used, for those who only ask.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_file(path: &Path) -> Result<(), RenewalError> {
    KeySet::parse(&read_file(path)?).map(drop).map_err(RenewalError::from)
}

/// At most one byte more than a key set may have: enough to tell that it is too large.
fn read_file(path: &Path) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
