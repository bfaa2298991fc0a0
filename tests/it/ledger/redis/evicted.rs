//! A server that evicts the least used keys: the ledger can only notice what is gone.

use futures_util::future::join_all;
use moongate::team::LimitKind;

use super::lost::world::{GATHERED, World, admit, pay};
use super::stored;
use crate::ledger::conformance::harness::{Call, PRICE, call, limit};
use crate::support::redis::{RedisServer, wait_until};

#[tokio::test]
async fn an_evicting_server_gives_nobody_a_fresh_budget() {
    let world = World::with(RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]).await);
    let ledger = world.replica();
    let budget = || [limit(LimitKind::CreditsPerMonth, PRICE)];
    let calls: Vec<Call> =
        (0..60).map(|number| call().team(&format!("team-{number}")).limits(budget())).collect();
    for call in &calls {
        pay(&ledger, call).await;
    }
    let any = stored::state("*");
    let states = async || world.server.ask::<Vec<String>>(&["KEYS", &any]).await.unwrap().len();
    let before = states().await;
    assert_eq!(before, 60);
    let info: String = world.server.ask(&["INFO", "memory"]).await.unwrap();
    let used: u64 =
        info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap();
    world.server.run(&["CONFIG", "SET", "maxmemory", &(used + 1_000_000).to_string()]).await;
    let mut number = 0;
    while states().await > before - 20 {
        number += 1;
        world.server.run(&["SET", &format!("other:{number}"), &"x".repeat(10_000)]).await;
    }
    world.server.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    wait_until("everybody is told that the budget is spent", || async {
        let verdicts = join_all(calls.iter().map(|call| admit(&ledger, call))).await;
        assert!(verdicts.iter().all(|verdict| !matches!(verdict, Ok(Some(_)))), "{verdicts:?}");
        world.pass(GATHERED);
        verdicts.iter().all(|verdict| matches!(verdict, Ok(None)))
    })
    .await;
}
