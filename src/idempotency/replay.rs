//! Makes each call with an idempotency key once: others with the same key get its answer.
//!
//! Reads: the idempotency key, the model and the body; what is remembered of the key; how the
//! limits stand, to tell it with an answer that is given again. Writes: the claim of the call.
//! Refuses: `idempotency_mismatch`, `idempotency_in_progress`, `idempotency_lost`,
//! `idempotency_answer_gone`, `ledger_unavailable`, `overloaded`. Position: below the layer that
//! takes in the body, since the whole body is compared; above admission, since an answer that is
//! given again reserves nothing and costs nothing.

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

/// How long a claim lives beyond the longest time that its call may wait and, once sent, may take
/// at the upstream.
const MARGIN: Duration = Duration::from_secs(30);
/// How long to wait before looking again whether a running call has ended: at first, and at most.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// Makes calls with a key once.
pub struct Replay {
    replays: Replays,
    ledger: Arc<dyn Ledger>,
    times: Arc<dyn Fn() -> Times + Send + Sync>,
    buffer: Buffer,
}

/// How long a call may take, as the settings of the upstream are now.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Waiting, before it is sent.
    pub wait: Duration,
    /// In all, from its admission to its end.
    pub call: Duration,
}

impl Replay {
    /// Remembers here. The ledger tells how limits stand, `times` is asked with each call how long
    /// it may take; the buffer is the memory for answers on their way out.
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

/// A call that nobody has made before: it carries no idempotency key, or has claimed the one that
/// it carries. Only this layer makes it.
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
    /// Nothing is boxed for a call without a key.
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, Refusal>>>;

    fn take(self: &Arc<Self>, call: PaidCall, below: Below<'_, S>) -> Self::Future {
        let Some(key) = call.idempotency_key else {
            return Either::Left(below.hand_on(NewCall { call, claimed: None }));
        };
        let with = Arc::clone(self);
        Either::Right(below.later(|mut below| async move {
            match with.claim(&call, key).await? {
                Whose::Ours(claimed) => {
                    let claimed = Some(claimed);
                    below.call(NewCall { call, claimed }).await
                }
                Whose::Answered(kept) => with.replayed(&call, *kept).await,
            }
        }))
    }
}

/// Who makes the call that a key stands for.
enum Whose {
    /// This one.
    Ours(Claimed),
    /// Somebody made it.
    Answered(Box<StoredResponse>),
}

impl Replay {
    /// Claims the key, or waits until the call that holds it has ended: with an answer, or without
    /// having spent anything, when the key is free again.
    async fn claim(&self, call: &PaidCall, key: KeyHash) -> Result<Whose, Refusal> {
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
                Begun::First => return Ok(Whose::Ours(claimed)),
                Begun::Running if Instant::now() >= until => {
                    claimed.not_ours();
                    return Err(Refusal::IdempotencyInProgress);
                }
                Begun::Running => {}
                Begun::Finished(kept) => {
                    claimed.not_ours();
                    self.count(call, kind);
                    return Ok(Whose::Answered(kept));
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
            tracing::debug!(request_id = %claim.request_id, call_id = %claim.id, %outage, "an idempotency key could not be claimed");
            Refusal::LedgerUnavailable
        })
    }

    /// The answer once more, with what is true of this request: it costs nothing, and the limits
    /// stand as they do now.
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

    /// A ledger that does not answer keeps nobody from an answer that is here.
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
                tracing::debug!(request_id = %call.id, %outage, "an answer is given again without how limits stand");
                credit_headers(&mut writer, &[], Credits::ZERO);
            }
        }
        headers
    }
}
