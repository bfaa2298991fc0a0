//! Cases: reading the limits has a rate limit of its own, which calls do not use up.

use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::{BudgetSnapshot, Ledger, Level, Scope, SnapshotQuery};
use moongate::team::{Limit, LimitKind, Limits, UserId};

use super::Bench;
use super::harness::{Fixture, call, limit};

/// Reads the limits as this user, who may do so three times a minute.
async fn read(ledger: &dyn Ledger, name: &str) -> BudgetSnapshot {
    let call = call().limits(LimitKind::ALL.map(|kind| limit(kind, Limit::REQUESTS_MAX)));
    let limits = Arc::new(Limits::new([limit(LimitKind::RequestsPerMinute, 3)]));
    let reader = Some(Level { scope: Scope::Account(UserId::parse(name).unwrap()), limits });
    ledger
        .snapshot(SnapshotQuery {
            team: call.team,
            levels: call.levels,
            time_zone: call.zone,
            reader,
        })
        .await
        .unwrap()
}

pub(crate) async fn readings_have_a_limit_of_their_own<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    for _ in 0..3 {
        let snapshot = read(&*fixture.ledger, "ana").await;
        assert_eq!(snapshot.refused, None);
        assert!(snapshot.statuses.iter().all(|status| status.used + status.reserved == 0));
    }
    for _ in 0..2 {
        let refused = read(&*fixture.ledger, "ana").await.refused.unwrap();
        assert_eq!(refused.retry_at, Some(fixture.clock.now() + Duration::from_secs(20)));
        let status = refused.status;
        assert_eq!((status.scope.level(), status.max, status.used), ("account", 3, 3));
    }
    assert_eq!(read(&*fixture.ledger, "bo").await.refused, None, "another user has another limit");
    fixture.pay(&call()).await;
    fixture.pass(Duration::from_secs(20));
    assert_eq!(read(&*fixture.ledger, "ana").await.refused, None);
    assert!(read(&*fixture.ledger, "ana").await.refused.is_some());
}

pub(crate) async fn a_reader_has_one_limit_over_all_replicas<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let handles = [Arc::clone(&fixture.ledger), fixture.bench.handle().await];
    let readings = (0..20).map(|number| read(&*handles[number % 2], "ana"));
    let read = futures_util::future::join_all(readings).await;
    assert_eq!(read.iter().filter(|snapshot| snapshot.refused.is_none()).count(), 3);
}
