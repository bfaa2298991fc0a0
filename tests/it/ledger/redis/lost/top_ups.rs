//! A store that has lost top-ups gets each back once: a budget is neither smaller nor larger than
//! what was paid for it.

use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::{Ledger, Scope, TopUp, TopUpId, ToppedUp};
use moongate::team::LimitKind;

use super::super::stored;
use super::world::{GATHERED, World, admit, is_closed, pay, snapshot};
use crate::ledger::conformance::harness::{Call, PRICE, call, credits, limit, user};

/// A team with a prepaid budget for one call, and a user with one for none.
fn prepaid() -> Call {
    call()
        .limits([limit(LimitKind::CreditsTotal, PRICE)])
        .user("ana", [limit(LimitKind::CreditsTotal, 0), limit(LimitKind::Concurrent, 9)])
}

async fn top_up(ledger: &Arc<dyn Ledger>, scope: Scope, id: &str, calls: u64) -> ToppedUp {
    let top_up = TopUp { id: TopUpId::parse(id).unwrap(), scope, credits: credits(calls * PRICE) };
    ledger.top_up(&call().team, top_up).await.unwrap()
}

/// The numbers of calls for which the team and its user were topped up.
async fn topped_up(ledger: &Arc<dyn Ledger>) -> [u64; 2] {
    let statuses = snapshot(ledger, &prepaid()).await.unwrap().statuses;
    [statuses[0].topped_up / PRICE, statuses[1].topped_up / PRICE]
}

async fn lose(world: &World, noticed_by: &Arc<dyn Ledger>) {
    world.flush().await;
    assert!(is_closed(noticed_by, &prepaid()).await);
    world.pass(GATHERED);
}

fn now(calls: u64) -> ToppedUp {
    ToppedUp::Now(credits(calls * PRICE))
}

fn before(calls: u64) -> ToppedUp {
    ToppedUp::Before(credits(calls * PRICE))
}

#[tokio::test]
async fn every_replica_s_top_ups_come_back_with_their_ids() {
    let world = World::start().await;
    let (one, other) = (world.replica(), world.replica());
    assert_eq!(top_up(&one, Scope::Team, "a", 2).await, now(2));
    assert_eq!(top_up(&other, user("ana"), "b", 3).await, now(3));
    assert_eq!(top_up(&other, Scope::Team, "c", 4).await, now(6));
    pay(&one, &prepaid()).await;
    world.flush().await;
    assert!(is_closed(&one, &prepaid()).await && is_closed(&other, &prepaid()).await);
    world.pass(GATHERED);
    assert_eq!(topped_up(&one).await, [6, 3]);
    assert_eq!(top_up(&other, Scope::Team, "a", 2).await, before(6));
    assert_eq!(top_up(&one, user("ana"), "b", 3).await, before(3));
    for _ in 0..2 {
        pay(&one, &prepaid()).await;
    }
    assert_eq!(
        admit(&other, &prepaid()).await.unwrap(),
        None,
        "three calls of the user are paid for"
    );
    assert_eq!(topped_up(&world.replica()).await, [6, 3], "a replica that starts finds them");
}

#[tokio::test]
async fn a_vanished_replicas_top_ups_survive_if_another_saw_them() {
    let world = World::start().await;
    let (gone, stays) = (world.replica(), world.replica());
    top_up(&gone, Scope::Team, "a", 2).await;
    top_up(&gone, user("ana"), "b", 3).await;
    assert_eq!(topped_up(&stays).await, [2, 3]);
    drop(gone);
    lose(&world, &stays).await;
    assert_eq!(topped_up(&stays).await, [2, 3]);
    lose(&world, &stays).await;
    assert_eq!(topped_up(&stays).await, [2, 3], "a second loss does not add to it");
}

#[tokio::test]
async fn a_late_replica_does_not_add_restored_top_ups_again() {
    let world = World::start().await;
    let (one, late) = (world.replica(), world.replica());
    top_up(&late, Scope::Team, "a", 2).await;
    top_up(&one, Scope::Team, "b", 1).await;
    top_up(&late, user("ana"), "c", 3).await;
    lose(&world, &one).await;
    assert_eq!(topped_up(&one).await, [3, 0]);
    assert_eq!(topped_up(&late).await, [3, 3]);
    assert_eq!(topped_up(&one).await, [3, 3]);
    assert_eq!(top_up(&one, Scope::Team, "a", 2).await, before(3));
}

#[tokio::test]
async fn top_ups_after_an_unnoticed_restart_add_to_the_old() {
    let world = World::start().await;
    let old = world.replica();
    top_up(&old, Scope::Team, "a", 2).await;
    world.flush().await;
    world.pass(Duration::from_secs(1));
    let new = world.replica();
    new.accept_loss(&prepaid().team).await.unwrap();
    assert_eq!(top_up(&new, Scope::Team, "b", 5).await, now(5));
    assert!(is_closed(&old, &prepaid()).await);
    world.pass(GATHERED);
    assert_eq!((topped_up(&old).await, topped_up(&new).await), ([7, 0], [7, 0]));
}

#[tokio::test]
async fn a_user_who_was_topped_up_is_never_forgotten() {
    let world = World::start().await;
    let ledger = world.replica();
    let expires =
        async || stored::is_kept_for(&world.server, "design", "user:ana", world.clock.now()).await;
    assert!(admit(&ledger, &call()).await.unwrap().is_some());
    assert!(expires().await > 0, "a user without a prepaid budget is forgotten in time");
    top_up(&ledger, user("ana"), "a", 1).await;
    assert_eq!(expires().await, -1);
    world.pass(Duration::from_secs(86_400));
    assert!(admit(&ledger, &call()).await.unwrap().is_some());
    assert_eq!(expires().await, -1);
}
