//! The ledger in Redis: one script applies a batch of operations to one team, atomically, on the server's clock.
//!
//! Reading order: `settings` (what it must be told), `operation` (what is asked, and who waits), `line` (a team's
//! operations wait together), `courier` (sends them and hands out the answers), `request` and `reply` (to the script and
//! back, in `packed` form), `script` and the parts of `team/` (what happens on the server), `keys` (where things are),
//! `connection` and `dial` (how it is reached), `breaker` and `given_up` (what to do when it is not), `row` (what it says
//! of the past).
//!
//! What is safe because of what: an operation may be sent twice because each carries its reservation's id; a batch is all
//! or nothing because the script reads before it writes; an admission whose answer is lost is not forwarded, and is
//! released as soon as the store answers again, even when the release overtakes it.

mod breaker;
mod connection;
mod courier;
mod dial;
mod given_up;
mod keys;
mod line;
mod operation;
mod packed;
mod reply;
mod request;
mod row;
mod script;
mod settings;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use settings::{Settings, StoreClock, Topology, UnusableSettings};

use self::courier::Courier;
use self::keys::Keys;
use self::line::BATCH_MOST;
use self::operation::Operation;
use super::{
    Admission, Books, Inquiry, Ledger, Observer, Outage, ReservationId, Row, Settled, Settlement, Swept, Verdict,
};
use crate::clock::Clock;
use crate::team::TeamId;

/// A handle on the ledger in Redis, with one connection of its own. Cheap to make; each worker thread makes one, and all
/// handles on one Redis, in whatever process, are one ledger.
///
/// It must be used within a tokio runtime: what it does in the background lives on the runtime that first uses it.
pub struct RedisLedger {
    courier: Arc<Courier>,
    observer: Arc<dyn Observer>,
}

impl RedisLedger {
    /// A handle; nothing is sent before the first operation, and Redis need not be there.
    ///
    /// `clock` is the machine's own: it only helps to guess which day it is at the store.
    ///
    /// # Errors
    /// When the settings cannot be meant.
    pub fn new(settings: Settings, clock: Clock, observer: Arc<dyn Observer>) -> Result<Self, UnusableSettings> {
        let courier = Arc::new(Courier::new(settings, clock, Arc::clone(&observer))?);
        Ok(Self { courier, observer })
    }

    fn observed<'a, T: Send + 'a>(
        &'a self,
        op: &'static str,
        operation: impl Future<Output = Result<T, Outage>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Outage>> {
        async move {
            let started = Instant::now();
            let result = operation.await;
            self.observer.operation(op, result.as_ref().map_or_else(Outage::name, |_| "ok"), started.elapsed());
            result
        }
        .boxed()
    }
}

impl Ledger for RedisLedger {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        self.observed("admit", async move {
            let team = admission.team.clone();
            let admission = Box::new(admission);
            let claim = self.courier.ask(&team, |reply| Operation::Admit { admission, reply }).await?;
            claim.take().ok_or_else(|| Outage::Refused("no verdict was given".to_owned()))
        })
    }

    fn dispatch<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>> {
        self.observed("dispatch", self.courier.ask(team, move |reply| Operation::Dispatch { id, reply }))
    }

    fn settle<'a>(&'a self, team: &'a TeamId, settlement: Settlement) -> BoxFuture<'a, Result<Settled, Outage>> {
        let settlement = Box::new(settlement);
        self.observed("settle", self.courier.ask(team, move |reply| Operation::Settle { settlement, reply }))
    }

    fn renew<'a>(&'a self, team: &'a TeamId, ids: &'a [ReservationId]) -> BoxFuture<'a, Result<(), Outage>> {
        self.observed("renew", async move {
            for some in ids.chunks(BATCH_MOST) {
                let ids = some.to_vec();
                self.courier.ask(team, |reply| Operation::Renew { ids, reply }).await?;
            }
            Ok(())
        })
    }

    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>> {
        self.observed("sweep", self.courier.ask(team, |reply| Operation::Sweep { reply }))
    }

    fn books(&self, inquiry: Inquiry) -> BoxFuture<'_, Result<Books, Outage>> {
        self.observed("books", async move {
            let team = inquiry.team.clone();
            let inquiry = Box::new(inquiry);
            self.courier.ask(&team, |reply| Operation::Books { inquiry, reply }).await
        })
    }

    fn rows<'a>(&'a self, team: &'a TeamId, limit: usize) -> BoxFuture<'a, Result<Vec<Row>, Outage>> {
        self.observed("rows", async move {
            if limit == 0 {
                return Ok(Vec::new());
            }
            let mut newest_first = redis::cmd("XREVRANGE");
            newest_first.arg(Keys::of(team).rows).arg("+").arg("-").arg("COUNT").arg(limit);
            row::read(&self.courier.run(Some(team), &newest_first).await?)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>> {
        self.observed("probe", async move { self.courier.run(None, &redis::cmd("PING")).await.map(drop) })
    }
}
