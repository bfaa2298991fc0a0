//! Cases: reading the books has a limit of its own, which no call pays into.

use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::{BudgetSnapshot, Ledger, Level, Scope, SnapshotQuery};
use moongate::team::{Limit, LimitKind, Limits, UserId};

use super::Bench;
use super::harness::{Desk, call, limit};

/// Reads the books as this user, who may do so three times a minute.
async fn read(ledger: &dyn Ledger, name: &str) -> BudgetSnapshot {
    let call = call().limits(LimitKind::ALL.map(|kind| limit(kind, Limit::REQUESTS_MAX)));
    let limits = Arc::new(Limits::new([limit(LimitKind::RequestsPerMinute, 3)]));
    let reader = Some(Level { scope: Scope::Account(UserId::parse(name).unwrap()), limits });
    ledger.snapshot(SnapshotQuery { team: call.team, levels: call.levels, time_zone: call.zone, reader }).await.unwrap()
}

pub(crate) async fn readings_have_a_limit_of_their_own<B: Bench>() {
    let desk = Desk::<B>::open().await;
    for _ in 0..3 {
        let books = read(&*desk.ledger, "ana").await;
        assert_eq!(books.refused, None);
        assert!(books.standings.iter().all(|standing| standing.used + standing.reserved == 0));
    }
    for _ in 0..2 {
        let refused = read(&*desk.ledger, "ana").await.refused.unwrap();
        assert_eq!(refused.retry_at, Some(desk.clock.now() + Duration::from_secs(20)));
        let standing = refused.standing;
        assert_eq!((standing.scope.level(), standing.max, standing.used), ("account", 3, 3));
    }
    assert_eq!(read(&*desk.ledger, "bo").await.refused, None, "another user has another limit");
    desk.pay(&call()).await;
    desk.pass(Duration::from_secs(20));
    assert_eq!(read(&*desk.ledger, "ana").await.refused, None);
    assert!(read(&*desk.ledger, "ana").await.refused.is_some());
}

pub(crate) async fn a_reader_has_one_limit_over_all_replicas<B: Bench>() {
    let desk = Desk::<B>::open().await;
    let handles = [Arc::clone(&desk.ledger), desk.bench.handle().await];
    let readings = (0..20).map(|number| read(&*handles[number % 2], "ana"));
    let read = futures_util::future::join_all(readings).await;
    assert_eq!(read.iter().filter(|books| books.refused.is_none()).count(), 3);
}
