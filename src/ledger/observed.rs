//! A ledger that reports how each operation of another ledger ended and how long it took.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Admission, BudgetSnapshot, Days, Flaw, Ledger, Observer, OpenCall, Outage, ReservationId, Rows,
    Settled, Settlement, SnapshotQuery, Swept, TopUp, ToppedUp, Usage, Verdict,
};
use crate::store::observe::observed;
use crate::team::TeamId;

/// A ledger with an observer.
pub struct Observed<L> {
    inner: L,
    observer: Arc<dyn Observer>,
}

impl<L> Observed<L> {
    /// Observes this ledger.
    #[must_use]
    pub const fn new(inner: L, observer: Arc<dyn Observer>) -> Self {
        Self { inner, observer }
    }
}

impl<L: Ledger> Ledger for Observed<L> {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        observed(&*self.observer, "admit", self.inner.admit(admission))
    }

    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        observed(&*self.observer, "quote", self.inner.quote(admission))
    }

    fn dispatch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        observed(&*self.observer, "dispatch", self.inner.dispatch(team, id))
    }

    fn recall<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        observed(&*self.observer, "recall", self.inner.recall(team, id))
    }

    fn settle<'a>(
        &'a self,
        team: &'a TeamId,
        settlement: Settlement,
    ) -> BoxFuture<'a, Result<Settled, Outage>> {
        observed(&*self.observer, "settle", self.inner.settle(team, settlement))
    }

    fn release_slots<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        observed(&*self.observer, "release_slots", self.inner.release_slots(team, id))
    }

    fn renew<'a>(
        &'a self,
        team: &'a TeamId,
        ids: &'a [ReservationId],
    ) -> BoxFuture<'a, Result<(), Outage>> {
        observed(&*self.observer, "renew", self.inner.renew(team, ids))
    }

    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>> {
        observed(&*self.observer, "sweep", self.inner.sweep(team))
    }

    fn snapshot(&self, query: SnapshotQuery) -> BoxFuture<'_, Result<BudgetSnapshot, Outage>> {
        observed(&*self.observer, "books", self.inner.snapshot(query))
    }

    fn open_call<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>> {
        observed(&*self.observer, "open", self.inner.open_call(team, id))
    }

    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>> {
        observed(&*self.observer, "open", self.inner.open_calls(team))
    }

    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>> {
        observed(&*self.observer, "teams", self.inner.teams())
    }

    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>> {
        observed(&*self.observer, "open", self.inner.open(team))
    }

    fn rows<'a>(
        &'a self,
        team: &'a TeamId,
        skip: usize,
        limit: usize,
    ) -> BoxFuture<'a, Result<Rows, Outage>> {
        observed(&*self.observer, "rows", self.inner.rows(team, skip, limit))
    }

    fn usage<'a>(
        &'a self,
        team: &'a TeamId,
        days: Days,
    ) -> BoxFuture<'a, Result<Vec<Usage>, Outage>> {
        observed(&*self.observer, "usage", self.inner.usage(team, days))
    }

    fn top_up<'a>(
        &'a self,
        team: &'a TeamId,
        top_up: TopUp,
    ) -> BoxFuture<'a, Result<ToppedUp, Outage>> {
        observed(&*self.observer, "top_up", self.inner.top_up(team, top_up))
    }

    fn accept_loss<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>> {
        observed(&*self.observer, "accept_loss", self.inner.accept_loss(team))
    }

    fn closed(&self) -> Vec<TeamId> {
        self.inner.closed()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<Vec<Flaw>, Outage>> {
        observed(&*self.observer, "inspect", self.inner.inspect())
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>> {
        observed(&*self.observer, "probe", self.inner.probe())
    }
}
