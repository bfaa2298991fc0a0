//! Many processes on one team: each is refused now and then, none is starved, and no limit is
//! passed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings};
use moongate::ledger::{Ledger, Outcome, ReservationId, Settled, Unobserved, Verdict};
use moongate::store::Topology;
use moongate::team::LimitKind;

use super::patient;
use crate::ledger::conformance::harness::{Call, PRICE, call, credits, limit, settlement};
use crate::support::redis::RedisServer;
use crate::support::stored::Reached as _;

/// What a process gets of a team: how many of its calls were admitted.
async fn take_part(settings: Settings, call: Call, calls: usize) -> usize {
    let ledger: Arc<dyn Ledger> =
        Arc::new(RedisLedger::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap());
    let make = || async {
        let id = ReservationId::new();
        match ledger.admit(call.admission(id)).await.unwrap() {
            Verdict::Admitted { .. } => {
                assert!(ledger.dispatch(&call.team, id).await.unwrap());
                let settled = ledger
                    .settle(&call.team, settlement(id, Outcome::Charged, PRICE))
                    .await
                    .unwrap();
                assert_eq!(settled, Settled::Now(credits(PRICE)));
                1
            }
            Verdict::Refused { .. } => 0,
        }
    };
    let mut admitted = 0;
    // Some at once, and one after another.
    for _ in 0..calls / 5 {
        admitted += join_all((0..5).map(|_| make())).await.into_iter().sum::<usize>();
    }
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_processes_on_one_team_are_served_within_its_limits() {
    const PROCESSES: usize = 10;
    const CALLS: usize = 60;
    let server = RedisServer::start().await;
    let budget = u64::try_from(PROCESSES * CALLS - 50).unwrap();
    let call = call().limits([
        limit(LimitKind::CreditsTotal, budget * PRICE),
        limit(LimitKind::Concurrent, 100),
    ]);
    let settings = Settings { reservation_ttl: Duration::from_secs(60), ..patient(&server) };
    let parts =
        (0..PROCESSES).map(|_| tokio::spawn(take_part(settings.clone(), call.clone(), CALLS)));
    let parts: Vec<usize> = join_all(parts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(parts.iter().sum::<usize>() as u64, budget, "{parts:?}");
    let ledger: Arc<dyn Ledger> =
        Arc::new(RedisLedger::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap());
    let rows = ledger.rows(&call.team, 0, 2 * PROCESSES * CALLS).await.unwrap();
    assert_eq!(rows.rows.iter().map(|row| row.charged.micros()).sum::<u64>(), budget * PRICE);
    assert_eq!(ledger.open(&call.team).await.unwrap(), 0);
}

/// How many calls each of so many replicas has had settled by the time when half of all are, with
/// two thousand of one team at once, round after round.
async fn settled_at_half_time(replicas: usize) -> Vec<usize> {
    const AT_ONCE: usize = 2_000;
    const ROUNDS: usize = 3;
    let server = RedisServer::start().await;
    let settings = Settings { reservation_ttl: Duration::from_secs(60), ..patient(&server) };
    let call = call()
        .limits([limit(LimitKind::CreditsTotal, PRICE << 20), limit(LimitKind::Concurrent, 2_000)]);
    let settled: Arc<Vec<AtomicUsize>> =
        Arc::new((0..replicas).map(|_| AtomicUsize::new(0)).collect());
    let counts = |settled: &[AtomicUsize]| {
        settled.iter().map(|one| one.load(Ordering::SeqCst)).collect::<Vec<_>>()
    };
    let at_half_time = Arc::new(OnceLock::new());
    let parts = (0..replicas).map(|replica| {
        let (settings, call, settled) = (settings.clone(), call.clone(), Arc::clone(&settled));
        let at_half_time = Arc::clone(&at_half_time);
        tokio::spawn(async move {
            let ledger: Arc<dyn Ledger> = Arc::new(
                RedisLedger::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap(),
            );
            for _ in 0..ROUNDS {
                let calls = (0..AT_ONCE / replicas).map(|_| async {
                    let id = ReservationId::new();
                    let admitted = ledger.admit(call.admission(id)).await.unwrap();
                    assert!(matches!(admitted, Verdict::Admitted { .. }), "{admitted:?}");
                    ledger
                        .settle(&call.team, settlement(id, Outcome::Charged, PRICE))
                        .await
                        .unwrap();
                    settled[replica].fetch_add(1, Ordering::SeqCst);
                    let counts = counts(&settled);
                    if counts.iter().sum::<usize>() >= ROUNDS * AT_ONCE / 2 {
                        at_half_time.get_or_init(|| counts);
                    }
                });
                join_all(calls).await;
            }
        })
    });
    for part in join_all(parts).await {
        part.unwrap();
    }
    assert_eq!(counts(&settled).iter().sum::<usize>(), ROUNDS * AT_ONCE);
    at_half_time.get().unwrap().clone()
}

/// The replicas make two thousand calls at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_four_replicas_refuse_and_starve_no_call() {
    for replicas in [2, 4] {
        let settled = settled_at_half_time(replicas).await;
        let mean = settled.iter().sum::<usize>() / replicas;
        assert!(settled.iter().all(|settled| settled * 4 >= mean), "{settled:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_processs_workers_never_refuse_each_other() {
    let server = RedisServer::start().await;
    let settings = patient(&server).at(Topology::Single { url: server.url() });
    let one = RedisLedger::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap();
    let other: Arc<dyn Ledger> = Arc::new(one.another(Clock::system()).unwrap());
    let one: Arc<dyn Ledger> = Arc::new(one);
    let call = call().limits([limit(LimitKind::RequestsPerDay, 1_000)]);
    one.admit(call.admission(ReservationId::new())).await.unwrap();
    let scripts = || async {
        let statistics: String = server.ask(&["INFO", "commandstats"]).await.unwrap();
        let ran = statistics
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="))
            .unwrap_or("0,")
            .to_owned();
        ran.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    // The other connection has to learn the server's time. It need not read the
    // team: both share what they know of it.
    other.admit(call.admission(ReservationId::new())).await.unwrap();
    let before = scripts().await;
    for ledger in [&one, &other].repeat(20) {
        let Verdict::Admitted { .. } =
            ledger.admit(call.admission(ReservationId::new())).await.unwrap()
        else {
            panic!("there is room")
        };
    }
    // One step for each; were they to refuse each other it would be two. A machine that stands
    // still for a second costs one more.
    let steps = scripts().await - before;
    assert!((40..50).contains(&steps), "{steps}");
}
