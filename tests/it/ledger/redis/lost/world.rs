//! A store that a test breaks, its time that the test moves, and what replicas do there.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::Settings;
use moongate::ledger::{
    BudgetSnapshot, Ledger, Outage, Outcome, ReservationId, Settled, SnapshotQuery, Verdict,
};
use moongate::team::LimitKind;

use super::super::{handle, patient};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{
    Call, MORNING, PRICE, call, credits, limit, moment, settlement,
};
use crate::support::redis::RedisServer;
use crate::support::stored::Reached as _;

/// How long the replicas have to bring what they know, and a little more.
pub(crate) const GATHERED: Duration = Duration::from_secs(11);

/// A store whose time a test moves.
pub(crate) struct World {
    pub(crate) server: RedisServer,
    pub(crate) clock: Clock,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(RedisServer::start().await)
    }

    pub(crate) fn with(server: RedisServer) -> Self {
        Self { server, clock: Clock::moved(moment(MORNING)) }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { reservation_ttl: TTL, ..patient(&self.server) }.told_by(&self.clock)
    }

    pub(crate) fn replica(&self) -> Arc<dyn Ledger> {
        handle(self.settings())
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }

    pub(crate) async fn flush(&self) {
        self.server.run(&["FLUSHALL"]).await;
    }
}

/// A call under a budget for ten.
pub(crate) fn budgeted() -> Call {
    call().limits([
        limit(LimitKind::CreditsPerMonth, 10 * PRICE),
        limit(LimitKind::RequestsPerDay, 10),
    ])
}

pub(crate) async fn admit(
    ledger: &Arc<dyn Ledger>,
    call: &Call,
) -> Result<Option<ReservationId>, Outage> {
    let id = ReservationId::new();
    match ledger.admit(call.admission(id)).await? {
        Verdict::Admitted { .. } => Ok(Some(id)),
        Verdict::Refused { .. } => Ok(None),
    }
}

pub(crate) async fn pay(ledger: &Arc<dyn Ledger>, call: &Call) -> ReservationId {
    let id = admit(ledger, call).await.unwrap().expect("there is room");
    assert_eq!(settle(ledger, call, id).await, Ok(Settled::Now(credits(PRICE))));
    id
}

pub(crate) async fn settle(
    ledger: &Arc<dyn Ledger>,
    call: &Call,
    id: ReservationId,
) -> Result<Settled, &'static str> {
    let settled = ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await;
    settled.map_err(|outage| outage.name())
}

pub(crate) async fn snapshot(
    ledger: &Arc<dyn Ledger>,
    call: &Call,
) -> Result<BudgetSnapshot, Outage> {
    let (levels, time_zone) = (call.levels.clone(), call.zone.clone());
    let query = SnapshotQuery { team: call.team.clone(), levels, time_zone, reader: None };
    ledger.snapshot(query).await
}

/// Used and reserved of every limit of the call.
pub(crate) async fn counted(ledger: &Arc<dyn Ledger>, call: &Call) -> Vec<(u64, u64)> {
    let snapshot = snapshot(ledger, call).await.unwrap();
    snapshot.statuses.iter().map(|status| (status.used, status.reserved)).collect()
}

pub(crate) async fn rows(ledger: &Arc<dyn Ledger>, call: &Call) -> Vec<ReservationId> {
    let mut rows: Vec<_> =
        ledger.rows(&call.team, 0, 1_000).await.unwrap().rows.iter().map(|row| row.id).collect();
    rows.sort_unstable();
    rows
}

pub(crate) async fn is_closed(ledger: &Arc<dyn Ledger>, call: &Call) -> bool {
    matches!(snapshot(ledger, call).await, Err(Outage::Lost))
}
