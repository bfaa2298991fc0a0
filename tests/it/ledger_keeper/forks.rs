//! A store of which two histories were written: both count.

use std::sync::Arc;

use moongate::ledger::Ledger;
use moongate::store::Topology;

use super::losses::{all_end, until_open};
use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay};
use super::{handle, stored};
use crate::ledger_conformance::desk::PRICE;
use crate::support::proxy::Proxy;
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// A primary and a copy of it, between which two replicas are led each for itself.
struct Fork {
    world: World,
    copy: RedisServer,
    proxies: [Proxy; 2],
    replicas: [Arc<dyn Ledger>; 2],
}

impl Fork {
    async fn start() -> Self {
        let world = World::start().await;
        let copy = RedisServer::replica_of(&world.server).await;
        let proxies = [Proxy::start(world.server.port()).await, Proxy::start(world.server.port()).await];
        let replicas = proxies.each_ref().map(|proxy| {
            let url = format!("redis://127.0.0.1:{}", proxy.port());
            handle(world.settings().at(Topology::Single { url }))
        });
        Self { world, copy, proxies, replicas }
    }

    /// The copy is a primary from now on, of which only the second replica hears.
    async fn promote(&self, rows: usize) {
        let key = stored::key("design", "rows");
        wait_until("the copy has all of it", || async { self.copy.ask::<usize>(&["LLEN", &key]).await == Ok(rows) })
            .await;
        self.copy.run(&["REPLICAOF", "NO", "ONE"]).await;
        self.proxies[1].lead_to(self.copy.port());
        self.proxies[1].sever();
    }

    /// The first hears of it as well.
    fn lead_both(&mut self) {
        self.proxies[0].lead_to(self.copy.port());
        self.world.server.kill();
    }
}

/// One goes on with the old primary for so many calls, the other with the copy for so many; then both are with the copy.
async fn fork_and_come_together(with_the_old: usize, with_the_copy: usize) {
    let (mut fork, call) = (Fork::start().await, budgeted());
    let [one, other] = fork.replicas.clone();
    let mut paid = vec![pay(&one, &call).await, pay(&other, &call).await];
    fork.promote(paid.len()).await;
    for _ in 0..with_the_old {
        paid.push(pay(&one, &call).await);
    }
    let of_the_old = admit(&one, &call).await.unwrap().unwrap();
    until_open(&fork.world, [&other, &other]).await;
    for _ in 0..with_the_copy {
        paid.push(pay(&other, &call).await);
    }
    let of_the_copy = admit(&other, &call).await.unwrap().unwrap();
    fork.lead_both();
    wait_until("the one that comes back has noticed", || is_closed(&one, &call)).await;
    fork.world.pass(GATHERED);
    let spent = paid.len() as u64;
    assert_eq!(counted(&other, &call).await, [(spent, 2), (spent * PRICE, 2 * PRICE)], "both histories count");
    all_end([&one, &other], &call, [of_the_old, of_the_copy], paid).await;
}

#[tokio::test]
async fn a_promoted_copy_on_which_less_was_done_than_it_lacks_counts_both_histories() {
    fork_and_come_together(3, 1).await;
}

#[tokio::test]
async fn a_promoted_copy_on_which_more_was_done_than_it_lacks_counts_both_histories() {
    fork_and_come_together(1, 3).await;
}
