//! What goes wrong between the gateway and Redis, and in Redis: nothing is forwarded, nothing is
//! lost, nothing panics.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, Outage, Outcome, ReservationId, Settled, Verdict};
use moongate::secret::Secret;
use moongate::store::Topology;
use moongate::team::LimitKind;

use super::{BRIEF, Seen, handle, observed, patient};
use crate::ledger::conformance::harness::{Call, PRICE, call, credits, limit, settlement};
use crate::support::proxy::{Fault, LATE, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

async fn admit(ledger: &Arc<dyn Ledger>, call: &Call) -> Result<ReservationId, Outage> {
    let id = ReservationId::new();
    match ledger.admit(call.admission(id)).await? {
        Verdict::Admitted { .. } => Ok(id),
        Verdict::Refused { statuses, .. } => panic!("refused: {statuses:?}"),
    }
}

async fn open(ledger: &Arc<dyn Ledger>, call: &Call) -> u64 {
    let query = moongate::ledger::SnapshotQuery {
        team: call.team.clone(),
        levels: call.levels.clone(),
        time_zone: call.zone.clone(),
        reader: None,
    };
    ledger.snapshot(query).await.map_or(u64::MAX, |snapshot| snapshot.open)
}

/// A store that can be reached through the proxy only.
fn behind(proxy: &Proxy) -> Settings {
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    Settings::new(Topology::Single { url }).within(BRIEF)
}

fn refused(outage: &Outage, word: &str) -> bool {
    matches!(outage, Outage::Refused(why) if why.contains(word))
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_sent_it_again() {
    let server = RedisServer::start().await;
    let ledger = handle(patient(&server));
    let id = admit(&ledger, &call()).await.unwrap();
    server.run(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap(),
        Settled::Now(credits(PRICE))
    );
}

#[tokio::test]
async fn a_server_out_of_memory_admits_nothing_and_still_settles() {
    let server = RedisServer::start().await;
    let ledger = handle(patient(&server));
    let id = admit(&ledger, &call()).await.unwrap();
    server.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let outage = admit(&ledger, &call()).await.unwrap_err();
    assert!(refused(&outage, "OOM"), "{outage:?}");
    assert_eq!(
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap(),
        Settled::Now(credits(PRICE))
    );
    server.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(open(&ledger, &call()).await, 0);
    admit(&ledger, &call()).await.unwrap();
}

/// Later calls see the outage at once.
#[tokio::test]
async fn a_frozen_server_is_an_outage_within_the_deadline() {
    let server = RedisServer::start().await;
    let seen = Arc::new(Seen::default());
    let ledger = observed(patient(&server).within(BRIEF), Arc::clone(&seen) as _);
    admit(&ledger, &call()).await.unwrap();
    server.freeze();
    let started = Instant::now();
    assert!(matches!(admit(&ledger, &call()).await, Err(Outage::TimedOut)));
    assert!(started.elapsed() >= BRIEF);
    let started = Instant::now();
    let tries = 100;
    for _ in 0..tries {
        let _outage = ledger.dispatch(&call().team, ReservationId::new()).await.unwrap_err();
    }
    assert!(
        started.elapsed() < tries * BRIEF / 4,
        "a hundred at once took {:?}",
        started.elapsed()
    );
    server.thaw();
    wait_until("the store is back", || async { ledger.probe().await.is_ok() }).await;
    assert_eq!(seen.ups(), [true, false, true]);
    // The frozen server carries out what it had received. The caller got an outage for it, so it
    // is undone.
    wait_until("what was given up is released", || async { open(&ledger, &call()).await == 1 })
        .await;
}

/// The admission may be repeated.
#[tokio::test]
async fn an_admission_whose_answer_is_lost_is_released() {
    for fault in [Fault::SwallowAnswers, Fault::CutBeforeAnswer] {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port()).await;
        let direct = handle(patient(&server));
        let ledger = handle(behind(&proxy));
        let call = call().limits([limit(LimitKind::CreditsTotal, 10 * PRICE)]);
        let kept = admit(&ledger, &call).await.unwrap();
        assert_eq!(open(&ledger, &call).await, 1);
        let id = ReservationId::new();
        // The fault begins when the admission is sent. Earlier it could hit the answer to something
        // else, such as a new connection's greeting; then the server would never get the admission,
        // and would have no row of it.
        proxy.set_once_sent(&id.to_string(), fault);
        let outage = ledger.admit(call.admission(id)).await.unwrap_err();
        assert!(matches!(outage, Outage::TimedOut | Outage::Unreachable(_)), "{outage:?}");
        proxy.set(Fault::None);
        // The row says that the call was reserved all the same.
        wait_until("it is released", || async {
            let rows = direct.rows(&call.team, 0, 10).await.unwrap().rows;
            rows.iter().map(|row| (row.id, row.outcome)).collect::<Vec<_>>()
                == [(id, Outcome::Released)]
        })
        .await;
        assert_eq!(open(&direct, &call).await, 1);
        assert_eq!(
            ledger.settle(&call.team, settlement(kept, Outcome::Charged, 0)).await.unwrap(),
            Settled::Now(credits(0))
        );
    }
}

#[tokio::test]
async fn a_repeated_settlement_is_counted_once() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let ledger = handle(behind(&proxy));
    let id = admit(&ledger, &call()).await.unwrap();
    proxy.set(Fault::SwallowAnswers);
    ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap_err();
    proxy.set(Fault::None);
    wait_until("it is settled", || async {
        ledger
            .settle(&call().team, settlement(id, Outcome::Charged, PRICE))
            .await
            .is_ok_and(|s| s == Settled::Before)
    })
    .await;
    let rows = ledger.rows(&call().team, 0, 10).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.charged).collect::<Vec<_>>(), [credits(PRICE)]);
}

#[tokio::test]
async fn a_connection_that_broke_while_idle_is_no_outage() {
    let server = RedisServer::start().await;
    let ledger = handle(patient(&server));
    for _ in 0..3 {
        admit(&ledger, &call()).await.unwrap();
        server.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    }
    assert_eq!(open(&ledger, &call()).await, 3);
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_verdict_leaves_nothing_reserved() {
    let server = RedisServer::start().await;
    let ledger = handle(patient(&server));
    admit(&ledger, &call()).await.unwrap();
    for _ in 0..20 {
        let call = call();
        let mut admission = ledger.admit(call.admission(ReservationId::new()));
        // Polled once, it is on its way.
        assert!(futures_util::poll!(&mut admission).is_pending());
        tokio::task::yield_now().await;
        drop(admission);
    }
    wait_until("all are released", || async { open(&ledger, &call()).await == 1 }).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_without_the_password() {
    let server = RedisServer::start().await;
    server.run(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let with = |password: &str| {
        let mut settings = patient(&server);
        settings.store.password = Some(Secret::new(password));
        settings
    };
    let outage = handle(with("swordfish")).probe().await.unwrap_err();
    assert!(!outage.to_string().contains("swordfish"), "{outage}");
    assert!(!format!("{:?}", with("swordfish")).contains("swordfish"));
    handle(with("hunter2")).probe().await.unwrap();
    let named = patient(&server).by_user("default", "hunter2");
    admit(&handle(named), &call()).await.unwrap();
}

#[tokio::test]
async fn too_few_replicas_are_an_outage_and_nothing_stays_reserved() {
    let server = RedisServer::start().await;
    let ledger = handle(patient(&server).acknowledged_by(1).within(3 * BRIEF));
    let outage = admit(&ledger, &call()).await.unwrap_err();
    assert!(refused(&outage, "0 of 1 replicas"), "{outage:?}");
    wait_until("it is released", || async { open(&ledger, &call()).await == 0 }).await;
    let _replica =
        RedisServer::start_with(&["--replicaof", &format!("127.0.0.1 {}", server.port())]).await;
    wait_until("the replica has it", || async { admit(&ledger, &call()).await.is_ok() }).await;
}

#[tokio::test]
async fn a_burst_that_waits_past_the_deadline_is_no_outage() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    // Each batch is answered within the deadline; all of them together take longer.
    let ledger = handle(behind(&proxy).within(LATE * 20));
    admit(&ledger, &call()).await.unwrap();
    proxy.set(Fault::Late);
    let admissions = (0..4_000).map(|_| ledger.admit(call().admission(ReservationId::new())));
    let started = Instant::now();
    let verdicts = join_all(admissions).await;
    assert!(started.elapsed() > LATE * 20);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Ok(Verdict::Admitted { .. }))));
}
