//! A replica that has never seen a team does not believe the store that the team is new, or that
//! its counts are right, until the replicas that may know more had time to restore them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, OnLoss, Outage};
use moongate::store::Topology;
use moongate::team::LimitKind;

use super::super::{handle, stored};
use super::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay};
use crate::ledger::conformance::harness::{Call, PRICE, call, limit};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisCluster, RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// Less than the replicas have to bring what they know.
const A_MOMENT: Duration = Duration::from_secs(5);

async fn may_begin(ledger: &Arc<dyn Ledger>) -> bool {
    match ledger.probe().await {
        Ok(()) => true,
        Err(Outage::Lost) => false,
        Err(outage) => panic!("{outage}"),
    }
}

#[tokio::test]
async fn a_brand_new_store_is_believed_after_a_wait() {
    let world = World::with(RedisServer::brand_new());
    let (one, other) = (world.replica(), world.replica());
    assert!(
        !may_begin(&one).await
            && is_closed(&one, &budgeted()).await
            && is_closed(&other, &budgeted()).await
    );
    assert!(matches!(admit(&one, &budgeted()).await, Err(Outage::Lost)));
    world.pass(A_MOMENT);
    assert!(!may_begin(&other).await && is_closed(&one, &budgeted()).await);
    world.pass(A_MOMENT);
    assert!(
        may_begin(&one).await && may_begin(&world.replica()).await,
        "the time of all of them began with the first"
    );
    pay(&one, &budgeted()).await;
    pay(&other, &budgeted().team("growth")).await;
    assert!(one.closed().is_empty() && other.closed().is_empty());
}

/// A newcomer is a replica that never looked into the store.
#[tokio::test]
async fn a_flush_gives_no_fresh_budget_to_a_newcomer() {
    for has_worked in [false, true] {
        let (world, call) = (World::start().await, budgeted());
        let (knows, newcomer) = (world.replica(), world.replica());
        for _ in 0..10 {
            pay(&knows, &call).await;
        }
        if has_worked {
            pay(&newcomer, &call.clone().team("growth")).await;
        }
        world.flush().await;
        assert!(
            matches!(admit(&newcomer, &call).await, Err(Outage::Lost)),
            "it might be new: {has_worked}"
        );
        world.pass(A_MOMENT);
        assert!(is_closed(&knows, &call).await && is_closed(&newcomer, &call).await);
        world.pass(GATHERED);
        assert_eq!(admit(&newcomer, &call).await.unwrap(), None, "the budget is spent");
        assert_eq!(counted(&newcomer, &call).await, [(10, 0), (10 * PRICE, 0)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_making_a_flushed_team_share_its_budget() {
    for round in 0..40 {
        let world = World::start().await;
        let replicas = [world.replica(), world.replica()];
        let team = |number: usize| format!("team{number}");
        let budget = limit(LimitKind::CreditsTotal, PRICE);
        let calls: Vec<Call> =
            (0..100).map(|number| call().team(&team(number)).limits([budget])).collect();
        let firsts = async |ledger| {
            join_all(
                calls.iter().map(async |call| matches!(admit(ledger, call).await, Ok(Some(_)))),
            )
            .await
        };
        // Each round a little later in what they do.
        let flush = async {
            while world.server.ask::<u64>(&["DBSIZE"]).await.unwrap() < 3 + 10 * round {}
            world.flush().await;
        };
        let (one, other, ()) = tokio::join!(firsts(&replicas[0]), firsts(&replicas[1]), flush);
        let both: Vec<String> =
            (0..100).filter(|number| one[*number] && other[*number]).map(team).collect();
        assert!(both.is_empty(), "{both:?}");
    }
}

/// The request that left it may be sent twice, and the second may come after the store was emptied.
#[tokio::test]
async fn a_mark_that_was_left_again_makes_no_team() {
    for is_same in [true, false] {
        let (world, call) = (World::start().await, budgeted());
        let proxy = Proxy::start(world.server.port()).await;
        let url = format!("redis://127.0.0.1:{}", proxy.port());
        let ledger = handle(world.settings().at(Topology::Single { url }));
        let state = stored::state("design");
        let makes = format!("\r\n$1\r\n2\r\n${}\r\n{state}\r\n", state.len());
        proxy.hold_from(&makes);
        let admission = tokio::spawn(async move { admit(&ledger, &call).await });
        wait_until("the step waits", async || proxy.holds(&makes) > 0).await;
        let marks_of = stored::key("design", "made-by:*");
        let marks: Vec<String> = world.server.ask(&["KEYS", &marks_of]).await.unwrap();
        let [mark] = &marks[..] else { panic!("{marks:?}") };
        let left: String = world.server.ask(&["GET", mark]).await.unwrap();
        world.server.run(&["DEL", mark]).await;
        let again = if is_same { left } else { format!("{left}1") };
        world.server.run(&["SET", mark, &again]).await;
        proxy.set(Fault::None);
        assert!(matches!(admission.await.unwrap(), Ok(Some(_))));
        let marks: Vec<String> = world.server.ask(&["KEYS", &marks_of]).await.unwrap();
        assert_eq!(marks.len(), if is_same { 1 } else { 2 }, "another mark is left");
    }
}

#[tokio::test]
async fn a_newcomer_does_not_believe_an_older_copy() {
    let (mut world, call) = (World::start().await, budgeted());
    let knows = world.replica();
    pay(&knows, &call).await;
    world.server.run(&["SAVE"]).await;
    for _ in 1..10 {
        pay(&knows, &call).await;
    }
    world.server.restart();
    let newcomer = world.replica();
    assert!(
        is_closed(&newcomer, &call).await && !may_begin(&newcomer).await,
        "it has an older copy of the team"
    );
    world.pass(A_MOMENT);
    wait_until("the loss is noticed", || is_closed(&knows, &call)).await;
    world.pass(GATHERED);
    assert_eq!(admit(&newcomer, &call).await.unwrap(), None);
    assert_eq!(counted(&newcomer, &call).await, [(10, 0), (10 * PRICE, 0)]);
}

/// The replica is not believed even if it was primary before.
#[tokio::test]
async fn a_newcomer_does_not_believe_a_promoted_replica() {
    let (world, call) = (World::start().await, budgeted());
    let copy = RedisServer::replica_of(&world.server).await;
    let knows = world.replica();
    pay(&knows, &call).await;
    wait_until("the replica has it", || async {
        copy.ask::<u64>(&["LLEN", &stored::key("design", "rows")]).await == Ok(1)
    })
    .await;
    copy.run(&["REPLICAOF", "NO", "ONE"]).await;
    let to = |server: &RedisServer| {
        let topology = Topology::Single { url: server.url() };
        handle(world.settings().at(topology))
    };
    assert!(is_closed(&to(&copy), &call).await);
    world.pass(GATHERED);
    assert_eq!(
        counted(&to(&copy), &call).await,
        [(1, 0), (PRICE, 0)],
        "nobody has restored anything else"
    );
    // Goes back: the same process is primary a second time.
    world.server.run(&["REPLICAOF", "127.0.0.1", &copy.port().to_string()]).await;
    wait_until("it is in step", || async {
        let info: String = world.server.ask(&["INFO", "replication"]).await.unwrap();
        info.contains("master_link_status:up")
    })
    .await;
    world.server.run(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(is_closed(&world.replica(), &call).await);
}

#[tokio::test]
async fn a_newcomer_believes_a_store_in_use_at_once() {
    let world = World::with(RedisServer::brand_new());
    world.replica().probe().await.unwrap_err();
    world.pass(GATHERED);
    pay(&world.replica(), &budgeted()).await;
    let started = world.replica();
    assert!(may_begin(&started).await);
    assert_eq!(counted(&started, &budgeted()).await, [(1, 0), (PRICE, 0)]);
    pay(&started, &budgeted().team("growth")).await;
}

#[tokio::test]
async fn a_new_primarys_wait_begins_with_its_first_use() {
    let (mut world, call) = (World::start().await, budgeted());
    let proxy = Proxy::start(world.server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let knows = handle(world.settings().at(Topology::Single { url }));
    pay(&knows, &call).await;
    let copy = RedisServer::replica_of(&world.server).await;
    copy.run(&["REPLICAOF", "NO", "ONE"]).await;
    proxy.lead_to(copy.port());
    world.server.kill();
    wait_until("the copy is worked with", async || admit(&knows, &call).await.is_ok()).await;
    let replication_id = copy.replication_id().await;
    wait_until("its reign is noted", async || {
        copy.ask(&["HEXISTS", "mg1:{mg1:teams}:reigns", &replication_id]).await == Ok(1)
    })
    .await;
    world.pass(GATHERED);
    let newcomer = handle(world.settings().at(Topology::Single { url: copy.url() }));
    assert!(!is_closed(&newcomer, &call).await, "the replicas that know more have had their time");
}

#[tokio::test]
async fn only_so_many_former_replication_ids_are_remembered() {
    let (world, replication_ids) =
        (World::with(RedisServer::brand_new()), "mg1:{mg1:teams}:reigns");
    let over: Vec<String> =
        (0..5_000).flat_map(|number| [format!("{number:040x}"), "1".to_owned()]).collect();
    let fill: Vec<&str> =
        ["HSET", replication_ids].into_iter().chain(over.iter().map(String::as_str)).collect();
    world.server.run(&fill).await;
    assert!(!may_begin(&world.replica()).await);
    assert_eq!(
        world.server.ask::<Vec<String>>(&["HKEYS", replication_ids]).await.unwrap(),
        [world.server.replication_id().await]
    );
    world.pass(GATHERED);
    assert!(may_begin(&world.replica()).await);
}

#[tokio::test]
async fn what_an_operator_accepts_is_believed_by_every_replica() {
    for on_loss in [OnLoss::Rebuild, OnLoss::Hold] {
        let world = World::with(RedisServer::brand_new());
        let replica = || handle(Settings { on_loss, ..world.settings() });
        let (one, other, call) = (replica(), replica(), budgeted());
        assert!(is_closed(&one, &call).await && is_closed(&other, &call).await);
        one.accept_loss(&call.team).await.unwrap();
        pay(&one, &call).await;
        pay(&other, &call).await;
        assert!(
            is_closed(&other, &call.clone().team("growth")).await,
            "no more than that was accepted"
        );
        world.pass(GATHERED);
        assert!(!is_closed(&other, &call.clone().team("growth")).await);
    }
}

#[tokio::test]
async fn with_hold_an_empty_store_is_never_believed() {
    let world = World::with(RedisServer::brand_new());
    let ledger = handle(Settings { on_loss: OnLoss::Hold, ..world.settings() });
    for _ in 0..3 {
        assert!(is_closed(&ledger, &budgeted()).await && may_begin(&ledger).await);
        assert_eq!(ledger.closed(), [budgeted().team]);
        world.pass(GATHERED);
    }
}

#[tokio::test]
async fn in_a_cluster_each_teams_own_server_counts() {
    let cluster = RedisCluster::start().await;
    let world = World::with(RedisServer::brand_new());
    let settings = world.settings().at(Topology::Cluster { urls: cluster.urls() });
    let teams = ["design", "growth", "brand", "video", "games"];
    let calls: Vec<Call> = teams.iter().map(|team| budgeted().team(team)).collect();
    let knows = handle(settings.clone());
    for call in &calls {
        pay(&knows, call).await;
    }
    let newcomer = handle(settings.clone());
    assert!(
        join_all(calls.iter().map(|call| is_closed(&newcomer, call)))
            .await
            .iter()
            .all(|closed| !closed)
    );
    for node in cluster.nodes() {
        node.run(&["FLUSHALL"]).await;
    }
    let started = handle(settings);
    assert!(
        join_all(calls.iter().map(|call| is_closed(&started, call)))
            .await
            .iter()
            .all(|closed| *closed)
    );
    world.pass(A_MOMENT);
    assert!(
        join_all(calls.iter().map(|call| is_closed(&knows, call)))
            .await
            .iter()
            .all(|closed| *closed)
    );
    world.pass(GATHERED);
    for call in &calls {
        assert_eq!(counted(&started, call).await, [(1, 0), (PRICE, 0)]);
    }
}
