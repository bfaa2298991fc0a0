//! Handles of the stores: the ledger, the shared account's permits, stored answers, refused calls,
//! the key registry.

use std::sync::Arc;

use super::unusable::Unusable;
use crate::clock::Clock;
use crate::config::settings::{LedgerSettings, Store};
use crate::idempotency::{self, Memory, RedisReplays};
use crate::identity::{self, EmbeddedKeyRegistry, RedisKeyRegistry};
use crate::ledger::embedded::{self, EmbeddedLedger};
use crate::ledger::redis::{self, RedisLedger};
use crate::ledger::{Ledger, Observed, Observer, OnUnknown};
use crate::permits::{Permits, RedisPermits};
use crate::refused::{self, MemoryRefused, RedisRefused};
use crate::store::{self, UnusableSettings};

/// The stores of one installation.
pub(super) enum Stores {
    /// Every handle has its own connection.
    Redis {
        make: Box<Redis>,
        /// Made at once, so that bad settings end the start and not a worker.
        first: Handles,
    },
    /// All handles are clones of one.
    Embedded {
        ledger: EmbeddedLedger,
        observer: Arc<dyn Observer>,
        replays: Arc<dyn idempotency::Store>,
        refused: Arc<dyn refused::Store>,
        registry: Arc<dyn identity::Store>,
    },
}

/// One handle for each store in Redis.
pub(super) struct Handles {
    ledger: RedisLedger,
    permits: Arc<RedisPermits>,
    replays: Arc<RedisReplays>,
    refused: Arc<RedisRefused>,
    registry: Arc<RedisKeyRegistry>,
}

impl Stores {
    pub(super) fn new(
        settings: &LedgerSettings,
        on_unknown: OnUnknown,
        replay: idempotency::Settings,
        clock: &Clock,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, Unusable> {
        let LedgerSettings { store, reservation_ttl, retention, on_loss } = settings.clone();
        let clock = clock.clone();
        match store {
            Store::Embedded { path } => {
                let memory = Memory::new(replay, clock.clone());
                let settings =
                    embedded::Settings { path, reservation_ttl, retention, on_unknown, clock };
                let ledger = EmbeddedLedger::open(settings, Arc::clone(observer))?;
                let registry = EmbeddedKeyRegistry::new(ledger.clone());
                let (replays, registry, observer) =
                    (Arc::new(memory), Arc::new(registry), Arc::clone(observer));
                let refused = Arc::new(MemoryRefused::default());
                Ok(Self::Embedded { ledger, observer, replays, refused, registry })
            }
            Store::Redis(store) => {
                let settings =
                    redis::Settings { store, reservation_ttl, retention, on_unknown, on_loss };
                let store = settings.store.clone();
                let ledger = RedisLedger::new(settings, clock.clone(), Arc::clone(observer))?;
                let make = Box::new(Redis { store, replay, clock, observer: Arc::clone(observer) });
                let first = Handles {
                    ledger,
                    permits: Arc::new(make.permits()?),
                    replays: Arc::new(make.replays()?),
                    refused: Arc::new(make.refused()?),
                    registry: Arc::new(make.registry()?),
                };
                Ok(Self::Redis { make, first })
            }
        }
    }

    pub(super) fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Embedded { ledger, observer, .. } => {
                Arc::new(Observed::new(ledger.clone(), Arc::clone(observer)))
            }
            Self::Redis { make, first } => {
                let another = first.ledger.another(make.clock.clone());
                let ledger = another.unwrap_or_else(|_| first.ledger.clone());
                Arc::new(Observed::new(ledger, Arc::clone(&make.observer)))
            }
        }
    }

    pub(super) fn permits(&self) -> Arc<dyn Permits> {
        match self {
            Self::Embedded { ledger, .. } => Arc::new(ledger.clone()),
            Self::Redis { make, first } => match make.permits() {
                Ok(permits) => Arc::new(permits),
                Err(_) => first.permits.clone(),
            },
        }
    }

    pub(super) fn replays(&self) -> Arc<dyn idempotency::Store> {
        match self {
            Self::Embedded { replays, .. } => Arc::clone(replays),
            Self::Redis { make, first } => match make.replays() {
                Ok(replays) => Arc::new(replays),
                Err(_) => first.replays.clone(),
            },
        }
    }

    pub(super) fn refused(&self) -> Arc<dyn refused::Store> {
        match self {
            Self::Embedded { refused, .. } => Arc::clone(refused),
            Self::Redis { make, first } => match make.refused() {
                Ok(refused) => Arc::new(refused),
                Err(_) => first.refused.clone(),
            },
        }
    }

    pub(super) fn registry(&self) -> Arc<dyn identity::Store> {
        match self {
            Self::Embedded { registry, .. } => Arc::clone(registry),
            Self::Redis { make, first } => match make.registry() {
                Ok(registry) => Arc::new(registry),
                Err(_) => first.registry.clone(),
            },
        }
    }
}

/// What a handle for stored answers in Redis is made of.
pub(super) struct Redis {
    store: store::Settings,
    replay: idempotency::Settings,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl Redis {
    fn watch(&self) -> Arc<dyn store::Observer> {
        Arc::clone(&self.observer) as Arc<dyn store::Observer>
    }

    fn permits(&self) -> Result<RedisPermits, UnusableSettings> {
        RedisPermits::new(self.store.clone(), self.clock.clone(), self.watch())
    }

    fn registry(&self) -> Result<RedisKeyRegistry, UnusableSettings> {
        RedisKeyRegistry::new(self.store.clone(), self.clock.clone(), self.watch())
    }

    fn refused(&self) -> Result<RedisRefused, UnusableSettings> {
        RedisRefused::new(self.store.clone(), self.clock.clone(), self.watch())
    }

    fn replays(&self) -> Result<RedisReplays, UnusableSettings> {
        RedisReplays::new(self.store.clone(), self.replay, self.clock.clone(), self.watch())
    }
}
