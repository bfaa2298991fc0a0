//! Losses in quick succession.

use std::sync::Arc;

use futures_util::future::join_all;
use moongate::ledger::{Ledger, ReservationId, Settled};

use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, rows, settle};
use super::{Seen, observed};
use crate::ledger::conformance::harness::{Call, PRICE, credits};
use crate::support::redis::wait_until;
use crate::support::stored::Copy;

/// Every call is settled once, by whichever replica, and has its row.
pub(super) async fn all_end(
    ledgers: [&Arc<dyn Ledger>; 2],
    call: &Call,
    running: [ReservationId; 2],
    mut paid: Vec<ReservationId>,
) {
    for (ledger, id) in ledgers.into_iter().zip(running) {
        assert_eq!(settle(ledger, call, id).await, Ok(Settled::Now(credits(PRICE))));
        assert_eq!(settle(ledger, call, id).await, Ok(Settled::Before));
    }
    paid.extend(running);
    paid.sort_unstable();
    assert_eq!(rows(ledgers[0], call).await, paid, "every call has its row, once");
    let all = paid.len() as u64;
    for ledger in ledgers {
        assert_eq!(counted(ledger, call).await, [(all, 0), (all * PRICE, 0)]);
    }
}

/// Lets time pass until both have been heard, and the budgets are open.
pub(super) async fn until_open(world: &World, ledgers: [&Arc<dyn Ledger>; 2]) {
    let call = budgeted();
    wait_until("the budgets are open", || async {
        let closed = join_all(ledgers.map(|ledger| is_closed(ledger, &call))).await.contains(&true);
        if closed {
            world.pass(GATHERED);
        }
        !closed
    })
    .await;
}

#[tokio::test]
async fn a_store_lost_again_during_its_restoration_is_restored_whole() {
    let (world, call) = (World::start().await, budgeted());
    let (one, other) = (world.replica(), world.replica());
    let paid = vec![pay(&one, &call).await, pay(&other, &call).await];
    let running =
        [admit(&one, &call).await.unwrap().unwrap(), admit(&other, &call).await.unwrap().unwrap()];
    let before = counted(&one, &call).await;
    world.flush().await;
    // One has brought what it knows, the other has not, when all of that goes again.
    assert!(is_closed(&one, &call).await);
    world.pass(GATHERED / 2);
    world.flush().await;
    assert!(is_closed(&other, &call).await && is_closed(&one, &call).await);
    world.pass(GATHERED);
    assert_eq!(
        (counted(&one, &call).await, counted(&other, &call).await),
        (before.clone(), before)
    );
    all_end([&other, &one], &call, running, paid).await;
}

#[tokio::test]
async fn a_copy_from_amid_the_bringing_back_comes_back_whole() {
    let (world, call) = (World::start().await, budgeted());
    let (one, other) = (world.replica(), world.replica());
    let paid = vec![pay(&one, &call).await, pay(&other, &call).await];
    let running =
        [admit(&one, &call).await.unwrap().unwrap(), admit(&other, &call).await.unwrap().unwrap()];
    let before = counted(&one, &call).await;
    world.flush().await;
    assert!(is_closed(&one, &call).await);
    let half = Copy::of(&world.server).await;
    assert!(is_closed(&other, &call).await);
    half.load_into(&world.server).await;
    until_open(&world, [&one, &other]).await;
    assert_eq!(
        (counted(&one, &call).await, counted(&other, &call).await),
        (before.clone(), before)
    );
    all_end([&other, &one], &call, running, paid).await;
}

#[tokio::test]
async fn two_losses_in_a_row_count_twice_and_lose_nothing() {
    let (world, call) = (World::start().await, budgeted());
    let seen = Arc::<Seen>::default();
    let (one, other) = (observed(world.settings(), seen.clone()), world.replica());
    let mut paid = vec![pay(&one, &call).await, pay(&other, &call).await];
    let running =
        [admit(&one, &call).await.unwrap().unwrap(), admit(&other, &call).await.unwrap().unwrap()];
    for losses in 1..=2 {
        world.flush().await;
        assert!(is_closed(&one, &call).await && is_closed(&other, &call).await);
        assert_eq!(seen.losses().len(), losses);
        world.pass(GATHERED);
        assert_eq!(counted(&other, &call).await[0], (paid.len() as u64, 2));
        paid.push(pay(&one, &call).await);
    }
    all_end([&other, &one], &call, running, paid).await;
    assert_eq!((seen.losses().len(), one.closed()), (2, vec![]));
}
