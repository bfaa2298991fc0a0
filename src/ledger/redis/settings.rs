//! What the ledger in Redis must be told: how Redis is reached, how long things live, what is done about what is not
//! known.

use std::time::Duration;

use crate::ledger::{OnLoss, OnUnknown, Retention};
use crate::store::{self, Topology};

/// The settings of a ledger in Redis.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How Redis is reached.
    pub store: store::Settings,
    /// How long a reservation lives unless it is renewed.
    pub reservation_ttl: Duration,
    /// How long the past is kept, and how much of it.
    pub retention: Retention,
    /// What a dispatched reservation is charged that nobody settled in time.
    pub on_unknown: OnUnknown,
    /// What becomes of a team's budgets of which the store has lost something.
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

    /// How long the replicas have to bring what they know after a loss: each looks after every team in half of that.
    pub(super) fn gather(&self) -> Duration {
        self.reservation_ttl / 3
    }
}
