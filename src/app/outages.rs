//! Logs outages of the ledger's store, with its address and the reason: at a limited rate over all
//! its users, and again when it is back. A thousand calls refused for one reason are one line.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::settings::Store;
use crate::ledger::{self, Crossing, Swept, SweptCharge};
use crate::store::{Observer, Outage, Topology};
use crate::team::TeamId;

/// Least time between two lines.
const EVERY: Duration = Duration::from_secs(15);
/// How long nothing must fail before the store is logged as back: each handle finds that out by
/// itself.
const CALM: Duration = Duration::from_secs(1);

/// Observer in front of another one, to which it passes everything on.
pub(super) struct Outages {
    inner: Arc<dyn ledger::Observer>,
    store: String,
    /// Whether something has failed since the store was last well, so that successes need no lock.
    fails: AtomicBool,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    /// Since when the store has failed.
    since: Option<Instant>,
    last: Option<Instant>,
    /// When a line was last logged, and whether one was logged for this outage.
    logged_at: Option<Instant>,
    is_logged: bool,
    /// Failures since that line.
    unlogged: u64,
}

impl Failures {
    /// Notes a failure. Returns how many to log, when a line is due.
    fn fail(&mut self, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        self.last = Some(now);
        self.unlogged += 1;
        if self.logged_at.is_some_and(|at| now.saturating_duration_since(at) < EVERY) {
            return None;
        }
        (self.logged_at, self.is_logged) = (Some(now), true);
        Some(std::mem::take(&mut self.unlogged))
    }

    /// Notes a success. Returns how long the store was away, when it is back and its outage was
    /// logged.
    fn work(&mut self, now: Instant) -> Back {
        let calm = self.last.is_none_or(|last| now.saturating_duration_since(last) >= CALM);
        let Some(since) = self.since.filter(|_| calm) else { return Back::NotYet };
        self.since = None;
        let failed = std::mem::take(&mut self.unlogged);
        match std::mem::take(&mut self.is_logged) {
            true => Back::Due { away: now.saturating_duration_since(since), failed },
            false => Back::Unlogged,
        }
    }
}

/// What to log after a success.
#[derive(Debug, PartialEq, Eq)]
enum Back {
    /// Logs nothing: the last failure is too recent.
    NotYet,
    /// Logs nothing: the outage was not logged either.
    Unlogged,
    /// Logs that the store is back.
    Due { away: Duration, failed: u64 },
}

impl Outages {
    pub(super) fn new(inner: Arc<dyn ledger::Observer>, store: &Store) -> Self {
        Self {
            inner,
            store: place(store),
            fails: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn works(&self) {
        let back = self.failures().work(Instant::now());
        if back != Back::NotYet {
            self.fails.store(false, Ordering::Relaxed);
        }
        if let Back::Due { away, failed } = back {
            let away = clock::readable(away);
            tracing::info!(store = self.store, ?away, failed, "the ledger answers again");
        }
    }
}

/// Address of a store, for people. URLs contain no credentials.
pub(super) fn place(store: &Store) -> String {
    match store {
        Store::Embedded { path } => path.display().to_string(),
        Store::Redis(redis) => match &redis.topology {
            Topology::Single { url } => url.clone(),
            Topology::Sentinel { urls, master, .. } => format!("{master} of {}", urls.join(" ")),
            Topology::Cluster { urls } => urls.join(" "),
        },
    }
}

impl Observer for Outages {
    fn operation(&self, op: &'static str, result: &'static str, duration: Duration) {
        if result == "ok" && self.fails.load(Ordering::Relaxed) {
            self.works();
        }
        self.inner.operation(op, result, duration);
    }

    fn failed(&self, op: &'static str, outage: &Outage) {
        self.inner.failed(op, outage);
        match outage {
            // The store answers. Losses are logged for each team.
            Outage::Lost => {}
            Outage::TimedOut | Outage::Unreachable(_) | Outage::Refused(_) => {
                let due = self.failures().fail(Instant::now());
                self.fails.store(true, Ordering::Relaxed);
                if let Some(failed) = due {
                    tracing::warn!(store = self.store, op, %outage, failed, "the ledger fails");
                }
            }
        }
    }

    fn up(&self, up: bool) {
        self.inner.up(up);
    }
}

impl ledger::Observer for Outages {
    fn batch(&self, size: usize) {
        self.inner.batch(size);
    }

    fn swept(&self, team: &TeamId, swept: Swept, charges: &[SweptCharge]) {
        self.inner.swept(team, swept, charges);
    }

    fn abandoned(&self, team: &TeamId) {
        self.inner.abandoned(team);
    }

    fn crossed(&self, team: &TeamId, crossing: &Crossing) {
        self.inner.crossed(team, crossing);
    }

    fn epoch_changed(&self, team: &TeamId) {
        self.inner.epoch_changed(team);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    #[test]
    fn a_store_is_named_by_every_address_it_was_given() {
        let urls =
            || vec!["redis://10.0.0.1:26379".to_owned(), "redis://10.0.0.2:26379".to_owned()];
        let (one, master) = ("redis://10.0.0.1:6379/2".to_owned(), "main".to_owned());
        let sentinel = Topology::Sentinel { urls: urls(), master, username: None, password: None };
        for (topology, named) in [
            (Topology::Single { url: one }, "redis://10.0.0.1:6379/2"),
            (sentinel, "main of redis://10.0.0.1:26379 redis://10.0.0.2:26379"),
            (Topology::Cluster { urls: urls() }, "redis://10.0.0.1:26379 redis://10.0.0.2:26379"),
        ] {
            assert_eq!(place(&Store::Redis(store::Settings::new(topology))), named);
        }
    }

    #[test]
    fn repeated_failures_are_logged_at_intervals_with_their_number() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let lines: Vec<u64> = (0..4_000).filter_map(|n| failures.fail(at(n * 10))).collect();
        assert_eq!(lines, [1, 1_500, 1_500], "over forty seconds");
    }

    /// A recovery is logged only if the failure before it was.
    #[test]
    fn recovery_is_logged_once_after_a_calm_period() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        assert_eq!(failures.fail(start), Some(1));
        assert_eq!(failures.fail(start + CALM / 2), None);
        assert_eq!(failures.work(start + CALM), Back::NotYet);
        let back = Back::Due { away: CALM * 2, failed: 1 };
        assert_eq!(failures.work(start + CALM * 2), back);
        assert_eq!(failures.work(start + CALM * 3), Back::NotYet);
        // Right after it nothing is logged, neither failure nor return.
        assert_eq!(failures.fail(start + CALM * 4), None);
        assert_eq!(failures.work(start + CALM * 6), Back::Unlogged);
        assert_eq!(failures.fail(start + EVERY), Some(1));
    }
}
