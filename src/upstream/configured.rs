//! The upstream as configured: its address, its keys, and how calls are sent.

use std::sync::Arc;
use std::time::Duration;

use super::{Bounds, Breaker, KeyPool, Origin, Settings, queue, reconcile};
use crate::permits::AccountLimits;

/// The upstream of one configuration; a reload replaces it as a whole.
pub struct Upstream {
    /// The address.
    pub origin: Arc<Origin>,
    /// The shared keys.
    pub keys: Arc<KeyPool>,
    /// Circuit breaker.
    pub breaker: Breaker,
    /// Timeouts of a call, and the largest answer.
    pub bounds: Bounds,
    /// Limits of the account and its keys; `None` when there are none, so that no call waits.
    pub limits: Option<Arc<AccountLimits>>,
    /// Settings of the queue.
    pub queue: queue::Settings,
    /// How the account's balance is compared with the ledger; `None` does not compare.
    pub reconcile: Option<reconcile::Settings>,
    settings: Settings,
}

impl Upstream {
    /// The upstream of a configuration. Connections and cooldowns of keys are kept across a reload
    /// that does not change them.
    ///
    /// # Errors
    /// The address, a certificate file or a key is unusable; a sentence for the operator.
    pub fn new(settings: Settings, before: Option<&Self>) -> Result<Self, String> {
        let same_origin = |before: &&Self| {
            let (old, new) = (&before.settings, &settings);
            old.base_url == new.base_url
                && old.protocol == new.protocol
                && old.ca_file == new.ca_file
        };
        let same = before.filter(same_origin);
        let origin = match same {
            Some(before) => Arc::clone(&before.origin),
            None => Arc::new(Origin::new(&settings).map_err(|error| error.to_string())?),
        };
        let breaker = Breaker::new(settings.breaker, same.map(|before| &before.breaker));
        let keys = KeyPool::new(&settings.keys, before.map(|before| before.keys.as_ref()))
            .map_err(|name| {
                format!("the upstream key {name} has characters that no key can have")
            })?;
        let bounds = Bounds {
            connect: settings.connect_timeout,
            answer: settings.answer_timeout,
            idle: settings.idle_timeout,
            answer_bytes_max: settings.answer_bytes_max,
        };
        let (limits, queue) = (account_limits(&settings).map(Arc::new), settings.queue);
        let reconcile = settings.reconcile.clone();
        Ok(Self {
            origin,
            keys: Arc::new(keys),
            breaker,
            bounds,
            limits,
            queue,
            reconcile,
            settings,
        })
    }

    /// Longest time from a call's admission to its end.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        let wait = self.limits.as_ref().map_or(Duration::ZERO, |_| self.queue.max_wait);
        wait + self.bounds.connect + self.bounds.answer
    }
}

fn account_limits(settings: &Settings) -> Option<AccountLimits> {
    let is_free =
        settings.limits.is_empty() && settings.keys.iter().all(|key| key.limits.is_empty());
    let keys = settings.keys.iter().map(|key| (key.name.as_str().into(), key.limits)).collect();
    (!is_free).then_some(AccountLimits {
        account: settings.limits,
        keys,
        length_max: settings.queue.length_max,
        team_length_max: settings.queue.team_length_max,
    })
}
