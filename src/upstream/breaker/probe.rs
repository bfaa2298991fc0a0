//! Probes an upstream whose breaker is open, with a free request without a key, and closes the
//! breaker when it is answered.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Breaker, HealthSignal, health_signal};
use crate::clock::{self, Clock};
use crate::live::Live;
use crate::upstream::client::Failed;
use crate::upstream::{Bounds, Observer, Upstream, UpstreamClient, unpaid};

/// Timeout of a probe, which may be shorter than a paid call's.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often the clock is checked until the next probe is due.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often a closed breaker is checked, since a reload may have replaced it.
const LOOK_WHILE_CLOSED: Duration = Duration::from_secs(1);

/// The prober, one for each process.
pub struct Probe {
    /// Where calls go.
    pub upstream: Live<Upstream>,
    /// Connections of its own.
    pub client: UpstreamClient,
    /// Reports whether the breaker is open.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
}

impl Probe {
    /// Runs until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.go_on()).await;
    }

    async fn go_on(&self) {
        loop {
            let upstream = self.upstream.read();
            let breaker = &upstream.breaker;
            self.observer.breaker_open(breaker.is_open());
            match breaker.until_probe(self.clock.elapsed()) {
                None => drop(tokio::time::timeout(LOOK_WHILE_CLOSED, breaker.opened()).await),
                Some(Duration::ZERO) => self.probe(&upstream, breaker).await,
                Some(wait) => tokio::time::sleep(wait.min(LOOK_AGAIN)).await,
            }
        }
    }

    async fn probe(&self, upstream: &Upstream, breaker: &Breaker) {
        let why = match self.ask(upstream).await {
            Ok(()) => {
                breaker.close();
                return tracing::info!("the upstream answers again: calls are sent to it");
            }
            Err(why) => why,
        };
        let open_for = clock::readable(breaker.stay_open(self.clock.elapsed()));
        tracing::warn!(why, ?open_for, "the upstream still fails: calls are refused");
    }

    /// Requests the list of models. Any answer that is not a failure means that the upstream is up.
    async fn ask(&self, upstream: &Upstream) -> Result<(), String> {
        let request =
            unpaid::get(&upstream.origin, "/models").map_err(|error| error.to_string())?;
        let bounds =
            Bounds { answer: upstream.bounds.answer.min(ANSWER_WITHIN), ..upstream.bounds };
        let answered = self.client.ask(&upstream.origin, request, bounds).await;
        match (health_signal::health_signal(&answered), answered) {
            (Some(HealthSignal::Alive) | None, _) => Ok(()),
            (Some(HealthSignal::Failed | HealthSignal::ErrorOfItsOwn), Ok(received)) => {
                Err(format!("it answered {}", received.head.status))
            }
            (
                Some(HealthSignal::Failed | HealthSignal::ErrorOfItsOwn),
                Err(
                    failed @ (Failed::Unreachable(_)
                    | Failed::TimedOut
                    | Failed::Broken(_)
                    | Failed::NoStream
                    | Failed::Gone
                    | Failed::TooLarge(_)),
                ),
            ) => Err(failed.to_string()),
        }
    }
}
