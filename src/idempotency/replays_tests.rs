//! What happens to outcomes when the store is away, and to claims whose calls never went out.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use http::HeaderValue;

use super::*;
use crate::call::{Fingerprint, KeyHash};
use crate::clock::Clock;
use crate::http::{AnswerBody, Deliver};
use crate::idempotency::{Claimed, Memory};
use crate::ledger::{self, Phase};
use crate::live::Live;
use crate::model::ModelId;
use crate::request::Shares;

/// A store in memory that is away when it is first asked to write, so many times.
struct Away {
    memory: Memory,
    times: AtomicUsize,
}

impl Away {
    fn is_back(&self) -> Result<(), Outage> {
        let away = self
            .times
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1));
        away.map_or(Ok(()), |_| Err(Outage::TimedOut))
    }
}

impl Store for Away {
    fn begin<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Begun, Outage>> {
        self.memory.begin(claim, ttl)
    }

    fn sent<'a>(&'a self, claim: &'a Claim, ttl: Duration) -> BoxFuture<'a, Result<bool, Outage>> {
        self.memory.sent(claim, ttl)
    }

    fn mark_lost<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>> {
        self.memory.mark_lost(claim)
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        self.is_back()
            .map_or_else(|outage| ready(Err(outage)).boxed(), |()| self.memory.finish(claim, kept))
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>> {
        self.memory.release(claim)
    }

    fn keep<'a>(
        &'a self,
        team: &'a TeamId,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        self.is_back()
            .map_or_else(|outage| ready(Err(outage)).boxed(), |()| self.memory.keep(team, kept))
    }

    fn list<'a>(
        &'a self,
        team: &'a TeamId,
        of: Option<&'a RequestId>,
    ) -> BoxFuture<'a, Result<Vec<Summary>, Outage>> {
        self.memory.list(team, of)
    }

    fn fetch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<StoredResponse>, Outage>> {
        self.memory.fetch(team, id)
    }
}

#[derive(Default)]
struct Counted(Mutex<Vec<Kind>>);

impl Observer for Counted {
    fn replay(&self, kind: Kind) {
        self.0.lock().unwrap().push(kind);
    }
}

fn replays(times_away: usize) -> (Replays, TaskTracker) {
    replays_within(times_away, memory(1024))
}

/// Memory for so many KiB of answers.
fn memory(kib: u64) -> Buffer {
    Buffer::new(2 * kib * 1024, 0, Live::new(Shares::default()))
}

fn replays_within(times_away: usize, buffer: Buffer) -> (Replays, TaskTracker) {
    let settings = Settings {
        retention: Duration::from_secs(3600),
        join_max: Duration::ZERO,
        answer_bytes_max: 1024,
        memory_bytes_max: 1 << 20,
    };
    let store = Away {
        memory: Memory::new(settings, Clock::system()),
        times: AtomicUsize::new(times_away),
    };
    let tracker = TaskTracker::new();
    (
        Replays::new(
            Arc::new(store),
            Arc::new(Counted::default()),
            settings,
            tracker.clone(),
            buffer,
        ),
        tracker,
    )
}

fn claim() -> Claim {
    Claim {
        id: ReservationId::new(),
        team: TeamId::parse("design").unwrap(),
        key: KeyHash::of(&HeaderValue::from_static("k")),
        fingerprint: Fingerprint::of(&ModelId::parse("flux/dev").unwrap(), b"{}"),
        request_id: RequestId::parse("r-1").unwrap(),
    }
}

/// The id of a call that has no claim.
fn plain() -> ReservationId {
    "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b".parse().unwrap()
}

fn ended(claim: Option<Claim>, executed: bool) -> Ended {
    let (team, id) = (TeamId::parse("design").unwrap(), RequestId::parse("r-1").unwrap());
    let call_id = claim.as_ref().map_or_else(plain, |claim| claim.id);
    let outcome = if executed { ledger::Outcome::Charged } else { ledger::Outcome::Released };
    let call = Call { id: call_id, model: ModelId::parse("flux/dev").unwrap(), outcome };
    Ended { team, call, id, claim, executed, cost: Credits::ZERO, at: Timestamp::UNIX_EPOCH }
}

async fn all_done(tracker: &TaskTracker) {
    tracker.close();
    tracker.wait().await;
}

const TTL: Duration = Duration::from_secs(300);

#[tokio::test]
async fn an_outcome_the_store_refuses_is_retried_in_the_background() {
    let (replays, tracker) = replays(2);
    let claim = claim();
    assert_eq!(replays.begin(&claim, TTL).await.unwrap(), Begun::First);
    let _ =
        replays.ended(ended(Some(claim.clone()), true), false, Err(Refusal::UpstreamTimeout)).await;
    assert_eq!(
        replays.begin(&Claim { id: ReservationId::new(), ..claim.clone() }, TTL).await.unwrap(),
        Begun::Running
    );
    all_done(&tracker).await;
    let Begun::Finished(kept) = replays.begin(&claim, TTL).await.unwrap() else { unreachable!() };
    assert_eq!(kept.status, http::StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(replays.fetch(&claim.team, claim.id).await, Ok(Some(*kept)));
}

#[tokio::test]
async fn without_a_key_only_a_departed_callers_answer_is_kept() {
    let (replays, _) = replays(0);
    let mut answer = replays.ended(ended(None, true), false, Ok(Answer::default())).await.unwrap();
    answer.body_mut().take_delivery().unwrap().arrived();
    let team = TeamId::parse("design").unwrap();
    assert_eq!(replays.fetch(&team, plain()).await, Ok(None));
    let _ = replays.ended(ended(None, true), true, Ok(Answer::default())).await;
    assert!(replays.fetch(&team, plain()).await.unwrap().is_some());
}

/// The answer is kept as for a caller who had left before; if the body is too large, only the
/// outcome is kept.
#[tokio::test]
async fn an_answer_that_did_not_arrive_is_kept() {
    for (bytes, times_away) in [(0, 0), (1024, 0), (1024, 1), (1025, 0)] {
        let (replays, tracker) = replays(times_away);
        let mut answer = Answer::new(AnswerBody::new(vec![b'x'; bytes]));
        *answer.status_mut() = http::StatusCode::CREATED;
        answer.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        answer.headers_mut().insert("x-credits-cost", HeaderValue::from_static("0.025"));
        let mut answer = replays.ended(ended(None, true), false, Ok(answer)).await.unwrap();
        let delivery = answer.body_mut().take_delivery().unwrap();
        assert_eq!(delivery.bytes(), if bytes > 1024 { 0 } else { bytes });
        drop(delivery);
        all_done(&tracker).await;
        let kept =
            replays.fetch(&TeamId::parse("design").unwrap(), plain()).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.headers.len()), (http::StatusCode::CREATED, 1));
        assert_eq!(kept.body.map(|body| body.len()), (bytes <= 1024).then_some(bytes));
    }
}

/// A store that is away takes none of them at first; of a store that is there, all are written in
/// their turn.
#[tokio::test]
async fn answers_wait_for_the_store_or_are_kept_without_bodies() {
    for (times_away, kib, whole) in [(0, 1024, 200), (200, 1024, 200), (200, 64, 64)] {
        let buffer = memory(kib);
        let (replays, tracker) = replays_within(times_away, buffer.clone());
        let team = TeamId::parse("design").unwrap();
        let (mut deliveries, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let mut ended = ended(None, true);
            ended.call.id = ReservationId::new();
            ids.push(ended.call.id);
            let answer = Answer::new(AnswerBody::new(vec![b'x'; 1024]));
            let mut answer = replays.ended(ended, false, Ok(answer)).await.unwrap();
            deliveries.extend(answer.body_mut().take_delivery());
        }
        drop(deliveries);
        all_done(&tracker).await;
        let mut answers = 0;
        for id in ids {
            let kept = replays.fetch(&team, id).await.unwrap().expect("none is lost");
            answers += usize::from(kept.body.is_some());
        }
        assert_eq!(answers, whole);
        assert!(
            buffer.take(&team, usize::try_from(kib * 1024).unwrap()).is_ok(),
            "their memory is given back"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_kept_anyway_needs_no_receipt() {
    let (replays, _) = replays(0);
    let claim = claim();
    assert_eq!(replays.begin(&claim, TTL).await.unwrap(), Begun::First);
    for (ended, left) in [(ended(Some(claim), true), false), (ended(None, true), true)] {
        let mut answer = replays.ended(ended, left, Ok(Answer::default())).await.unwrap();
        assert!(answer.body_mut().take_delivery().is_none());
    }
}

/// A caller who left can still fetch its outcome.
#[tokio::test]
async fn a_call_that_was_not_executed_frees_its_key() {
    let (replays, tracker) = replays(0);
    let claim = claim();
    assert_eq!(replays.begin(&claim, TTL).await.unwrap(), Begun::First);
    let _ = replays
        .ended(ended(Some(claim.clone()), false), true, Err(Refusal::UpstreamUnreachable))
        .await;
    all_done(&tracker).await;
    let again = Claim { id: ReservationId::new(), ..claim.clone() };
    assert_eq!(replays.begin(&again, TTL).await.unwrap(), Begun::First);
    let stored = replays.fetch(&again.team, claim.id).await.unwrap().unwrap();
    assert_eq!(stored.status, http::StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_dropped_claim_is_released_unless_its_call_was_sent() {
    let (replays, tracker) = replays(0);
    let first = Claimed::new(claim(), TTL, replays.clone());
    assert_eq!(replays.begin(first.claim().unwrap(), TTL).await.unwrap(), Begun::First);
    drop(first);
    all_done(&tracker).await;
    let second = Claimed::new(claim(), TTL, replays.clone());
    assert_eq!(replays.begin(second.claim().unwrap(), TTL).await.unwrap(), Begun::First);
    second.left_behind(Phase::Waiting);
    all_done(&tracker).await;
    let third = Claimed::new(claim(), TTL, replays.clone());
    assert_eq!(replays.begin(third.claim().unwrap(), TTL).await.unwrap(), Begun::First);
    assert!(third.sent().await.unwrap());
    third.left_behind(Phase::Dispatched);
    all_done(&tracker).await;
    assert_eq!(replays.begin(&claim(), TTL).await.unwrap(), Begun::Lost);
}
