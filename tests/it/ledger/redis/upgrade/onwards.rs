//! After the upgrade the team's counts go on from where they were.

use super::*;

/// A call under the team's prepaid budget alone.
fn prepaid() -> Call {
    call().zone(ZONE).limits([limit(LimitKind::CreditsTotal, 12 * PRICE)])
}

/// What is left of it: 14 calls' price with what was topped up, less what was spent and is held.
const LEFT: u64 = 14 * PRICE - 559_999 - 4 * PRICE;

async fn is_admitted(ledger: &Arc<dyn Ledger>, call: &Call) -> bool {
    matches!(
        ledger.admit(call.admission(ReservationId::new())).await.unwrap(),
        Verdict::Admitted { .. }
    )
}

/// How a limit of the team stands: used and reserved.
async fn counted(ledger: &Arc<dyn Ledger>, kind: LimitKind) -> (u64, u64) {
    let levels = call().limits([limit(kind, 1)]).levels;
    let (team, time_zone) = (call().team, of_bob().zone);
    let snapshot =
        ledger.snapshot(SnapshotQuery { team, levels, time_zone, reader: None }).await.unwrap();
    (snapshot.statuses[0].used, snapshot.statuses[0].reserved)
}

#[tokio::test]
async fn a_budget_is_spent_to_the_last_millionth() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let ledger = process(&server, &clock);
    assert!(is_admitted(&ledger, &prepaid().price(LEFT)).await);
    assert!(!is_admitted(&ledger, &prepaid().price(1)).await);
}

/// One budget, together.
#[tokio::test]
async fn of_two_processes_one_takes_over_and_both_spend() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let processes: Vec<_> = (0..2).map(|_| process(&server, &clock)).collect();
    let call = &prepaid();
    let admissions = (0..16).map(|n| is_admitted(&processes[n % 2], call));
    let admitted =
        join_all(admissions).await.into_iter().filter(|admitted| *admitted).count() as u64;
    assert_eq!(admitted, LEFT / PRICE);
    assert_eq!(
        counted(&processes[0], LimitKind::CreditsTotal).await,
        (559_999, (4 + admitted) * PRICE)
    );
}

#[tokio::test]
async fn a_bucket_goes_on_with_the_tokens_that_were_taken() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let ledger = process(&server, &clock);
    let call = call().zone(ZONE).limits([limit(LimitKind::RequestsPerMinute, 6)]);
    let admitted = [
        is_admitted(&ledger, &call).await,
        is_admitted(&ledger, &call).await,
        is_admitted(&ledger, &call).await,
    ];
    assert_eq!(admitted, [true, true, false]);
}

#[tokio::test]
async fn a_call_that_was_open_is_settled_once() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let (ledger, team) = (process(&server, &clock), call().team);
    let end = || settlement(id(DISPATCHED), Outcome::Charged, PRICE);
    assert_eq!(ledger.settle(&team, end()).await.unwrap(), Settled::Now(credits(PRICE)));
    assert_eq!(ledger.settle(&team, end()).await.unwrap(), Settled::Before);
    assert_eq!(process(&server, &clock).settle(&team, end()).await.unwrap(), Settled::Before);
    assert_eq!(counted(&ledger, LimitKind::CreditsTotal).await, (559_999 + PRICE, 2 * PRICE));
    assert_eq!(counted(&ledger, LimitKind::Concurrent).await, (0, 2));
    let rows = ledger.rows(&team, 0, 2).await.unwrap();
    assert_eq!(
        (rows.total, rows.rows[0].id, rows.rows[1].id),
        (7, id(DISPATCHED), id(6)),
        "the newest first"
    );
    let usage = ledger
        .usage(&team, "2026-11-23".parse().unwrap()..="2026-11-23".parse().unwrap())
        .await
        .unwrap();
    let cells: Vec<_> =
        usage.iter().map(|usage| (&*usage.user, usage.sums.charged, usage.sums.unknown)).collect();
    assert_eq!(cells, [("bob", 1, 1)], "one cell, with what was in it before");
    assert_eq!(usage[0].sums.credits, credits(2 * PRICE));
}

#[tokio::test]
async fn calls_that_nobody_settles_end_at_their_old_deadlines() {
    let (server, clock, watch) =
        (filled().await, Clock::moved(moment(NOW)), Arc::<Watch>::default());
    let (ledger, team) = (watched(&server, &clock, Arc::clone(&watch)), call().team);
    clock.set(moment("2026-11-22T12:00:29.999999Z"));
    assert_eq!(ledger.sweep(&team).await.unwrap().released, 0);
    clock.set(moment("2026-11-22T12:00:30Z"));
    let swept = ledger.sweep(&team).await.unwrap();
    assert_eq!((swept.released, swept.unknown, swept.refused), (1, 1, 0));
    clock.set(moment("2026-11-22T12:00:31.5Z"));
    assert_eq!(ledger.sweep(&team).await.unwrap().refused, 1);
    let charged: Vec<_> = watch
        .take_charges()
        .into_iter()
        .map(|(_, charge)| (charge.model, charge.credits))
        .collect();
    assert_eq!(
        charged,
        [("veo/3".to_owned(), credits(2 * PRICE))],
        "one that may have been sent is charged"
    );
    assert_eq!(counted(&ledger, LimitKind::CreditsTotal).await, (559_999 + 2 * PRICE, 0));
    assert_eq!(counted(&ledger, LimitKind::CreditsPerDay).await, (3 * PRICE, 0));
    let rows = ledger.rows(&team, 0, 3).await.unwrap().rows;
    assert_eq!(rows[0].id, id(TURNED_BACK));
    assert_eq!(
        (rows[1].summary.seconds, rows[2].summary.seconds).max((8, 0)),
        (8, 0),
        "what each call asked for is in its row"
    );
}

#[tokio::test]
async fn a_notice_already_given_is_not_given_again() {
    let (server, clock, watch) =
        (filled().await, Clock::moved(moment(NOW)), Arc::<Watch>::default());
    let ledger = watched(&server, &clock, Arc::clone(&watch));
    assert!(is_admitted(&ledger, &of_bob()).await);
    assert_eq!(watch.take_crossings(), []);
}

#[tokio::test]
async fn a_sweep_counts_and_drops_the_old_rows() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let (ledger, team) = (process(&server, &clock), call().team);
    // A day and an hour before the last row of the first day is too old.
    clock.set(moment("2027-12-27T11:00:00Z"));
    ledger.sweep(&team).await.unwrap();
    let left: Vec<_> =
        ledger.rows(&team, 0, 10).await.unwrap().rows.iter().map(|row| row.id).collect();
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(
        left.contains(&id(5)) && left.contains(&id(6)),
        "those that were settled at noon: {left:?}"
    );
}

#[tokio::test]
async fn rows_that_are_too_many_give_way_and_are_counted() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let free = "mg1:{design}:rows:free";
    let oldest: String = server.ask(&["LINDEX", free, "-1"]).await.unwrap();
    let words = [vec!["RPUSH", free], vec![&oldest; 1_004]].concat();
    server.run(&words).await;
    let (ledger, team) = (process(&server, &clock), call().team);
    for _ in 0..3 {
        ledger.sweep(&team).await.unwrap();
    }
    let rows = ledger.rows(&team, 0, 3).await.unwrap();
    assert_eq!((rows.total, rows.lost.free, rows.lost.paid), (1_000, 10, 0));
    assert_eq!(rows.lost.free_until, Some(moment("2026-11-22T10:00:01.65Z")));
}

#[tokio::test]
async fn users_and_keys_are_forgotten_when_they_would_have_been() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let ledger = process(&server, &clock);
    clock.set(moment("2026-12-08T00:00:00Z"));
    let mut scopes = Vec::new();
    for _ in 0..3 {
        ledger.sweep(&call().team).await.unwrap();
        let fields: Vec<String> = server.ask(&["HKEYS", STATE]).await.unwrap();
        scopes = fields.into_iter().filter(|field| field.starts_with("s:")).collect();
    }
    scopes.sort();
    assert_eq!(
        scopes,
        [format!("s:key:{KEY}"), "s:team:".to_owned()],
        "a prepaid budget needs the sum of all time"
    );
}
