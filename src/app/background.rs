//! The background tasks of the process. They run beside the workers, until the process stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::acquire::{Acquired, Served};
use super::key_expiry::KeyExpiryWatch;
use super::reload::{self, Followed};
use super::store_watch::StoreWatch;
use crate::admission::sweeper::run_sweeper;
use crate::catalogue;
use crate::team::Team;
use crate::telemetry::SpendWatch;
use crate::upstream::UpstreamClient;
use crate::upstream::breaker::Probe;
use crate::upstream::queue::watch::watch;
use crate::upstream::reconcile::Reconcile;

/// How often the shared account's windows are read when no calls come.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Starts all of them. `unfit` receives the reason why this replica must not start.
pub(super) fn start(
    acquired: &Acquired,
    followed: Option<Followed>,
    (served, unfit): (Served, oneshot::Sender<String>),
    stop: &CancellationToken,
) -> TaskTracker {
    let tasks = Background { acquired, tracker: TaskTracker::new(), stop };
    tasks.watch_the_ledger(served, unfit);
    tasks.watch_the_upstream();
    tasks.keep_keys_and_settings_fresh(followed);
    tasks.send_notices();
    tasks.tracker
}

/// What the tasks are made from.
struct Background<'a> {
    acquired: &'a Acquired,
    tracker: TaskTracker,
    stop: &'a CancellationToken,
}

impl Background<'_> {
    /// The sweeper, the teams' spending as metrics, and the watch over the store.
    fn watch_the_ledger(&self, served: Served, unfit: oneshot::Sender<String>) {
        let Self { acquired, tracker, .. } = self;
        let ttl = acquired.admission.reservation_ttl;
        let metrics = || Arc::clone(&acquired.metrics);
        tracker.spawn(run_sweeper(
            acquired.ledger(),
            metrics(),
            self.teams(),
            ttl / 6,
            self.stop.clone(),
        ));
        let spend =
            SpendWatch::new(acquired.ledger(), metrics(), self.teams(), acquired.clock.clone());
        tracker.spawn(spend.run(ttl / 2, self.stop.clone()));
        let store = StoreWatch {
            ledger: acquired.ledger(),
            registry_sync: Arc::clone(&acquired.registry_sync),
            readiness: acquired.readiness.clone(),
            flaws: acquired.flaws.clone(),
            served,
            unfit,
        };
        tracker.spawn(store.run(self.stop.clone()));
    }

    /// The shared account's windows and balance, the breaker's probe, and the upstream's prices.
    fn watch_the_upstream(&self) {
        let Self { acquired, tracker, .. } = self;
        let upstream = || acquired.live.upstream.clone();
        let client = || UpstreamClient::new(acquired.buffer.clone());
        let (permits, observer) = (acquired.permits(), Arc::clone(&acquired.metrics));
        tracker.spawn(watch(permits, upstream(), observer, WATCH_EVERY, self.stop.clone()));
        let reconcile = Reconcile {
            upstream: upstream(),
            ledger: acquired.ledger(),
            teams: self.teams(),
            client: client(),
            observer: acquired.metrics.clone(),
            clock: acquired.clock.clone(),
        };
        tracker.spawn(reconcile.run(self.stop.clone()));
        let probe = Probe {
            upstream: upstream(),
            client: client(),
            observer: acquired.metrics.clone(),
            clock: acquired.clock.clone(),
        };
        tracker.spawn(probe.run(self.stop.clone()));
        tracker.spawn(watch_prices(acquired).run(self.stop.clone()));
    }

    /// The key registry, the ends of gateway keys, and reloads with the issuers' keys.
    fn keep_keys_and_settings_fresh(&self, followed: Option<Followed>) {
        let Self { acquired, tracker, .. } = self;
        let (registry_sync, registry) = (Arc::clone(&acquired.registry_sync), acquired.registry());
        let stopped = self.stop.clone();
        tracker.spawn(async move { registry_sync.keep(&*registry, stopped).await });
        let key_expiry = KeyExpiryWatch {
            live: acquired.live.clone(),
            metrics: Arc::clone(&acquired.metrics),
            clock: acquired.clock.clone(),
        };
        tracker.spawn(key_expiry.run(self.stop.clone()));
        tracker.spawn(reload::keep(
            acquired.live.clone(),
            followed,
            acquired.server.clone(),
            Arc::clone(&acquired.metrics),
            acquired.audit_log.clone(),
            self.stop.clone(),
        ));
    }

    /// The record of refused calls, and the webhook if there is one.
    fn send_notices(&self) {
        let Self { acquired, tracker, .. } = self;
        let recorder = acquired.recorder.clone();
        tracker.spawn(recorder.write_to(acquired.refused(), self.stop.clone()));
        if let Some(sender) = acquired.notices.clone() {
            tracker.spawn(sender.work(self.stop.clone()));
        }
    }

    /// Reads the teams as they are configured now.
    fn teams(&self) -> impl Fn() -> Vec<Arc<Team>> + Clone + Send + Sync + 'static {
        let live = self.acquired.live.teams.clone();
        move || live.read().values().cloned().collect()
    }
}

/// The watcher of the upstream's prices.
fn watch_prices(acquired: &Acquired) -> catalogue::watch::Watch {
    let answers = catalogue::Answers::new(catalogue::Parts {
        cache: acquired.catalogue.clone(),
        misses: acquired.misses.clone(),
        client: UpstreamClient::new(acquired.buffer.clone()),
        upstream: acquired.live.upstream.clone(),
        settings: acquired.live.catalogue.clone(),
        prices: acquired.live.prices.clone(),
        proxies: Arc::clone(acquired.credential_guard.proxies()),
        clock: acquired.clock.clone(),
    });
    catalogue::watch::Watch {
        answers,
        teams: acquired.live.teams.clone(),
        observer: acquired.metrics.clone(),
    }
}
