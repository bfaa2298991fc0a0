//! Says in the log that the ledger's store fails, where it is and why: once in a while, for all who use it together,
//! and again when it is back. A thousand calls that are refused for one reason are one line.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::settings::Store;
use crate::ledger::{self, Crossing, Swept, SweptCharge};
use crate::store::{Observer, Outage, Topology};
use crate::team::TeamId;

/// How long after a line the next one comes at the earliest.
const EVERY: Duration = Duration::from_secs(15);
/// How long nothing must have failed until it is said that the store is back: each handle finds that out by itself.
const CALM: Duration = Duration::from_secs(1);

/// Stands before whoever watches the store, and passes on all that is told.
pub(super) struct Outages {
    inner: Arc<dyn ledger::Observer>,
    store: String,
    /// Whether something failed since the store was last well: what goes well need not look any further.
    fails: AtomicBool,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    /// Since when the store has not been well.
    since: Option<Instant>,
    last: Option<Instant>,
    /// When it was last said, and whether it was said of this time that it is not well.
    said: Option<Instant>,
    is_said: bool,
    /// How many failures came after that.
    unsaid: u64,
}

impl Failures {
    /// Notes one. Says how many there are to tell of, when it is time for a line.
    fn fail(&mut self, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        self.last = Some(now);
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            return None;
        }
        (self.said, self.is_said) = (Some(now), true);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// Notes that something went well. Says how long the store was away, when it is back and was said to be away.
    fn work(&mut self, now: Instant) -> Back {
        let calm = self.last.is_none_or(|last| now.saturating_duration_since(last) >= CALM);
        let Some(since) = self.since.filter(|_| calm) else { return Back::NotYet };
        self.since = None;
        let failed = std::mem::take(&mut self.unsaid);
        match std::mem::take(&mut self.is_said) {
            true => Back::ToBeSaid { away: now.saturating_duration_since(since), failed },
            false => Back::Unsaid,
        }
    }
}

/// What is to be said when something went well.
#[derive(Debug, PartialEq, Eq)]
enum Back {
    /// Nothing: failures are too fresh.
    NotYet,
    /// Nothing: nobody heard that it was away.
    Unsaid,
    /// That it is back.
    ToBeSaid { away: Duration, failed: u64 },
}

impl Outages {
    pub(super) fn new(inner: Arc<dyn ledger::Observer>, store: &Store) -> Self {
        Self { inner, store: place(store), fails: AtomicBool::new(false), failures: Mutex::default() }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn works(&self) {
        let back = self.failures().work(Instant::now());
        if back != Back::NotYet {
            self.fails.store(false, Ordering::Relaxed);
        }
        if let Back::ToBeSaid { away, failed } = back {
            let away = clock::readable(away);
            tracing::info!(store = self.store, ?away, failed, "the ledger answers again");
        }
    }
}

/// Where a store is, for people. No secret: a URL holds no credential.
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
    fn operation(&self, op: &'static str, result: &'static str, took: Duration) {
        if result == "ok" && self.fails.load(Ordering::Relaxed) {
            self.works();
        }
        self.inner.operation(op, result, took);
    }

    fn failed(&self, op: &'static str, outage: &Outage) {
        self.inner.failed(op, outage);
        match outage {
            // It answers; what it has lost is told of each team.
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
        let urls = || vec!["redis://10.0.0.1:26379".to_owned(), "redis://10.0.0.2:26379".to_owned()];
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
    fn a_thousand_failures_in_a_row_are_a_line_now_and_then_with_their_number() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let lines: Vec<u64> = (0..4_000).filter_map(|n| failures.fail(at(n * 10))).collect();
        assert_eq!(lines, [1, 1_500, 1_500], "over forty seconds");
    }

    #[test]
    fn that_the_store_is_back_is_said_once_when_it_has_been_calm_and_was_said_to_be_away() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        assert_eq!(failures.fail(start), Some(1));
        assert_eq!(failures.fail(start + CALM / 2), None);
        assert_eq!(failures.work(start + CALM), Back::NotYet);
        let back = Back::ToBeSaid { away: CALM * 2, failed: 1 };
        assert_eq!(failures.work(start + CALM * 2), back);
        assert_eq!(failures.work(start + CALM * 3), Back::NotYet);
        // So soon after it nothing is said again, of neither.
        assert_eq!(failures.fail(start + CALM * 4), None);
        assert_eq!(failures.work(start + CALM * 6), Back::Unsaid);
        assert_eq!(failures.fail(start + EVERY), Some(1));
    }
}
