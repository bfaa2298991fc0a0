//! A team that was closed before the upgrade, because the store had lost a part of it, gets no
//! fresh budget.

use moongate::ledger::OnLoss;

use super::*;

/// Closes the team as the release before does, at this moment, while its processes bring what they
/// saw.
async fn close(server: &RedisServer, at: &str) {
    let loss = format!("C {} 1795341600250000 1795341600250000 17 0", moment(at).as_microsecond());
    server.run(&["HSET", OLD, "l", &loss, "f", "1"]).await;
}

/// What one of them saw: four calls' price more spent by the team, one top-up more, and a fuller
/// bucket.
async fn bring(server: &RedisServer) {
    let brought = [
        ("team d:2026-11-23", "9 500000"),
        ("team m:2026-11", "0 959999"),
        ("team t", "0 959999"),
        ("team p", "0 300000"),
        ("team rm", "300000000 1795348801500000"),
        ("user:bob m:2026-11", "1 100"),
        ("user:eve d:2026-11-23", "7 0"),
    ];
    for (place, least) in brought {
        server.run(&["HSET", "mg1:{design}:floors", place, least]).await;
    }
}

fn holding(server: &RedisServer, clock: &Clock) -> Arc<dyn Ledger> {
    let settings = Settings { on_loss: OnLoss::Hold, ..settings(server, clock) };
    Arc::new(RedisLedger::new(settings, Clock::system(), Arc::<Watch>::default()).unwrap())
}

async fn is_closed(ledger: &Arc<dyn Ledger>) -> bool {
    match ledger.admit(of_bob().price(1).admission(ReservationId::new())).await {
        Ok(verdict) => {
            assert!(matches!(verdict, Verdict::Admitted { .. }), "{verdict:?}");
            false
        }
        Err(outage) => {
            assert!(matches!(outage, Outage::Lost), "{outage:?}");
            true
        }
    }
}

/// Used and reserved in a limit of a level.
async fn counted(ledger: &Arc<dyn Ledger>, call: Call) -> Vec<(u64, u64)> {
    let (levels, time_zone) = (call.levels, call.zone);
    let snapshot = ledger
        .snapshot(SnapshotQuery { team: call.team, levels, time_zone, reader: None })
        .await
        .unwrap();
    snapshot.statuses.iter().map(|status| (status.used, status.reserved)).collect()
}

#[tokio::test]
async fn it_opens_after_a_wait_with_nothing_seen_missing() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    close(&server, NOW).await;
    let ledger = process(&server, &clock);
    clock.set(moment(NOW) + TTL / 3 - Duration::from_micros(1));
    assert!(is_closed(&ledger).await);
    // Until then it is left to processes of that release, which may still bring something.
    bring(&server).await;
    clock.set(moment(NOW) + TTL / 3);
    let kinds = [
        LimitKind::RequestsPerDay,
        LimitKind::CreditsPerDay,
        LimitKind::RequestsPerMonth,
        LimitKind::CreditsPerMonth,
        LimitKind::CreditsTotal,
        LimitKind::RequestsPerHour,
    ];
    let team = call().zone(ZONE).limits(kinds.map(|kind| limit(kind, 1_000)));
    // Ordered by kind: requests, then credits. The bucket has leaked a thousand an hour.
    let expected = [
        (2, 0),
        (9, 3),
        (5, 3),
        (5 * PRICE, 4 * PRICE),
        (959_999, 4 * PRICE),
        (959_999, 4 * PRICE),
    ];
    assert_eq!(counted(&ledger, team).await, expected);
    let topped_up = ledger.top_up(&call().team, top_up("invoice-7", 2 * PRICE)).await.unwrap();
    assert_eq!(topped_up, ToppedUp::Before(credits(3 * PRICE)));
    let at_once = call().zone(ZONE).limits([limit(LimitKind::RequestsPerMinute, 6)]);
    let taken = 300 - 6 * 10 - 6;
    assert_eq!(counted(&ledger, at_once).await, [(u64::div_ceil(taken, 60), 0)]);
    let bob = call().zone(ZONE).user("bob", [limit(LimitKind::CreditsPerMonth, 1)]);
    assert_eq!(counted(&ledger, bob).await, [(4 * PRICE, 2 * PRICE)], "more than was restored");
    let eve = call().zone(ZONE).user("eve", [limit(LimitKind::RequestsPerDay, 1)]);
    assert_eq!(counted(&ledger, eve).await, [(7, 0)], "of whom the store had no record left");
}

#[tokio::test]
async fn with_hold_it_stays_closed_until_an_operator_accepts() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    close(&server, NOW).await;
    bring(&server).await;
    let ledger = holding(&server, &clock);
    clock.set(moment(NOW) + TTL * 100);
    assert!(is_closed(&ledger).await);
    ledger.accept_loss(&call().team).await.unwrap();
    assert!(!is_closed(&ledger).await);
    assert!(!is_closed(&holding(&server, &clock)).await, "another process finds it open too");
    let total = call().zone(ZONE).limits([limit(LimitKind::CreditsTotal, 1)]);
    assert_eq!(
        counted(&ledger, total).await,
        [(959_999, 4 * PRICE + 2)],
        "with what was restored, and what is reserved"
    );
}

#[tokio::test]
async fn one_that_was_closed_before_and_opened_again_is_open() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    server
        .run(&["HSET", OLD, "l", "O 1795348801600000 1795341600250000 1795341600250000 17 0"])
        .await;
    assert_eq!(difference(&answers(&holding(&server, &clock)).await, ANSWERS), None);
}

#[tokio::test]
async fn a_team_with_a_part_missing_needs_an_operators_acceptance() {
    for gone in ["s:team", "s:user:bob"] {
        let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
        server.run(&["DEL", &format!("mg1:{{design}}:{gone}")]).await;
        let ledger = process(&server, &clock);
        assert!(is_closed(&ledger).await, "{gone}");
        assert!(is_closed(&ledger).await, "{gone}");
        ledger.accept_loss(&call().team).await.unwrap();
        assert!(!is_closed(&ledger).await, "{gone}");
        assert_eq!(ledger.rows(&call().team, 0, 10).await.unwrap().total, 6, "{gone}");
    }
}

#[tokio::test]
async fn holds_without_a_record_end_as_unknown_when_due() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    server.run(&["DEL", "mg1:{design}:held"]).await;
    let ledger = process(&server, &clock);
    assert!(is_closed(&ledger).await);
    clock.set(moment(NOW) + TTL / 3);
    let total = || call().zone(ZONE).limits([limit(LimitKind::CreditsTotal, 1)]);
    assert!(!is_closed(&ledger).await);
    assert_eq!(
        counted(&ledger, total()).await,
        [(559_999, 4 * PRICE + 1)],
        "the reserved calls, and the call just made"
    );
    clock.set(clock.now() + TTL);
    assert_eq!(ledger.sweep(&call().team).await.unwrap().unknown, 4);
    assert_eq!(counted(&ledger, total()).await, [(559_999 + 4 * PRICE + 1, 0)]);
}
