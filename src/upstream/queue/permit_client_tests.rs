//! The permit client with a store that answers as the test has it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use jiff::Timestamp;

use super::*;
use crate::credits::Credits;
use crate::permits::Allowance;
use crate::secret::Secret;
use crate::team::TeamId;
use crate::upstream::breaker::{self, HealthSignal};
use crate::upstream::keys::{Cooldown, Why};
use crate::upstream::queue::Settings as QueueSettings;
use crate::upstream::settings::{KeySettings, Protocol};
use crate::upstream::{KeyPool, Settings};

/// Answers each batch by its number: the result of every call that asks or waits.
struct Scripted<F> {
    batches: AtomicUsize,
    asks: AtomicUsize,
    script: F,
}

impl<F: Fn(usize) -> Result<QueuePosition, Outage> + Send + Sync + 'static> Scripted<F> {
    fn new(script: F) -> Arc<Self> {
        Arc::new(Self { batches: AtomicUsize::new(0), asks: AtomicUsize::new(0), script })
    }

    fn batches(&self) -> usize {
        self.batches.load(Ordering::SeqCst)
    }
}

impl<F: Fn(usize) -> Result<QueuePosition, Outage> + Send + Sync + 'static> Permits
    for Scripted<F>
{
    fn batch<'a>(
        &'a self,
        _: &'a AccountLimits,
        operations: &'a [Operation],
    ) -> BoxFuture<'a, Result<BatchResult, Outage>> {
        let number = self.batches.fetch_add(1, Ordering::SeqCst);
        let asks = operations
            .iter()
            .filter(|operation| matches!(operation, Operation::Ask(_) | Operation::Wait(_)))
            .count();
        self.asks.fetch_add(asks, Ordering::SeqCst);
        let positions = (0..asks).map(|_| (self.script)(number)).collect::<Result<Vec<_>, _>>();
        let answer = positions.map(|positions| BatchResult {
            positions,
            remaining: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
        });
        async move { answer }.boxed()
    }
}

/// Counts nothing.
struct Unobserved;

impl Observer for Unobserved {
    fn called(&self, _: &str, _: &str, _: Duration) {}
    fn key_healthy(&self, _: &str, _: bool) {}
    fn limit_remaining(&self, _: &str, _: &str, _: u64) {}
    fn queue_joined(&self, _: &TeamId) {}
    fn queue_left(&self, _: &TeamId) {}
    fn queue_waited(&self, _: &TeamId, _: Duration) {}
    fn balance(&self, _: &str, _: Credits) {}
    fn drift(&self, _: &str, _: i64) {}
    fn breaker_open(&self, _: bool) {}
    fn tripwire(&self) {}
}

const BREAKER: breaker::Settings = breaker::Settings {
    consecutive_failures: 1,
    open_for: Duration::from_secs(8),
    open_for_max: Duration::from_secs(60),
};

fn upstream() -> Upstream {
    let key = KeySettings {
        name: "primary".to_owned(),
        secret: Secret::new("fm-secret"),
        weight: 1,
        limits: Allowance::default(),
    };
    let second = Duration::from_secs(1);
    let settings = Settings {
        base_url: "http://127.0.0.1:9/api".parse().unwrap(),
        keys: vec![key],
        limits: Allowance { per_minute: Some(60), ..Allowance::default() },
        queue: QueueSettings { max_wait: 20 * second, length_max: 1000, team_length_max: 1000 },
        reconcile: None,
        breaker: Some(BREAKER),
        protocol: Protocol::Http1,
        ca_file: None,
        connect_timeout: second,
        answer_timeout: second,
        idle_timeout: second,
        answer_bytes_max: 1 << 20,
    };
    Upstream::new(settings, None).unwrap()
}

fn permit_client(permits: Arc<dyn Permits>) -> Arc<PermitClient> {
    let clock = Clock::moved(Timestamp::UNIX_EPOCH);
    PermitClient::new(permits, Live::new(upstream()), Arc::new(Unobserved), clock)
}

fn request(wait: Duration) -> PermitRequest {
    let team = TeamId::parse("design").unwrap();
    PermitRequest { team, weight: 1, until: Instant::now() + wait, turned_back: false }
}

fn granted() -> QueuePosition {
    QueuePosition::Granted { key: "primary".into(), left: None }
}

/// A position behind others, although the window is open.
fn waiting() -> QueuePosition {
    QueuePosition::Waiting { ahead: 130, opens_at: Timestamp::UNIX_EPOCH }
}

const WAIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn simultaneous_calls_share_one_permit_request() {
    let store = Scripted::new(|_| Ok(granted()));
    let client = permit_client(store.clone());
    let permits = join_all((0..50).map(|_| client.permit(request(WAIT)))).await;
    assert!(permits.iter().all(|permit| matches!(permit, Ok(Some(_)))));
    assert_eq!((store.batches(), store.asks.load(Ordering::SeqCst)), (1, 50));
    for mut permit in permits.into_iter().flatten().flatten() {
        permit.spend();
    }
    until(|| !client.lock().running).await;
    assert_eq!(store.batches(), 1, "nobody waits, so nothing is sent");
}

#[tokio::test]
async fn a_call_that_waited_in_vain_learns_when_to_retry() {
    let store = Scripted::new(|_| Ok(waiting()));
    let (started, wait) = (Instant::now(), Duration::from_millis(500));
    let refused = permit_client(store).permit(request(wait)).await.err().unwrap();
    assert!(started.elapsed() >= wait);
    // 130 calls before it take two minutes of 60.
    let Refusal::SharedRateLimited { retry_at, retry_after } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(retry_at.as_second(), 120);
    assert!(
        retry_after < Duration::from_secs(120) && retry_after > Duration::from_secs(60),
        "{retry_after:?}"
    );
}

#[tokio::test]
async fn without_the_store_newcomers_are_refused_and_positions_kept() {
    let (away, back) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (is_away, is_back) = (Arc::clone(&away), Arc::clone(&back));
    let store = Scripted::new(move |_| {
        match (is_away.load(Ordering::SeqCst), is_back.load(Ordering::SeqCst)) {
            (true, _) => Err(Outage::TimedOut),
            (false, true) => Ok(granted()),
            (false, false) => Ok(waiting()),
        }
    });
    let client = permit_client(store.clone());
    let early = tokio::spawn({
        let client = Arc::clone(&client);
        async move {
            client.permit(request(WAIT)).await.map(|permit| permit.map(|mut permit| permit.spend()))
        }
    });
    until(|| client.lock().waiting.values().any(|waiter| waiter.estimate.is_some())).await;
    away.store(true, Ordering::SeqCst);
    assert_eq!(client.permit(request(WAIT)).await.err(), Some(Refusal::LedgerUnavailable));
    back.store(true, Ordering::SeqCst);
    away.store(false, Ordering::SeqCst);
    assert_eq!(early.await.unwrap(), Ok(Some(())));
}

#[tokio::test]
async fn when_no_key_can_be_used_nobody_waits_for_one() {
    let client = permit_client(Scripted::new(|_| Ok(waiting())));
    let keys: Arc<KeyPool> = Arc::clone(&client.upstream.read().keys);
    let waits = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.permit(request(WAIT)).await.err() }
    });
    until(|| client.lock().waiting.values().any(|waiter| waiter.estimate.is_some())).await;
    let now = client.clock.now();
    let cooldown =
        Cooldown { why: Why::Rejected, since: now, until: now + Duration::from_secs(60) };
    keys.named("primary").unwrap().cool_down(cooldown);
    assert_eq!(waits.await.unwrap(), Some(Refusal::UpstreamKeyRejected));
}

#[tokio::test]
async fn nobody_waits_for_the_upstream_once_the_breaker_opens() {
    let client = permit_client(Scripted::new(|_| Ok(waiting())));
    let waits = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.permit(request(WAIT)).await.err() }
    });
    until(|| client.lock().waiting.values().any(|waiter| waiter.estimate.is_some())).await;
    let team = TeamId::parse("growth").unwrap();
    assert!(client.upstream.read().breaker.note(
        &team,
        HealthSignal::Failed,
        client.clock.elapsed()
    ));
    let Some(Refusal::UpstreamUnavailable { retry_after }) = waits.await.unwrap() else {
        panic!("it waited on")
    };
    assert!(
        retry_after >= BREAKER.open_for / 2 && retry_after <= BREAKER.open_for,
        "{retry_after:?}"
    );
}

/// Waits for a condition.
async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "in vain");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
