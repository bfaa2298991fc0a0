//! Redis flushed, replaced by an older copy, or failed over without the last writes: it is noticed,
//! and no budget is fresh.
//!
//! Each handle stands for a process of its own, with its own memory of what it has seen.

mod loaded;
mod newcomers;
mod top_ups;
pub(super) mod world;

use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::ledger::{OnLoss, Outage, Settled};
use moongate::store::Topology;
use moongate::team::LimitKind;

use self::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, rows, settle};
use super::{Seen, handle, observed, stored};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{PRICE, credits, limit};
use crate::support::proxy::Proxy;
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Copy;
use crate::support::stored::Reached as _;

#[tokio::test]
async fn a_flushed_store_closes_and_restores_every_replicas_counts() {
    let (world, call) = (World::start().await, budgeted());
    let seen = Arc::new(Seen::default());
    let (one, other) = (observed(world.settings(), seen.clone()), world.replica());
    let mut paid = vec![pay(&one, &call).await, pay(&other, &call).await, pay(&other, &call).await];
    let running =
        [admit(&one, &call).await.unwrap().unwrap(), admit(&other, &call).await.unwrap().unwrap()];
    let before = counted(&one, &call).await;
    assert_eq!(before, [(3, 2), (3 * PRICE, 2 * PRICE)]);
    world.flush().await;
    assert!(matches!(admit(&one, &call).await, Err(Outage::Lost)));
    assert_eq!(
        settle(&other, &call, running[1]).await,
        Err("lost"),
        "it waits, and is not forgotten"
    );
    assert_eq!((seen.losses(), one.closed()), (vec!["design".to_owned()], vec![call.team.clone()]));
    world.pass(GATHERED);
    assert_eq!(counted(&one, &call).await, before);
    assert!(one.closed().is_empty());
    for (ledger, id) in [(&other, running[0]), (&one, running[1])] {
        assert_eq!(settle(ledger, &call, id).await, Ok(Settled::Now(credits(PRICE))));
        assert_eq!(settle(ledger, &call, id).await, Ok(Settled::Before));
    }
    paid.extend(running);
    paid.sort_unstable();
    assert_eq!(rows(&one, &call).await, paid, "every call has its row, once");
    assert_eq!(counted(&other, &call).await, [(5, 0), (5 * PRICE, 0)]);
    assert_eq!(seen.losses().len(), 1, "one loss is reported once");
}

#[tokio::test]
async fn a_promoted_replica_gets_the_writes_it_lacked() {
    let (world, call) = (World::start().await, budgeted());
    let copy = RedisServer::replica_of(&world.server).await;
    let proxy = Proxy::start(world.server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let ledger = handle(world.settings().at(Topology::Single { url }));
    let mut paid = vec![pay(&ledger, &call).await];
    let (ends, stays) = (
        admit(&ledger, &call).await.unwrap().unwrap(),
        admit(&ledger, &call).await.unwrap().unwrap(),
    );
    wait_until("the replica has them", || async { stored::open(&copy, "design").await == 2 }).await;
    copy.run(&["REPLICAOF", "NO", "ONE"]).await;
    // The replica knows nothing of what follows.
    assert_eq!(settle(&ledger, &call, ends).await, Ok(Settled::Now(credits(PRICE))));
    paid.extend([ends, pay(&ledger, &call).await]);
    let begun = admit(&ledger, &call).await.unwrap().unwrap();
    let before = counted(&ledger, &call).await;
    assert_eq!(before, [(3, 2), (3 * PRICE, 2 * PRICE)]);
    let World { mut server, clock } = world;
    proxy.lead_to(copy.port());
    server.kill();
    wait_until("the loss is noticed", || is_closed(&ledger, &call)).await;
    clock.set(clock.now() + GATHERED);
    assert_eq!(counted(&ledger, &call).await, before);
    for id in [stays, begun] {
        assert_eq!(settle(&ledger, &call, id).await, Ok(Settled::Now(credits(PRICE))));
        paid.push(id);
    }
    paid.sort_unstable();
    assert_eq!(rows(&ledger, &call).await, paid);
}

#[tokio::test]
async fn calls_forgotten_singly_still_count_in_their_windows() {
    let (world, call) =
        (World::start().await, budgeted().user("ana", [limit(LimitKind::CreditsTotal, 9 * PRICE)]));
    let (busy, idle) = (world.replica(), world.replica());
    for _ in 0..4 {
        pay(&busy, &call).await;
    }
    assert_eq!(counted(&idle, &call).await, [(4, 0), (4 * PRICE, 0), (4 * PRICE, 0)]);
    drop(busy);
    world.flush().await;
    assert!(is_closed(&idle, &call).await);
    world.pass(GATHERED);
    assert_eq!(
        counted(&idle, &call).await,
        [(4, 0), (4 * PRICE, 0), (4 * PRICE, 0)],
        "a replica that has seen it knows it"
    );
}

/// Where the configuration asks for that.
#[tokio::test]
async fn a_team_stays_closed_until_an_operator_accepts() {
    let (world, call) = (World::with(RedisServer::brand_new()), budgeted());
    let ledger = handle(Settings { on_loss: OnLoss::Hold, ..world.settings() });
    assert!(is_closed(&ledger, &call).await, "an empty store may be a lost one");
    ledger.accept_loss(&call.team).await.unwrap();
    let paid = pay(&ledger, &call).await;
    world.flush().await;
    assert!(is_closed(&ledger, &call).await);
    world.pass(10 * GATHERED);
    assert!(is_closed(&ledger, &call).await && ledger.closed() == [call.team.clone()]);
    ledger.accept_loss(&call.team).await.unwrap();
    assert_eq!(counted(&ledger, &call).await, [(1, 0), (PRICE, 0)]);
    assert_eq!(rows(&ledger, &call).await, [paid]);
    ledger.accept_loss(&call.team).await.unwrap();
    let other = call.clone().team("growth");
    pay(&ledger, &other).await;
}

#[tokio::test]
async fn a_replica_that_comes_late_still_restores_its_calls() {
    let (world, call) = (World::start().await, budgeted());
    let (one, late) = (world.replica(), world.replica());
    let (first, second) = (pay(&one, &call).await, pay(&late, &call).await);
    let running = admit(&late, &call).await.unwrap().unwrap();
    world.flush().await;
    assert!(is_closed(&one, &call).await);
    world.pass(GATHERED);
    assert_eq!(counted(&one, &call).await[0].0, 1);
    assert_eq!(settle(&late, &call, running).await, Ok(Settled::Now(credits(PRICE))));
    let mut all = [first, second, running];
    all.sort_unstable();
    assert_eq!(
        (rows(&one, &call).await, counted(&one, &call).await),
        (all.to_vec(), vec![(3, 0), (3 * PRICE, 0)])
    );
}

/// The store is closed again by a replica that knows what was there before.
#[tokio::test]
async fn a_store_accepted_too_early_is_closed_again() {
    let (world, call) = (World::start().await, budgeted());
    let old = world.replica();
    let before = pay(&old, &call).await;
    world.flush().await;
    world.pass(Duration::from_secs(1));
    let new = world.replica();
    new.accept_loss(&call.team).await.unwrap();
    let since = pay(&new, &call).await;
    assert!(is_closed(&old, &call).await && is_closed(&new, &call).await);
    world.pass(GATHERED);
    let mut all = [before, since];
    all.sort_unstable();
    assert_eq!(
        (counted(&new, &call).await, rows(&new, &call).await),
        (vec![(2, 0), (2 * PRICE, 0)], all.to_vec())
    );
}

/// The team is not new to a fresh replica either.
#[tokio::test]
async fn a_team_gone_from_the_store_is_never_new() {
    let (world, call) = (World::start().await, budgeted());
    pay(&world.replica(), &call).await;
    world.server.run(&["DEL", &stored::state("design")]).await;
    assert!(is_closed(&world.replica(), &call).await);
    assert!(
        !is_closed(&world.replica(), &call.team("growth")).await,
        "another team is new, and open"
    );
}

#[tokio::test]
async fn deadlines_missed_while_closed_are_extended_on_opening() {
    let (world, call) = (World::start().await, budgeted());
    let ledger = world.replica();
    let running = admit(&ledger, &call).await.unwrap().unwrap();
    let copy = Copy::of(&world.server).await;
    let newer = admit(&ledger, &call).await.unwrap().unwrap();
    copy.load_into(&world.server).await;
    assert!(is_closed(&ledger, &call).await);
    world.pass(2 * TTL);
    ledger.sweep(&call.team).await.unwrap();
    for id in [running, newer] {
        assert_eq!(settle(&ledger, &call, id).await, Ok(Settled::Now(credits(PRICE))));
    }
}
