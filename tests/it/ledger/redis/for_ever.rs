//! Every key expires, except those that must be kept for ever.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, Outcome, ReservationId, Retention, Scope, TopUp, TopUpId};
use moongate::team::LimitKind;

use super::retention::Kept;
use super::{handle, patient, stored};
use crate::ledger::conformance::harness::{
    MORNING, PRICE, call, credits, key, limit, moment, settlement, user,
};
use crate::support::redis::RedisServer;
use crate::support::stored::Reached as _;

/// Keys of the store itself: which teams it has had, and since when it is known.
const OF_THE_STORE: [&str; 2] = ["mg1:teams", "mg1:{mg1:teams}:reigns"];

async fn keys(server: &RedisServer) -> Vec<String> {
    let mut keys: Vec<String> = server.ask(&["KEYS", "*"]).await.unwrap();
    keys.sort();
    keys
}

/// The keys that have no end.
async fn lasting(server: &RedisServer) -> Vec<String> {
    let mut lasting = Vec::new();
    for key in keys(server).await {
        if server.ask::<i64>(&["PTTL", &key]).await.unwrap() < 0 {
            lasting.push(key);
        }
    }
    lasting
}

#[tokio::test]
async fn rows_under_another_retention_expire_without_a_loss() {
    let (server, clock) = (RedisServer::start().await, Clock::moved(moment(MORNING)));
    let with = |rows| {
        let retention = Retention { rows, ..Retention::default() };
        handle(Settings { retention, ..patient(&server) }.told_by(&clock))
    };
    let (long, short) = (with(Duration::from_secs(400 * 86_400)), with(Duration::from_secs(3_600)));
    let pay = async |ledger: &Arc<dyn Ledger>| {
        let id = ReservationId::new();
        ledger.admit(call().admission(id)).await.unwrap();
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    };
    pay(&long).await;
    clock.set(clock.now() + Duration::from_secs(7_200));
    short.sweep(&call().team).await.unwrap();
    assert_eq!(long.rows(&call().team, 0, 10).await.unwrap().total, 0, "they were swept");
    pay(&long).await;
    pay(&short).await;
    let left: i64 = server.ask(&["TTL", &stored::key("design", "rows")]).await.unwrap();
    assert!((1..=3_600).contains(&left), "{left}");
    clock.set(clock.now() + Duration::from_secs(7_200));
    server.run(&["DEL", &stored::key("design", "rows")]).await;
    pay(&long).await;
    assert!(long.closed().is_empty() && short.closed().is_empty(), "their deadlines had passed");
}

#[tokio::test]
async fn only_prepaid_budgets_and_the_team_list_never_expire() {
    let kept = Kept::start().await;
    let every_kind = LimitKind::ALL.into_iter().filter(|kind| *kind != LimitKind::CreditsTotal);
    let limits: Vec<_> = every_kind.map(|kind| limit(kind, 1_000 * PRICE)).collect();
    let full = call()
        .limits(limits.clone())
        .user("ana", limits.clone())
        .level(key("k7Qp2mZr9aBc"), limits);
    kept.pay(&full).await;
    kept.admit(&full.clone().waiting()).await;
    let reader = moongate::ledger::Level {
        scope: Scope::Account(moongate::team::UserId::parse("ana").unwrap()),
        limits: Arc::new(moongate::team::Limits::new([limit(LimitKind::RequestsPerMinute, 9)])),
    };
    let query = moongate::ledger::SnapshotQuery {
        team: full.team.clone(),
        levels: full.levels.clone(),
        time_zone: full.zone.clone(),
        reader: Some(reader),
    };
    kept.ledger.snapshot(query).await.unwrap();
    let prepaid = call().team("growth").user("bo", [limit(LimitKind::CreditsTotal, 9 * PRICE)]);
    kept.pay(&prepaid).await;
    let top_up =
        TopUp { id: TopUpId::parse("a").unwrap(), scope: user("cy"), credits: credits(PRICE) };
    kept.ledger.top_up(&prepaid.team, top_up).await.unwrap();
    // A loss, and what is brought meanwhile.
    let other = call().team("brand").user("ana", [limit(LimitKind::CreditsPerDay, 9 * PRICE)]);
    kept.pay(&other).await;
    kept.server.run(&["DEL", &stored::state("brand")]).await;
    kept.ledger.admit(other.admission(ReservationId::new())).await.unwrap_err();

    let keys = keys(&kept.server).await;
    let of = |part: &str| assert!(keys.iter().any(|key| key.contains(part)), "{part} of {keys:?}");
    stored::OF_EVERY_KIND.into_iter().chain(stored::OF_A_LOSS).for_each(of);
    // Prepaid: what was used of it must be known for as long as it is configured, and what was
    // added, always.
    let mut exceptions = stored::of_prepaid_users("growth", &["bo", "cy"]);
    exceptions.extend(OF_THE_STORE.map(str::to_owned));
    exceptions.sort();
    assert_eq!(lasting(&kept.server).await, exceptions);
}

#[tokio::test]
async fn a_key_that_was_permanent_for_a_while_still_expires() {
    let kept = Kept::start().await;
    kept.pay(&call()).await;
    // Pays, so that nothing of the user is to be forgotten for a while.
    kept.pay(&call().user("ana", [limit(LimitKind::CreditsTotal, 9 * PRICE)])).await;
    kept.pay(&call()).await;
    assert_eq!(lasting(&kept.server).await, OF_THE_STORE);
}
