//! Shows what is left of the shared account's windows, even while no call is made. Once a process.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::permits::Permits;
use crate::upstream::{Observer, Upstream};

/// Reads the windows until stopped. Each reading also ends what dead replicas left in the queue.
pub async fn watch(
    permits: Arc<dyn Permits>,
    upstream: Live<Upstream>,
    observer: Arc<dyn Observer>,
    every: Duration,
    stop: CancellationToken,
) {
    let mut look = tokio::time::interval(every);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let Some(limits) = upstream.read().limits.clone() else { continue };
        match permits.batch(&limits, &[]).await {
            Ok(answer) => answer.remaining.iter().for_each(|left| {
                observer.limit_remaining(
                    left.key.as_deref().unwrap_or(""),
                    left.span.name(),
                    left.calls,
                );
            }),
            Err(outage) => {
                tracing::debug!(%outage, "the shared account's windows could not be looked at")
            }
        }
    }
}
