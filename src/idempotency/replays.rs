//! A worker's operations on claims and responses: claims keys, stores outcomes, finds them again.

use std::sync::Arc;
use std::time::Duration;

use http::Version;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::observe::{Kind, Observer};
use super::store::{Begun, Store};
use super::waiting::{Outcome, Waiting};
use super::{Call, Claim, Settings, StoredResponse, Summary, stored_response};
use crate::credits::Credits;
use crate::http::{Answer, Delivery};
use crate::ledger::ReservationId;
use crate::refusal::{Refusal, body};
use crate::request::{Buffer, RequestId};
use crate::store::Outage;
use crate::team::TeamId;

/// Most outcomes written at once in the background, so that many disconnected callers do not occupy
/// the connection to the store.
const WRITTEN_AT_ONCE: usize = 4;
/// How long writing an outcome is retried, and at which interval.
const RETRIED_FOR: Duration = Duration::from_secs(60);
const RETRIED_EVERY: Duration = Duration::from_millis(500);

/// A worker's handle to the store. Clones share it.
#[derive(Clone)]
pub struct Replays(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    tracker: TaskTracker,
    /// The memory for answers.
    buffer: Buffer,
    turns: Semaphore,
}

/// A call that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The team that made it.
    pub team: TeamId,
    /// The id, and its outcome in the ledger.
    pub call: Call,
    /// Id of the request.
    pub id: RequestId,
    /// The claim, if it had an idempotency key.
    pub claim: Option<Claim>,
    /// Whether it was or may have been executed, so that it must not be made again with the same
    /// key.
    pub executed: bool,
    /// What it was charged.
    pub cost: Credits,
    /// When it was admitted.
    pub at: Timestamp,
}

/// A call whose answer has not arrived yet.
struct Unconfirmed {
    team: TeamId,
    call: Call,
    request_id: RequestId,
    cost: Credits,
}

impl Replays {
    /// A handle. Background work runs in the tracker, for which the drain waits; answers that wait
    /// for the store take memory from the buffer.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        observer: Arc<dyn Observer>,
        settings: Settings,
        tracker: TaskTracker,
        buffer: Buffer,
    ) -> Self {
        let turns = Semaphore::new(WRITTEN_AT_ONCE);
        Self(Arc::new(Shared { store, observer, settings, tracker, buffer, turns }))
    }

    pub(super) async fn begin(&self, claim: &Claim, ttl: Duration) -> Result<Begun, Outage> {
        self.0.store.begin(claim, ttl).await
    }

    pub(super) async fn sent(&self, claim: &Claim, ttl: Duration) -> Result<bool, Outage> {
        self.0.store.sent(claim, ttl).await
    }

    /// The largest answer that is stored with its body.
    #[must_use]
    pub fn answer_bytes_max(&self) -> u64 {
        self.0.settings.answer_bytes_max
    }

    pub(super) fn join_max(&self) -> Duration {
        self.0.settings.join_max
    }

    pub(super) fn count(&self, kind: Kind) {
        self.0.observer.replay(kind);
    }

    /// Stores the outcome of a call that may be asked for again: it had an idempotency key, or its
    /// caller has left. Returns `answer` unchanged. The outcome of any other call is stored only if
    /// its answer does not arrive.
    ///
    /// If the store does not take it, writing is retried for a while in the background. Any number
    /// of outcomes may wait; if the team's share of the memory for answers is full, one waits
    /// without its answer.
    pub async fn ended(
        &self,
        ended: Ended,
        caller_left: bool,
        answer: Result<Answer, Refusal>,
    ) -> Result<Answer, Refusal> {
        let Ended { team, call, id, claim, executed, cost, at } = ended;
        let claim = match claim {
            Some(claim) if !executed => {
                self.release(claim, &Handle::current());
                None
            }
            other => other,
        };
        if claim.is_none() && !caller_left {
            return answer.map(|answer| {
                self.stored_if_undelivered(answer, Unconfirmed { team, call, request_id: id, cost })
            });
        }
        // Boxed, because it is rare and would enlarge every call's future.
        Box::pin(self.keep(Ended { team, call, id, claim, executed, cost, at }, answer)).await
    }

    /// Stores an answer and returns it.
    async fn keep(&self, ended: Ended, answer: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
        let Ended { team, call, id, claim, executed: _, cost, at } = ended;
        let call_id = call.id;
        let kept = |answer: &Answer| {
            StoredResponse::of(answer, call, (id.clone(), cost), self.0.settings.answer_bytes_max)
        };
        let kept = match &answer {
            Ok(answer) => kept(answer),
            // HTTP/2, so that the stored headers say nothing about a connection.
            Err(refusal) => kept(&body::answer(refusal, id.as_str(), Version::HTTP_2, at)),
        };
        let outcome = Outcome { team, claim, kept };
        if let Err(outage) = self.write(&outcome).await {
            tracing::debug!(
                %outage,
                request_id = %id,
                %call_id,
                "an outcome waits to be remembered"
            );
            let waiting = Waiting::new(outcome, &self.0.buffer);
            self.keep_in_background(waiting, RETRIED_EVERY, &Handle::current());
        }
        answer
    }

    /// Stores the answer if it does not arrive.
    fn stored_if_undelivered(&self, answer: Answer, unconfirmed: Unconfirmed) -> Answer {
        let (replays, status, headers) =
            (self.clone(), answer.status(), stored_response::kept_headers(answer.headers()));
        let bytes_max = self.0.settings.answer_bytes_max;
        // Does not hold a body that would not be stored.
        let body = answer.body().bytes();
        let body = (body.len() as u64 <= bytes_max).then(|| body.clone());
        let delivery = Delivery::new(body, move |body| {
            let Unconfirmed { team, call, request_id, cost } = unconfirmed;
            let headers = headers.into_iter().flatten().collect();
            let kept = StoredResponse { call: Some(call), request_id, status, headers, cost, body };
            let waiting = Waiting::new(Outcome { team, claim: None, kept }, &replays.0.buffer);
            // Outside a runtime the process is ending.
            let Ok(runtime) = Handle::try_current() else { return };
            replays.keep_in_background(waiting, Duration::ZERO, &runtime);
        });
        answer.map(|body| body.delivered_to(delivery))
    }

    /// Stores an outcome in the background, after this pause.
    fn keep_in_background(&self, waiting: Waiting, pause: Duration, runtime: &Handle) {
        let replays = self.clone();
        self.0
            .tracker
            .spawn_on(async move { replays.write_with_retries(waiting, pause).await }, runtime);
    }

    /// The stored response of one of the team's calls.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub async fn fetch(
        &self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<StoredResponse>, Refusal> {
        let kept = self.0.store.fetch(team, id).await.map_err(|outage| away(&outage))?;
        if kept.is_some() {
            self.count(Kind::Fetched);
        }
        Ok(kept)
    }

    /// Stored outcomes of the team's newest calls, or of those with this request id.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub async fn list(
        &self,
        team: &TeamId,
        of: Option<&RequestId>,
    ) -> Result<Vec<Summary>, Refusal> {
        self.0.store.list(team, of).await.map_err(|outage| away(&outage))
    }

    /// Gives a key back, in the background. If that fails, the key is free when the claim expires.
    pub(super) fn release(&self, claim: Claim, runtime: &Handle) {
        let replays = self.clone();
        let released = async move {
            if let Err(outage) = replays.0.store.release(&claim).await {
                tracing::debug!(
                    %outage,
                    request_id = %claim.request_id,
                    call_id = %claim.id,
                    "an idempotency key could not be released"
                );
            }
        };
        self.0.tracker.spawn_on(released, runtime);
    }

    /// Marks a call as lost, in the background.
    pub(super) fn mark_lost(&self, claim: Claim, runtime: &Handle) {
        let replays = self.clone();
        let lost = async move {
            if let Err(outage) = replays.0.store.mark_lost(&claim).await {
                tracing::debug!(
                    %outage,
                    request_id = %claim.request_id,
                    call_id = %claim.id,
                    "a call could not be marked as lost"
                );
            }
        };
        self.0.tracker.spawn_on(lost, runtime);
    }

    async fn write(&self, outcome: &Outcome) -> Result<(), Outage> {
        match &outcome.claim {
            Some(claim) => self.0.store.finish(claim, &outcome.kept).await,
            None => self.0.store.keep(&outcome.team, &outcome.kept).await,
        }
    }

    /// Writes an outcome after a pause, and retries for a while.
    async fn write_with_retries(&self, waiting: Waiting, mut pause: Duration) {
        let until = Instant::now() + pause + RETRIED_FOR;
        while Instant::now() < until {
            tokio::time::sleep(pause).await;
            // The semaphore is never closed.
            let _turn = self.0.turns.acquire().await;
            let Err(outage) = self.write(waiting.outcome()).await else { return waiting.kept() };
            tracing::debug!(
                %outage,
                request_id = %waiting.outcome().kept.request_id,
                "an outcome waits to be kept"
            );
            pause = RETRIED_EVERY;
        }
    }
}

fn away(outage: &Outage) -> Refusal {
    tracing::debug!(%outage, "an outcome could not be looked up");
    Refusal::LedgerUnavailable
}

#[cfg(test)]
#[path = "replays_tests.rs"]
mod tests;
