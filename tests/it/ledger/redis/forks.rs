//! A store with two histories, after a failover that left two primaries: both count.

use std::sync::Arc;

use moongate::ledger::{Ledger, Phase, ReservationId, Swept};
use moongate::store::Topology;

use super::left_behind::sweep;
use super::losses::{all_end, until_open};
use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay};
use super::{handle, stored};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::PRICE;
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
        let proxies =
            [Proxy::start(world.server.port()).await, Proxy::start(world.server.port()).await];
        let replicas = proxies.each_ref().map(|proxy| {
            let url = format!("redis://127.0.0.1:{}", proxy.port());
            handle(world.settings().at(Topology::Single { url }))
        });
        Self { world, copy, proxies, replicas }
    }

    /// The copy is a primary from now on, of which only the second replica hears.
    async fn promote(&self, rows: usize) {
        let key = stored::key("design", "rows");
        wait_until("the copy has all of it", || async {
            self.copy.ask::<usize>(&["LLEN", &key]).await == Ok(rows)
        })
        .await;
        self.copy.run(&["REPLICAOF", "NO", "ONE"]).await;
        self.proxies[1].lead_to(self.copy.port());
        self.proxies[1].sever();
    }

    /// A replica that begins on the copy, when that is believed.
    async fn newcomer(&self) -> Arc<dyn Ledger> {
        let newcomer = handle(self.world.settings().at(Topology::Single { url: self.copy.url() }));
        assert!(
            is_closed(&newcomer, &budgeted()).await,
            "a team it has never seen is not believed at once"
        );
        self.world.pass(GATHERED);
        newcomer
    }

    /// The first hears of it as well.
    fn lead_both(&mut self) {
        self.proxies[0].lead_to(self.copy.port());
        self.world.server.kill();
    }
}

/// One goes on with the old primary for so many calls, the other with the copy for so many; then
/// both are with the copy.
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
    assert_eq!(
        counted(&other, &call).await,
        [(spent, 2), (spent * PRICE, 2 * PRICE)],
        "both histories count"
    );
    all_end([&one, &other], &call, [of_the_old, of_the_copy], paid).await;
}

#[tokio::test]
async fn a_promotion_with_fewer_new_calls_counts_both_histories() {
    fork_and_come_together(3, 1).await;
}

#[tokio::test]
async fn a_promotion_with_more_new_calls_counts_both_histories() {
    fork_and_come_together(1, 3).await;
}

/// A call that waits for its turn, in a copy that is then promoted.
async fn fork_with_one_that_waits() -> (Fork, ReservationId) {
    let (fork, call) = (Fork::start().await, budgeted());
    let [one, other] = fork.replicas.clone();
    let waits = admit(&one, &call.clone().waiting()).await.unwrap().unwrap();
    pay(&other, &call).await;
    fork.promote(1).await;
    (fork, waits)
}

/// The call was sent in what the copy lacks, and its replica is away.
#[tokio::test]
async fn a_call_that_a_promoted_copy_shows_unsent_is_charged() {
    let (fork, id) = fork_with_one_that_waits().await;
    let call = budgeted();
    assert!(
        fork.replicas[0].dispatch(&call.team, id).await.unwrap(),
        "it is sent, and the copy does not get it"
    );
    let newcomer = fork.newcomer().await;
    pay(&newcomer, &call).await;
    fork.world.pass(TTL);
    assert_eq!(sweep(&newcomer).await, Swept { unknown: 1, ..Swept::default() });
    assert_eq!(counted(&newcomer, &call).await, [(3, 0), (3 * PRICE, 0)]);
}

/// Once its replica has been heard of since.
#[tokio::test]
async fn a_waiting_call_is_released_after_a_promotion() {
    for it_takes_over in [true, false] {
        let (mut fork, id) = fork_with_one_that_waits().await;
        let call = budgeted();
        let newcomer = fork.newcomer().await;
        if !it_takes_over {
            pay(&newcomer, &call).await;
        }
        fork.lead_both();
        let one = &fork.replicas[0];
        // The replica's next operation finds the copy.
        wait_until("it is with the copy", || async { admit(one, &call).await.is_ok() }).await;
        one.renew(&call.team, &[id]).await.unwrap();
        let open = newcomer.open_call(&call.team, id).await.unwrap().unwrap();
        assert_eq!(open.phase, Phase::Waiting);
        fork.world.pass(TTL);
        // What else it has admitted was reserved as sent.
        let swept = sweep(&newcomer).await;
        assert_eq!((swept.released, swept.refused), (1, 0), "{swept:?}");
    }
}
