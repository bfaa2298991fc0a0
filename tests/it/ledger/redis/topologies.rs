//! The ledger on a cluster and behind Sentinels.

use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, Outcome, ReservationId, Settled, Swept, Verdict};
use moongate::store::Topology;
use moongate::team::LimitKind;

use super::{BRIEF, handle};
use crate::ledger::conformance::harness::{PRICE, call, credits, limit, settlement};
use crate::support::redis::{RedisCluster, RedisSentinel, wait_until};
use crate::support::stored::Reached as _;

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_every_teams_limits_hold() {
    let cluster = RedisCluster::start().await;
    let settings =
        Settings::new(Topology::Cluster { urls: vec![cluster.urls().remove(0)] }).within(DEADLINE);
    let handles = [handle(settings.clone()), handle(settings)];
    handles[0].probe().await.unwrap();
    let mut work = tokio::task::JoinSet::new();
    for number in 0..300_usize {
        let ledger = Arc::clone(&handles[number % 2]);
        let call = call()
            .team(&format!("team-{}", number % 10))
            .limits([limit(LimitKind::CreditsPerDay, 20 * PRICE)]);
        work.spawn(async move {
            let id = ReservationId::new();
            match ledger.admit(call.admission(id)).await.unwrap() {
                Verdict::Refused { .. } => 0,
                Verdict::Admitted { .. } => {
                    assert!(ledger.dispatch(&call.team, id).await.unwrap());
                    ledger.renew(&call.team, &[id]).await.unwrap();
                    let settled = ledger
                        .settle(&call.team, settlement(id, Outcome::Charged, PRICE))
                        .await
                        .unwrap();
                    assert_eq!(settled, Settled::Now(credits(PRICE)));
                    1
                }
            }
        });
    }
    assert_eq!(work.join_all().await.into_iter().sum::<i32>(), 10 * 20);
    let mut nodes_used = 0;
    for node in cluster.nodes() {
        nodes_used += i32::from(node.ask::<i64>(&["DBSIZE"]).await.unwrap() > 0);
        node.run(&["SCRIPT", "FLUSH"]).await;
    }
    assert!(nodes_used > 1);
    for number in 0..10 {
        let team = call().team(&format!("team-{number}")).team;
        assert_eq!(handles[1].rows(&team, 0, 100).await.unwrap().rows.len(), 20);
        assert_eq!(handles[1].sweep(&team).await.unwrap(), Swept::default());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_sentinels_new_primary_is_used() {
    let mut sentinel = RedisSentinel::start().await;
    let topology = sentinel.topology();
    let ledger = handle(Settings::new(topology.clone()).acknowledged_by(1).within(BRIEF));
    let call = call().limits([limit(LimitKind::CreditsTotal, 2 * PRICE)]);
    let admit =
        async |ledger: &Arc<dyn Ledger>| ledger.admit(call.admission(ReservationId::new())).await;
    wait_until("an admission is acknowledged", || async {
        matches!(admit(&ledger).await, Ok(Verdict::Admitted { .. }))
    })
    .await;
    sentinel.servers[0].kill();
    let after = handle(Settings::new(topology).within(BRIEF));
    wait_until("the other serves", || async {
        ledger.probe().await.is_ok() && after.probe().await.is_ok()
    })
    .await;
    // What was acknowledged by a replica is there: one of two is left.
    wait_until("it takes admissions", || async { admit(&after).await.is_ok() }).await;
    let verdict = admit(&after).await.unwrap();
    assert!(matches!(verdict, Verdict::Refused { .. }), "{verdict:?}");
}
