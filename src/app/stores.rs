//! Where handles to the ledger, to the shared account's permits, and to what is remembered of calls, come from.

use std::sync::Arc;

use super::Unusable;
use crate::clock::Clock;
use crate::config::settings::{LedgerSettings, RedisStore, Store, Topology};
use crate::ledger::embedded::{self, EmbeddedLedger};
use crate::ledger::redis::{self, RedisLedger, RedisPermits, RedisReplays, StoreClock, UnusableSettings};
use crate::ledger::{Ledger, OnUnknown, Permits};
use crate::replay::{self, Memory};
use crate::telemetry::Metrics;

/// The two stores of one installation.
pub(super) enum Stores {
    /// Every handle has a connection of its own.
    Redis {
        make: Box<Redis>,
        /// Made at once, so that settings that cannot be meant end the start and not a worker.
        first: (Arc<RedisLedger>, Arc<dyn Permits>, Arc<dyn replay::Store>),
    },
    /// Every handle is the same.
    Embedded(Arc<EmbeddedLedger>, Arc<dyn replay::Store>),
}

impl Stores {
    pub(super) fn new(
        settings: &LedgerSettings,
        on_unknown: OnUnknown,
        replay: replay::Settings,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Unusable> {
        let LedgerSettings { store, reservation_ttl, retention, on_loss } = settings.clone();
        let clock = clock.clone();
        match store {
            Store::Embedded { path } => {
                let memory = Memory::new(replay, clock.clone());
                let settings = embedded::Settings { path, reservation_ttl, retention, on_unknown, clock };
                let ledger = EmbeddedLedger::open(settings, metrics.clone())?;
                Ok(Self::Embedded(Arc::new(ledger), Arc::new(memory)))
            }
            Store::Redis(store) => {
                let settings = redis::Settings {
                    reservation_ttl,
                    retention,
                    on_unknown,
                    on_loss,
                    clock: StoreClock::Server,
                    ..of_redis(store)
                };
                let make = Box::new(Redis { settings, replay, clock, metrics: Arc::clone(metrics) });
                let ledger = RedisLedger::new(make.settings.clone(), make.clock.clone(), make.metrics.clone())?;
                let (permits, replays) = (make.permits()?, make.replays()?);
                Ok(Self::Redis { make, first: (Arc::new(ledger), Arc::new(permits), Arc::new(replays)) })
            }
        }
    }

    pub(super) fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Embedded(ledger, _) => ledger.clone(),
            Self::Redis { first, .. } => match first.0.another() {
                Ok(ledger) => Arc::new(ledger),
                Err(_) => first.0.clone(),
            },
        }
    }

    pub(super) fn permits(&self) -> Arc<dyn Permits> {
        match self {
            Self::Embedded(ledger, _) => ledger.clone(),
            Self::Redis { make, first } => match make.permits() {
                Ok(permits) => Arc::new(permits),
                Err(_) => Arc::clone(&first.1),
            },
        }
    }

    pub(super) fn replays(&self) -> Arc<dyn replay::Store> {
        match self {
            Self::Embedded(_, replays) => Arc::clone(replays),
            Self::Redis { make, first } => match make.replays() {
                Ok(replays) => Arc::new(replays),
                Err(_) => Arc::clone(&first.2),
            },
        }
    }
}

/// What a handle to what is remembered in Redis is made of.
pub(super) struct Redis {
    settings: redis::Settings,
    replay: replay::Settings,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Redis {
    fn permits(&self) -> Result<RedisPermits, UnusableSettings> {
        RedisPermits::new(self.settings.clone(), self.clock.clone(), self.metrics.clone())
    }

    fn replays(&self) -> Result<RedisReplays, UnusableSettings> {
        RedisReplays::new(self.settings.clone(), self.replay, self.clock.clone(), self.metrics.clone())
    }
}

fn of_redis(store: RedisStore) -> redis::Settings {
    let RedisStore { topology, username, password, ca, deadline, wait_replicas } = store;
    let topology = match topology {
        Topology::Single { url } => redis::Topology::Single { url },
        Topology::Sentinel { urls, master } => redis::Topology::Sentinel { urls, master },
        Topology::Cluster { urls } => redis::Topology::Cluster { urls },
    };
    redis::Settings { username, password, ca, deadline, wait_replicas, ..redis::Settings::new(topology) }
}
