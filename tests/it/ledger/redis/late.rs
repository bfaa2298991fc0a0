//! A replica that learns of a loss only after the budgets are open again: what it restores then
//! counts once, and what was taken for abandoned meanwhile is not charged twice.

use std::sync::Arc;

use moongate::ledger::{Ledger, Outcome, Settled};

use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, rows, settle};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{PRICE, credits};

/// Two replicas; what the late one did, the other has seen as far as a test has it look.
pub(super) async fn replicas(world: &World) -> [Arc<dyn Ledger>; 2] {
    let replicas = [world.replica(), world.replica()];
    for ledger in &replicas {
        counted(ledger, &budgeted()).await;
    }
    replicas
}

/// The store is emptied, and only one replica hears of it in time.
pub(super) async fn lose(world: &World, one: &Arc<dyn Ledger>) {
    world.flush().await;
    assert!(is_closed(one, &budgeted()).await);
    world.pass(GATHERED);
    assert!(!is_closed(one, &budgeted()).await);
}

#[tokio::test]
async fn calls_swept_before_their_replica_returns_are_charged_once() {
    let (world, call) = (World::start().await, budgeted());
    let [one, late] = replicas(&world).await;
    let running =
        [admit(&late, &call).await.unwrap().unwrap(), admit(&late, &call).await.unwrap().unwrap()];
    assert_eq!(counted(&one, &call).await, [(0, 2), (0, 2 * PRICE)]);
    lose(&world, &one).await;
    world.pass(TTL);
    assert_eq!(one.sweep(&call.team).await.unwrap().unknown, 2);
    assert_eq!(counted(&one, &call).await, [(2, 0), (2 * PRICE, 0)]);
    for id in running {
        assert_eq!(settle(&late, &call, id).await, Ok(Settled::Before));
    }
    for ledger in [&one, &late] {
        assert_eq!(counted(ledger, &call).await, [(2, 0), (2 * PRICE, 0)]);
    }
    let rows = one.rows(&call.team, 0, 10).await.unwrap().rows;
    assert_eq!(
        rows.iter().map(|row| row.outcome).collect::<Vec<_>>(),
        [Outcome::Unknown; 2],
        "each has one row"
    );
    assert_eq!(rows.iter().map(|row| row.charged).collect::<Vec<_>>(), [credits(PRICE); 2]);
    pay(&late, &call).await;
    assert_eq!(counted(&one, &call).await, [(3, 0), (3 * PRICE, 0)], "it goes on as before");
}

/// The rows come back too, though another replica has seen the spending.
#[tokio::test]
async fn a_late_replicas_spending_comes_back_once() {
    let (world, call) = (World::start().await, budgeted());
    let [one, late] = replicas(&world).await;
    let mut paid = vec![pay(&late, &call).await, pay(&late, &call).await];
    assert_eq!(counted(&one, &call).await, [(2, 0), (2 * PRICE, 0)]);
    // Pays once more, which nobody else has seen.
    paid.push(pay(&late, &call).await);
    lose(&world, &one).await;
    assert_eq!(counted(&one, &call).await, [(2, 0), (2 * PRICE, 0)]);
    paid.push(pay(&one, &call).await);
    paid.push(pay(&late, &call).await);
    for ledger in [&one, &late] {
        assert_eq!(counted(ledger, &call).await, [(5, 0), (5 * PRICE, 0)]);
    }
    paid.sort_unstable();
    assert_eq!(rows(&one, &call).await, paid);
}

/// Whichever replica ends them.
#[tokio::test]
async fn calls_still_held_when_their_replica_returns_are_charged_once() {
    let (world, call) = (World::start().await, budgeted());
    let [one, late] = replicas(&world).await;
    let running =
        [admit(&late, &call).await.unwrap().unwrap(), admit(&late, &call).await.unwrap().unwrap()];
    assert_eq!(counted(&one, &call).await, [(0, 2), (0, 2 * PRICE)]);
    lose(&world, &one).await;
    for id in running {
        settle(&late, &call, id).await.unwrap();
        assert_eq!(settle(&late, &call, id).await, Ok(Settled::Before));
    }
    world.pass(TTL);
    one.sweep(&call.team).await.unwrap();
    for ledger in [&one, &late] {
        assert_eq!(counted(ledger, &call).await, [(2, 0), (2 * PRICE, 0)]);
    }
    assert_eq!(rows(&one, &call).await.len(), 2);
}

/// The store has seen more changes since than were ever lost.
#[tokio::test]
async fn a_late_replica_restores_what_the_store_outran() {
    let (world, call) = (World::start().await, budgeted());
    let [one, late] = replicas(&world).await;
    let running = admit(&late, &call).await.unwrap().unwrap();
    pay(&one, &call).await;
    // A call that the other has not seen.
    let unseen = admit(&late, &call).await.unwrap().unwrap();
    lose(&world, &one).await;
    // The other makes more changes than were ever lost.
    for _ in 0..7 {
        pay(&one, &call).await;
    }
    assert_eq!(settle(&late, &call, unseen).await, Ok(Settled::Now(credits(PRICE))));
    settle(&late, &call, running).await.unwrap();
    world.pass(TTL);
    one.sweep(&call.team).await.unwrap();
    for ledger in [&one, &late] {
        assert_eq!(counted(ledger, &call).await, [(10, 0), (10 * PRICE, 0)]);
    }
    assert_eq!(admit(&one, &call).await.unwrap(), None);
    assert_eq!(rows(&late, &call).await.len(), 10);
}

/// Until all is there that it brings.
#[tokio::test]
async fn a_late_replica_closes_a_team_begun_anew_unknowingly() {
    let (world, call) = (World::start().await, budgeted());
    let [one, late] = replicas(&world).await;
    let running = admit(&late, &call).await.unwrap().unwrap();
    // The other has seen nothing of that: the team seems new to it.
    lose(&world, &one).await;
    let mut paid = Vec::new();
    for _ in 0..9 {
        paid.push(pay(&one, &call).await);
    }
    assert_eq!(settle(&late, &call, running).await, Err("lost"), "nobody has noticed it before");
    assert!(is_closed(&one, &call).await);
    world.pass(GATHERED);
    assert_eq!(settle(&late, &call, running).await, Ok(Settled::Now(credits(PRICE))));
    assert_eq!(settle(&late, &call, running).await, Ok(Settled::Before));
    assert_eq!(counted(&one, &call).await, [(10, 0), (10 * PRICE, 0)]);
    assert_eq!(admit(&one, &call).await.unwrap(), None);
    paid.push(running);
    paid.sort_unstable();
    assert_eq!(rows(&late, &call).await, paid);
}
