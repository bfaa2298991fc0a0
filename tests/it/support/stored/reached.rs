//! How a store is reached, where a test differs from the rule.

use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger;
use moongate::secret::Secret;
use moongate::store::{Settings, StoreClock, Topology};

/// Settings that say how Redis is reached, whatever else they say.
pub(crate) trait Reached: Sized {
    fn reached(&mut self) -> &mut Settings;

    /// The same, with the servers there.
    fn at(mut self, topology: Topology) -> Self {
        self.reached().topology = topology;
        self
    }

    /// The same, with this much time for an answer.
    fn within(mut self, deadline: Duration) -> Self {
        self.reached().deadline = deadline;
        self
    }

    /// The same, with this clock's time instead of the server's.
    fn told_by(mut self, clock: &Clock) -> Self {
        self.reached().clock = StoreClock::Fixed(clock.clone());
        self
    }

    /// The same, as this ACL user.
    fn by_user(mut self, name: &str, password: &str) -> Self {
        self.reached().username = Some(name.to_owned());
        self.reached().password = Some(Secret::new(password));
        self
    }

    /// The same, with so many replicas that must have a reservation.
    fn acknowledged_by(mut self, replicas: u32) -> Self {
        self.reached().wait_replicas = replicas;
        self
    }
}

impl Reached for Settings {
    fn reached(&mut self) -> &mut Settings {
        self
    }
}

impl Reached for ledger::redis::Settings {
    fn reached(&mut self) -> &mut Settings {
        &mut self.store
    }
}
