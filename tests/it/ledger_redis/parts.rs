//! Some of a team's keys gone while others stand, evicted or deleted: a loss like any other, by whichever kind of key.

use std::sync::Arc;

use futures_util::future::join_all;
use moongate::ledger::{Ledger, Outage, Outcome, ReservationId, Scope, Settled, TopUp, TopUpId};
use moongate::team::LimitKind;

use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, rows, settle};
use super::{Seen, observed};
use crate::ledger_conformance::desk::{Call, PRICE, call, credits, key, limit, settlement};
use crate::support::redis::{RedisServer, wait_until};

const KEY: &str = "k7Qp2mZr9aBc";

/// A call under budgets of team, user and key.
fn three_levels() -> Call {
    let budget = |calls| [limit(LimitKind::CreditsPerMonth, calls * PRICE), limit(LimitKind::Concurrent, 9)];
    budgeted().user("ana", budget(5)).level(key(KEY), budget(6))
}

fn top_up() -> TopUp {
    TopUp { id: TopUpId::parse("invoice-1").unwrap(), scope: Scope::Team, credits: credits(PRICE) }
}

/// What a replica does that would be wrong without a key.
#[derive(Clone, Copy, Debug)]
enum Next {
    Admit,
    AdmitANewUser,
    Quote,
    Settle,
    Dispatch,
    Renew,
    Sweep,
    Rows,
    Usage,
    TopUp,
}

async fn does(next: Next, ledger: &Arc<dyn Ledger>, running: ReservationId) -> Result<(), Outage> {
    let call = three_levels();
    let today = "2026-11-22".parse().unwrap();
    match next {
        Next::Admit => admit(ledger, &call).await.map(drop),
        Next::AdmitANewUser => admit(ledger, &call.user("eve", [])).await.map(drop),
        Next::Quote => ledger.quote(call.admission(ReservationId::new())).await.map(drop),
        Next::Settle => ledger.settle(&call.team, settlement(running, Outcome::Charged, PRICE)).await.map(drop),
        Next::Dispatch => ledger.dispatch(&call.team, running).await.map(drop),
        Next::Renew => ledger.renew(&call.team, &[running]).await,
        Next::Sweep => ledger.sweep(&call.team).await.map(drop),
        Next::Rows => ledger.rows(&call.team, 0, 10).await.map(drop),
        Next::Usage => ledger.usage(&call.team, today..=today).await.map(drop),
        Next::TopUp => ledger.top_up(&call.team, top_up()).await.map(drop),
    }
}

#[tokio::test]
async fn whichever_key_of_a_team_is_gone_the_next_who_needs_it_notices_and_no_budget_is_fresh() {
    let gone = [
        ("s:team", Next::Admit),
        ("s:team", Next::Settle),
        ("s:team", Next::Sweep),
        ("s:user:ana", Next::Admit),
        ("s:user:ana", Next::Quote),
        ("s:user:ana", Next::Settle),
        ("s:key:k7Qp2mZr9aBc", Next::Admit),
        ("s:key:k7Qp2mZr9aBc", Next::Settle),
        ("open", Next::Admit),
        ("open", Next::Renew),
        ("open", Next::Sweep),
        ("held", Next::Admit),
        ("held", Next::Settle),
        ("held", Next::Dispatch),
        ("rows", Next::Rows),
        ("rows", Next::Settle),
        ("usage:2026-11-22", Next::Usage),
        ("usage:2026-11-22", Next::Settle),
        ("topup:invoice-1", Next::TopUp),
        ("there", Next::AdmitANewUser),
    ];
    for (gone, next) in gone {
        let (world, call) = (World::start().await, three_levels());
        let seen = Arc::new(Seen::default());
        let (one, other) = (observed(world.settings(), seen.clone()), world.replica());
        one.top_up(&call.team, top_up()).await.unwrap();
        let mut paid = vec![pay(&one, &call).await, pay(&other, &call).await];
        let running = [admit(&one, &call).await.unwrap().unwrap(), admit(&other, &call).await.unwrap().unwrap()];
        let before = counted(&one, &call).await;
        assert_eq!(before[2..5], [(2 * PRICE, 2 * PRICE), (0, 2), (2 * PRICE, 2 * PRICE)]);

        let there: i64 = world.server.ask(&["DEL", &format!("mg1:{{design}}:{gone}")]).await.unwrap();
        assert_eq!(there, 1, "{gone} was there");
        let outcome = does(next, &one, running[0]).await;
        assert!(matches!(outcome, Err(Outage::Lost)), "{gone}, {next:?}: {outcome:?}");
        assert_eq!((seen.losses(), one.closed()), (vec!["design".to_owned()], vec![call.team.clone()]), "{gone}");
        assert!(is_closed(&other, &call).await, "{gone}: for every replica");

        world.pass(GATHERED);
        assert_eq!(counted(&one, &call).await, before, "{gone}, {next:?}");
        for (ledger, id) in [(&other, running[0]), (&one, running[1])] {
            assert_eq!(settle(ledger, &call, id).await, Ok(Settled::Now(credits(PRICE))), "{gone}, {next:?}");
            assert_eq!(settle(ledger, &call, id).await, Ok(Settled::Before), "{gone}");
        }
        pay(&one, &call).await;
        assert_eq!(admit(&other, &call).await.unwrap(), None, "{gone}: the user's five are spent");
        paid.extend(running);
        let kept = rows(&one, &call).await;
        let lacking = paid.iter().filter(|id| !kept.contains(id)).count();
        assert_eq!(lacking, if gone == "rows" { 2 } else { 0 }, "{gone}, {next:?}: each has its row");
        assert_eq!((seen.losses().len(), one.closed()), (1, vec![]), "{gone}: one loss is told once");
    }
}

#[tokio::test]
async fn what_is_missing_is_noticed_by_a_replica_that_has_only_just_started() {
    for gone in ["s:team", "s:user:ana", "held", "open", "rows"] {
        let (world, call) = (World::start().await, three_levels());
        let old = world.replica();
        for _ in 0..4 {
            pay(&old, &call).await;
        }
        let running = admit(&old, &call).await.unwrap().unwrap();
        world.server.run(&["DEL", &format!("mg1:{{design}}:{gone}")]).await;
        let new = world.replica();
        let next = if gone == "rows" { Next::Rows } else { Next::Admit };
        assert!(matches!(does(next, &new, running).await, Err(Outage::Lost)), "{gone}");
        assert!(is_closed(&old, &call).await, "{gone}");
        world.pass(GATHERED);
        assert!(matches!(admit(&new, &call).await, Ok(None)), "{gone}: the fifth is running");
        assert_eq!(settle(&old, &call, running).await, Ok(Settled::Now(credits(PRICE))), "{gone}");
        assert_eq!(counted(&new, &call).await[2], (5 * PRICE, 0), "{gone}");
    }
}

#[tokio::test]
async fn calls_that_are_left_behind_by_a_loss_of_deadlines_end_all_the_same() {
    let (world, call) = (World::start().await, three_levels());
    let (one, other) = (world.replica(), world.replica());
    admit(&one, &call).await.unwrap().unwrap();
    admit(&one, &call.clone().waiting()).await.unwrap().unwrap();
    drop(one);
    world.server.run(&["DEL", "mg1:{design}:open"]).await;
    assert!(matches!(other.sweep(&call.team).await, Err(Outage::Lost)));
    world.pass(GATHERED);
    assert_eq!(counted(&other, &call).await[2], (0, 2 * PRICE), "they are held as before");
    world.pass(4 * GATHERED);
    let swept = other.sweep(&call.team).await.unwrap();
    assert_eq!((swept.released, swept.unknown), (1, 1));
    assert_eq!(counted(&other, &call).await[2..4], [(PRICE, 0), (0, 0)]);
}

#[tokio::test]
async fn what_was_brought_and_lost_again_before_it_counted_is_brought_again() {
    let (world, call) = (World::start().await, three_levels());
    let ledger = world.replica();
    for _ in 0..5 {
        pay(&ledger, &call).await;
    }
    world.flush().await;
    assert!(is_closed(&ledger, &call).await);
    assert_eq!(world.server.ask::<i64>(&["DEL", "mg1:{design}:floors"]).await.unwrap(), 1);
    world.pass(GATHERED);
    assert!(is_closed(&ledger, &call).await, "it opens with what was brought, or not at all");
    world.pass(GATHERED);
    assert_eq!(admit(&ledger, &call).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_whose_time_was_over_is_no_loss() {
    let (world, call) = (World::start().await, three_levels());
    let ledger = world.replica();
    pay(&ledger, &call).await;
    // As Redis does it, a while after the end of the month and of what is kept.
    world.pass(GATHERED * 200_000);
    let keys = ["s:user:ana", "s:key:k7Qp2mZr9aBc"].map(|key| format!("mg1:{{design}}:{key}"));
    world.server.run(&["DEL", &keys[0], &keys[1]]).await;
    assert_eq!(counted(&ledger, &call).await[2], (0, 0));
    pay(&ledger, &call).await;
    assert!(ledger.closed().is_empty());
}

#[tokio::test]
async fn a_team_that_an_earlier_release_kept_is_watched_from_its_first_call_on() {
    let (world, call) = (World::start().await, three_levels());
    let ledger = world.replica();
    pay(&ledger, &call).await;
    // What that release did not write.
    let [team, user] = ["s:team", "s:user:ana"].map(|scope| format!("mg1:{{design}}:{scope}"));
    world.server.run(&["DEL", "mg1:{design}:there", "mg1:{design}:held"]).await;
    world.server.run(&["HDEL", &team, "u", "w"]).await;
    world.server.run(&["HDEL", &user, "u"]).await;
    world.server.run(&["PERSIST", &user]).await;
    world.server.run(&["ZADD", "mg1:{design}:open", "-inf", &"-".repeat(65)]).await;
    let running = admit(&ledger, &call).await.unwrap().unwrap();
    assert!(world.server.ask::<i64>(&["TTL", &user]).await.unwrap() > 0);
    assert_eq!(settle(&ledger, &call, running).await, Ok(Settled::Now(credits(PRICE))));
    world.server.run(&["DEL", &user]).await;
    assert!(is_closed(&ledger, &call).await);
}

#[tokio::test]
async fn a_server_that_evicts_what_was_used_least_gives_nobody_a_fresh_budget() {
    let world = World::with(RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]).await);
    let ledger = world.replica();
    let calls: Vec<Call> = (0..60)
        .map(|number| call().user(&format!("user-{number}"), [limit(LimitKind::CreditsPerMonth, PRICE)]))
        .collect();
    for call in &calls {
        pay(&ledger, call).await;
    }
    let scopes = async || world.server.ask::<Vec<String>>(&["KEYS", "mg1:{design}:s:*"]).await.unwrap().len();
    let before = scopes().await;
    let info: String = world.server.ask(&["INFO", "memory"]).await.unwrap();
    let used: u64 = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap();
    world.server.run(&["CONFIG", "SET", "maxmemory", &(used + 1_000_000).to_string()]).await;
    let mut number = 0;
    while scopes().await > before - 20 {
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
