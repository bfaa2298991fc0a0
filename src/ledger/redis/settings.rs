//! Settings of the ledger in Redis.

use std::time::Duration;

use crate::ledger::{OnLoss, OnUnknown, Retention};
use crate::store::{self, Topology};

/// Settings of a ledger in Redis.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Settings of the Redis client.
    pub store: store::Settings,
    /// How long a reservation lives unless it is renewed.
    pub reservation_ttl: Duration,
    /// How long records of the past are kept, and how many.
    pub retention: Retention,
    /// Cost of a dispatched reservation that was not settled in time.
    pub on_unknown: OnUnknown,
    /// What happens to a team's budgets when the store has lost writes.
    pub on_loss: OnLoss,
}

impl Settings {
    /// The defaults, for servers at `topology`.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        Self {
            store: store::Settings::new(topology),
            reservation_ttl: Duration::from_secs(30),
            retention: Retention::default(),
            on_unknown: OnUnknown::Charge,
            on_loss: OnLoss::Rebuild,
        }
    }

    /// How long replicas have to restore what they know after a loss: each visits every team within
    /// half of that.
    pub(super) fn gather(&self) -> Duration {
        self.reservation_ttl / 3
    }
}
