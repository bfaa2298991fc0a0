//! Makes each call with an idempotency key once: others with the same key get its answer.
//!
//! Reads: the idempotency key, the model and the body; what is remembered of the key. Writes: the claim of the call.
//! Refuses: `idempotency_mismatch`, `idempotency_in_progress`, `idempotency_lost`, `ledger_unavailable`, `overloaded`.
//! Position: below the layer that takes in the body, since the whole body is compared; above admission, since an answer
//! that is given again reserves nothing and costs nothing.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};

use super::observe::Kind;
use super::store::Begun;
use super::{Claim, ClaimId, Claimed, Fingerprint, Kept, KeyHash, Replays};
use crate::http::Answer;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::Buffer;
use crate::request::collect::PaidCall;
use crate::upstream::Upstream;

/// How long a claim lives beyond the longest time that its call may wait and, once sent, may take at the upstream.
const MARGIN: Duration = Duration::from_secs(30);
/// How long to wait before looking again whether a running call has ended: at first, and at most.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// Makes [`Replay`].
#[derive(Clone)]
pub struct ReplayLayer {
    replays: Replays,
    upstream: Live<Upstream>,
    buffer: Buffer,
}

impl ReplayLayer {
    /// A layer that remembers here. The upstream's time-outs say how long a call may take; the buffer is the memory for
    /// answers on their way out.
    #[must_use]
    pub const fn new(replays: Replays, upstream: Live<Upstream>, buffer: Buffer) -> Self {
        Self { replays, upstream, buffer }
    }
}

impl<S> Layer<S> for ReplayLayer {
    type Service = Replay<S>;

    fn layer(&self, inner: S) -> Replay<S> {
        Replay { inner, with: self.clone() }
    }
}

/// The service of [`ReplayLayer`].
#[derive(Clone)]
pub struct Replay<S> {
    inner: S,
    with: ReplayLayer,
}

impl<S> Service<PaidCall> for Replay<S>
where
    S: Service<PaidCall, Response = Answer, Error = Refusal> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: PaidCall) -> Self::Future {
        let Some(key) = call.idempotency_key else { return Either::Left(self.inner.call(call)) };
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let with = self.with.clone();
        Either::Right(Box::pin(async move {
            match with.claim(&call, key).await? {
                Whose::Ours(claimed) => {
                    call.claimed = Some(claimed);
                    inner.call(call).await
                }
                Whose::Answered(kept) => with.replayed(*kept),
            }
        }))
    }
}

/// Who makes the call that a key stands for.
enum Whose {
    /// This one.
    Ours(Claimed),
    /// Somebody made it.
    Answered(Box<Kept>),
}

impl ReplayLayer {
    /// Claims the key, or waits until the call that holds it has ended: with an answer, or without having spent anything,
    /// when the key is free again.
    async fn claim(&self, call: &PaidCall, key: KeyHash) -> Result<Whose, Refusal> {
        let claim = Claim {
            id: ClaimId::new(),
            team: call.team.id.clone(),
            key,
            fingerprint: Fingerprint::of(&call.model, &call.body),
            request_id: call.id.clone(),
        };
        let claimed = self.replays.prepare(claim, self.upstream.read().longest_call() + MARGIN);
        let until = Instant::now() + self.replays.join_max();
        let (mut kind, mut pause) = (Kind::Replayed, LOOK_AGAIN);
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
                    self.replays.count(kind);
                    return Ok(Whose::Answered(Box::new(kept)));
                }
                Begun::Lost => {
                    claimed.not_ours();
                    return Err(Refusal::IdempotencyLost);
                }
                Begun::Mismatch => {
                    claimed.not_ours();
                    self.replays.count(Kind::Mismatch);
                    return Err(Refusal::IdempotencyMismatch);
                }
            }
            kind = Kind::Joined;
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(LOOK_AGAIN_MAX);
        }
    }

    async fn begin(&self, claimed: &Claimed) -> Result<Begun, Refusal> {
        let claim = claimed.claim().ok_or(Refusal::Internal)?;
        let begun = self.replays.begin(claim, self.upstream.read().queue.max_wait + MARGIN).await;
        begun.map_err(|outage| {
            tracing::warn!(request_id = %claim.request_id, %outage, "an idempotency key could not be claimed");
            Refusal::LedgerUnavailable
        })
    }

    fn replayed(&self, kept: Kept) -> Result<Answer, Refusal> {
        let answer = kept.replayed();
        let held = self.buffer.hold(answer.body().bytes().len() as u64)?;
        Ok(answer.map(|body| body.holding(Some(held))))
    }
}
