//! Makes each call with an idempotency key once. Repeated calls with the same key get its answer.
//!
//! Reads: the idempotency key, the model and the body; the key's claim or stored response; the
//! limits, for the headers of a replayed answer. Writes: the claim of the call. Refuses:
//! `idempotency_mismatch`, `idempotency_in_progress`, `idempotency_lost`,
//! `idempotency_answer_gone`, `ledger_unavailable`, `overloaded`. Position: below the layer that
//! reads the body, since the whole body is compared; above admission, since a replayed answer
//! reserves nothing and costs nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either};
use http::HeaderMap;
use tokio::time::{Instant, sleep};

use super::observe::Kind;
use super::store::Begun;
use super::{Claim, Claimed, Replays, StoredResponse};
use crate::call::{Fingerprint, KeyHash, PaidCall};
use crate::credits::Credits;
use crate::http::{Answer, HeaderWriter, X_CALL_ID, X_CREDITS_COST_ORIGINAL, server_timing};
use crate::ledger::headers::{credit_headers, rate_limit_headers};
use crate::ledger::{Ledger, SnapshotQuery};
use crate::refusal::{Refusal, SpentCall};
use crate::request::{Buffer, Stage, StageSpan, Wait};
use crate::step::{Below, Step, Under};

/// How much longer a claim lives than its call can wait and, once sent, run at the upstream.
const MARGIN: Duration = Duration::from_secs(30);
/// Pause before checking again whether a running call has ended: the first, and the longest.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// Makes each call with an idempotency key once.
pub struct Replay {
    replays: Replays,
    ledger: Arc<dyn Ledger>,
    times: Arc<dyn Fn() -> Times + Send + Sync>,
    buffer: Buffer,
}

/// How long a call may take, by the upstream's current settings.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The longest time in the queue before a call is sent.
    pub wait: Duration,
    /// The longest time from a call's admission to its end.
    pub call: Duration,
}

impl Replay {
    /// Uses this store. The ledger gives the limits for replayed answers, `times` how long a call
    /// may take now, and the buffer the memory for answers.
    #[must_use]
    pub fn new(
        replays: Replays,
        ledger: Arc<dyn Ledger>,
        times: impl Fn() -> Times + Send + Sync + 'static,
        buffer: Buffer,
    ) -> Self {
        Self { replays, ledger, times: Arc::new(times), buffer }
    }
}

/// A call that may be made: it has no idempotency key, or has claimed it. Only this layer makes
/// this value.
#[derive(Debug)]
pub struct NewCall {
    call: PaidCall,
    claimed: Option<Claimed>,
}

impl NewCall {
    /// The call.
    #[must_use]
    pub const fn call(&self) -> &PaidCall {
        &self.call
    }

    /// The call, and the claim on its key.
    #[must_use]
    pub fn into_parts(self) -> (PaidCall, Option<Claimed>) {
        (self.call, self.claimed)
    }
}

impl<S: Under<NewCall, Answer, Refusal>> Step<PaidCall, S> for Replay {
    type HandsOn = NewCall;
    type Response = Answer;
    type Error = Refusal;
    /// Boxed only for a call with a key.
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, Refusal>>>;

    fn take(self: &Arc<Self>, call: PaidCall, below: Below<'_, S>) -> Self::Future {
        let Some(key) = call.idempotency_key else {
            return Either::Left(below.hand_on(NewCall { call, claimed: None }));
        };
        let with = Arc::clone(self);
        Either::Right(below.later(|mut below| async move {
            match with.claim(&call, key).await? {
                ClaimResult::Claimed(claimed) => {
                    let claimed = Some(claimed);
                    below.call(NewCall { call, claimed }).await
                }
                ClaimResult::Answered(kept) => with.replayed(&call, *kept).await,
            }
        }))
    }
}

/// Result of claiming the key of a call.
enum ClaimResult {
    /// Claimed by this call.
    Claimed(Claimed),
    /// Another call with the key got this answer.
    Answered(Box<StoredResponse>),
}

impl Replay {
    /// Claims the key. If another call holds it, waits until that one ends: with an answer, or by
    /// giving the key back because nothing was spent.
    async fn claim(&self, call: &PaidCall, key: KeyHash) -> Result<ClaimResult, Refusal> {
        let claim = Claim {
            id: call.call_id,
            team: call.team.id.clone(),
            key,
            fingerprint: Fingerprint::of(&call.model, &call.body),
            request_id: call.id.clone(),
        };
        let claimed = Claimed::new(claim, (self.times)().call + MARGIN, self.replays.clone());
        let until = Instant::now() + self.replays.join_max();
        let (mut kind, mut pause) = (Kind::Replayed, LOOK_AGAIN);
        let mut joining: Option<StageSpan> = None;
        loop {
            match self.begin(&claimed).await? {
                Begun::First => return Ok(ClaimResult::Claimed(claimed)),
                Begun::Running if Instant::now() >= until => {
                    claimed.not_ours();
                    return Err(Refusal::IdempotencyInProgress);
                }
                Begun::Running => {}
                Begun::Finished(kept) => {
                    claimed.not_ours();
                    self.count(call, kind);
                    return Ok(ClaimResult::Answered(kept));
                }
                Begun::Lost => {
                    claimed.not_ours();
                    return Err(Refusal::IdempotencyLost);
                }
                Begun::Mismatch => {
                    claimed.not_ours();
                    self.count(call, Kind::Mismatch);
                    return Err(Refusal::IdempotencyMismatch);
                }
            }
            kind = Kind::Joined;
            joining.get_or_insert_with(|| call.record.enter(Stage::Join));
            call.record.facts().waits_for(Wait::Other);
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            call.record.facts().waited();
            pause = (pause * 2).min(LOOK_AGAIN_MAX);
        }
    }

    fn count(&self, call: &PaidCall, kind: Kind) {
        call.record.facts().replay = Some(kind.name());
        self.replays.count(kind);
    }

    async fn begin(&self, claimed: &Claimed) -> Result<Begun, Refusal> {
        let claim = claimed.claim().ok_or(Refusal::Internal)?;
        let begun = self.replays.begin(claim, (self.times)().wait + MARGIN).await;
        begun.map_err(|outage| {
            tracing::debug!(
                request_id = %claim.request_id,
                call_id = %claim.id,
                %outage,
                "an idempotency key could not be claimed"
            );
            Refusal::LedgerUnavailable
        })
    }

    /// The stored answer with the headers of this request: no cost, and the current limits.
    async fn replayed(&self, call: &PaidCall, kept: StoredResponse) -> Result<Answer, Refusal> {
        let mut headers = self.limit_headers(call).await;
        let mut writer = HeaderWriter::new(&mut headers);
        writer.decimal(kept.cost.decimal()).insert(X_CREDITS_COST_ORIGINAL);
        let own = call.at.elapsed().saturating_sub(call.record.facts().elsewhere());
        server_timing(&mut writer, [own, Duration::ZERO, Duration::ZERO]);
        let spent = SpentCall {
            id: kept.call.as_ref().map(|call| call.id),
            status: kept.status,
            cost: kept.cost,
        };
        let Some(mut answer) = kept.replayed() else {
            headers.extend(spent.id.map(|id| (X_CALL_ID, id.to_header())));
            call.record.facts().pending_headers = headers;
            return Err(Refusal::IdempotencyAnswerGone(spent));
        };
        answer.headers_mut().extend(headers);
        let held = self.buffer.take(&call.team.id, answer.body().bytes().len())?;
        Ok(answer.map(|body| body.holding(Some(held))))
    }

    /// The limits' headers. None if the ledger does not answer: that must not withhold a stored
    /// answer.
    async fn limit_headers(&self, call: &PaidCall) -> HeaderMap {
        let query = SnapshotQuery {
            team: call.team.id.clone(),
            levels: call.principal.levels(&call.team),
            time_zone: call.team.time_zone.clone(),
            reader: None,
        };
        let mut headers = HeaderMap::new();
        let mut writer = HeaderWriter::new(&mut headers);
        match self.ledger.snapshot(query).await {
            Ok(snapshot) => {
                rate_limit_headers(&mut writer, &snapshot.statuses, snapshot.at);
                credit_headers(&mut writer, &snapshot.statuses, Credits::ZERO);
            }
            Err(outage) => {
                tracing::debug!(
                    request_id = %call.id,
                    %outage,
                    "a stored answer is replayed without the status of its limits"
                );
                credit_headers(&mut writer, &[], Credits::ZERO);
            }
        }
        headers
    }
}
