//! Reports when gateway keys expire, so that an alert comes before the first refused call.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::reload::Live;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How often it looks: alerts speak of days, but a new key should show before it is forgotten.
const EVERY: Duration = Duration::from_secs(5);

/// The watcher of the keys' ends.
pub(super) struct KeyExpiryWatch {
    pub(super) live: Live,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

impl KeyExpiryWatch {
    /// Reports until stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self { live, metrics, clock } = self;
        let watch = async {
            loop {
                let expiries = live.authenticator.read().first_expiries(clock.now());
                for team in live.teams.read().keys() {
                    metrics.keys_expire(team, expiries.get(team).copied());
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        stop.run_until_cancelled(watch).await;
    }
}
