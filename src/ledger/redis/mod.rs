//! The ledger in Redis: one script applies a batch of operations to one team, atomically, on the server's clock.
//!
//! Reading order: `settings` (what it must be told), `operation` (what is asked, and who waits), `line` (a team's
//! operations wait together), `courier` (sends them and hands out the answers), `request`, `head`, `told` and `reply` (to
//! the script and back, in `packed` form), `script` and the parts of `team/` (what happens on the server), `keys` (where
//! things are), `exchange`, `connection`, `link` and `dial` (how it is reached), `failure`, `breaker` and `given_up` (what to do when it is not), `time`
//! (what time it is there), `inspect` (whether it is safe there), `loss`, `witness`, `counts`, `recover`, `redo`, `vouch` and `vouch.lua` (what to do when it has lost
//! something, or may have), `open`, `row` with `rows.lua` and `usage` (what it says of open calls and of the past), `replay` and `replay.lua`
//! (idempotency keys and kept answers), `permits` and its scripts (the shared account), `register` and `register.lua` (gateway
//! keys and suspensions). `kept` is the ledger that is to take the place of this one: the gateway judges, Redis only keeps.
//!
//! What is safe because of what: an operation may be sent twice because each carries its reservation's id; a batch is all
//! or nothing because the script reads before it writes; an admission whose answer is lost is not forwarded, and is
//! released as soon as the store answers again, even when the release overtakes it; a store that lost what was written to
//! it is found out by the next batch, because each says the last change that was seen, and the script compares.

mod breaker;
mod connection;
mod counts;
mod courier;
mod dial;
mod exchange;
mod failure;
mod given_up;
mod head;
mod inspect;
mod kept;
mod keys;
mod line;
mod link;
mod loss;
mod open;
mod operation;
mod packed;
mod permits;
mod recover;
mod redo;
mod register;
mod replay;
mod reply;
mod request;
mod row;
mod script;
mod settings;
mod time;
mod told;
mod usage;
mod vouch;
mod witness;

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use jiff::ToSpan;
use jiff::civil::Date;

pub use kept::KeptLedger;
pub use permits::RedisPermits;
pub use register::RedisRegister;
pub use replay::RedisReplays;
pub use settings::{Settings, StoreClock, Topology, UnusableSettings};

use self::courier::Courier;
use self::keys::Keys;
use self::line::BATCH_MOST;
use self::operation::Operation;
use self::witness::Witness;
use super::observe::observed;
use super::{
    Admission, Books, Days, Flaw, Inquiry, Ledger, OPEN_CALLS_MAX, Observer, OpenCall, Outage, ReservationId, Rows,
    Settled, Settlement, Swept, TopUp, ToppedUp, Usage, Verdict,
};
use crate::clock::Clock;
use crate::team::TeamId;

/// How many days of usage are asked for at once.
const DAYS_AT_ONCE: usize = 64;

/// A handle on the ledger in Redis, with one connection of its own. Cheap to make; each worker thread makes one, and all
/// handles on one Redis, in whatever process, are one ledger.
///
/// It must be used within a tokio runtime: what it does in the background lives on the runtime that first uses it.
pub struct RedisLedger {
    courier: Arc<Courier>,
    observer: Arc<dyn Observer>,
    witness: Arc<Witness>,
    settings: Settings,
    clock: Clock,
}

impl RedisLedger {
    /// A handle; nothing is sent before the first operation, and Redis need not be there.
    ///
    /// `clock` is the machine's own: it only helps to guess which day it is at the store.
    ///
    /// # Errors
    /// When the settings cannot be meant.
    pub fn new(settings: Settings, clock: Clock, observer: Arc<dyn Observer>) -> Result<Self, UnusableSettings> {
        Self::with(settings, clock, observer, Arc::default())
    }

    /// Another handle of the same process, with a connection of its own: what one of them has seen in the store, the
    /// others know.
    ///
    /// # Errors
    /// As for the first.
    pub fn another(&self) -> Result<Self, UnusableSettings> {
        let observer = Arc::clone(&self.observer);
        Self::with(self.settings.clone(), self.clock.clone(), observer, Arc::clone(&self.witness))
    }

    fn with(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
        witness: Arc<Witness>,
    ) -> Result<Self, UnusableSettings> {
        let courier = Courier::new(settings.clone(), clock.clone(), Arc::clone(&observer), Arc::clone(&witness))?;
        Ok(Self { courier: Arc::new(courier), observer, witness, settings, clock })
    }

    /// Those of these calls that are open.
    async fn held(&self, team: &TeamId, ids: &[ReservationId]) -> Result<Vec<OpenCall>, Outage> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut records = redis::cmd("HMGET");
        let key = Keys::of(team).held;
        records.arg(&key);
        for id in ids {
            records.arg(id.to_string());
        }
        open::read(ids, &self.courier.run(Some(team), &key, &records).await?)
    }
}

impl Ledger for RedisLedger {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        observed(&*self.observer, "admit", async move {
            let team = admission.team.clone();
            let admission = Box::new(admission);
            let claim = self.courier.ask(&team, |reply| Operation::Admit { admission, reply }).await?;
            claim.take().ok_or_else(|| Outage::Refused("no verdict was given".to_owned()))
        })
    }

    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        observed(&*self.observer, "quote", async move {
            let team = admission.team.clone();
            let admission = Box::new(admission);
            self.courier.ask(&team, |reply| Operation::Quote { admission, reply }).await
        })
    }

    fn dispatch<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>> {
        observed(&*self.observer, "dispatch", self.courier.ask(team, move |reply| Operation::Dispatch { id, reply }))
    }

    fn recall<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<bool, Outage>> {
        observed(&*self.observer, "recall", self.courier.ask(team, move |reply| Operation::Recall { id, reply }))
    }

    fn settle<'a>(&'a self, team: &'a TeamId, settlement: Settlement) -> BoxFuture<'a, Result<Settled, Outage>> {
        let settlement = Box::new(settlement);
        observed(
            &*self.observer,
            "settle",
            self.courier.ask(team, move |reply| Operation::Settle { settlement, reply }),
        )
    }

    fn renew<'a>(&'a self, team: &'a TeamId, ids: &'a [ReservationId]) -> BoxFuture<'a, Result<(), Outage>> {
        observed(&*self.observer, "renew", async move {
            for some in ids.chunks(BATCH_MOST) {
                let ids = some.to_vec();
                self.courier.ask(team, |reply| Operation::Renew { ids, reply }).await?;
            }
            Ok(())
        })
    }

    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>> {
        observed(&*self.observer, "sweep", self.courier.ask(team, |reply| Operation::Sweep { reply }))
    }

    fn books(&self, inquiry: Inquiry) -> BoxFuture<'_, Result<Books, Outage>> {
        observed(&*self.observer, "books", async move {
            let team = inquiry.team.clone();
            let inquiry = Box::new(inquiry);
            self.courier.ask(&team, |reply| Operation::Books { inquiry, reply }).await
        })
    }

    fn open_call<'a>(&'a self, team: &'a TeamId, id: ReservationId) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>> {
        observed(&*self.observer, "open", async move { Ok(self.held(team, &[id]).await?.pop()) })
    }

    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>> {
        observed(&*self.observer, "open", async move {
            let mut latest = redis::cmd("ZREVRANGEBYSCORE");
            // Marks of what has ended stand below zero, and what is always there at zero.
            let key = Keys::of(team).open;
            latest.arg(&key).arg("+inf").arg("(0").arg("LIMIT").arg(0).arg(OPEN_CALLS_MAX);
            let mut ids = open::read_ids(&self.courier.run(Some(team), &key, &latest).await?)?;
            ids.sort_unstable_by(|one, other| other.cmp(one));
            let mut calls = Vec::with_capacity(ids.len());
            for some in ids.chunks(BATCH_MOST) {
                calls.extend(self.held(team, some).await?);
            }
            Ok(calls)
        })
    }

    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>> {
        observed(&*self.observer, "teams", async move {
            let mut members = redis::cmd("SMEMBERS");
            members.arg(keys::TEAMS);
            let names: Vec<String> = redis::from_redis_value(self.courier.run(None, keys::TEAMS, &members).await?)
                .map_err(|_| Outage::Refused("teams that cannot be read".to_owned()))?;
            // What is no team's name says something about all of them.
            let mut teams: Vec<TeamId> = names.iter().filter_map(|name| TeamId::parse(name)).collect();
            teams.sort_unstable();
            Ok(teams)
        })
    }

    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>> {
        observed(&*self.observer, "open", async move {
            let mut count = redis::cmd("ZCOUNT");
            let key = Keys::of(team).open;
            count.arg(&key).arg("(0").arg("+inf");
            let open = self.courier.run(Some(team), &key, &count).await?;
            redis::from_redis_value(open).map_err(|_| Outage::Refused("a number that cannot be read".to_owned()))
        })
    }

    fn rows<'a>(&'a self, team: &'a TeamId, skip: usize, limit: usize) -> BoxFuture<'a, Result<Rows, Outage>> {
        observed(&*self.observer, "rows", async move {
            let asked = row::asked(team, skip, limit);
            let rows = row::read(&self.courier.run(Some(team), &Keys::of(team).rows, &asked).await?)?;
            if rows.total == 0 {
                self.courier.look_for(team, &[keys::ROWS, keys::FREE_ROWS].map(str::to_owned)).await?;
            }
            Ok(rows)
        })
    }

    fn usage<'a>(&'a self, team: &'a TeamId, days: Days) -> BoxFuture<'a, Result<Vec<Usage>, Outage>> {
        observed(&*self.observer, "usage", async move {
            let (first, last) = (*days.start(), *days.end());
            let kept = self.courier.days_kept();
            let (first, last) = (first.max(*kept.start()), last.min(*kept.end()));
            let all: Vec<Date> = first.series(1.day()).take_while(|day| *day <= last).collect();
            let (mut usage, mut empty) = (Vec::new(), Vec::new());
            // So many go out together, and others may come between.
            for some in all.chunks(DAYS_AT_ONCE) {
                let reads = some.iter().map(|day| async move {
                    let key = keys::usage_key(team, *day);
                    let mut cells = redis::cmd("HGETALL");
                    cells.arg(&key);
                    usage::read(*day, &self.courier.run(Some(team), &key, &cells).await?)
                });
                for (day, read) in some.iter().zip(join_all(reads).await) {
                    let read = read?;
                    if read.is_empty() {
                        empty.push(keys::usage_name(*day));
                    }
                    usage.extend(read);
                }
            }
            self.courier.look_for(team, &empty).await?;
            Ok(usage)
        })
    }

    fn top_up<'a>(&'a self, team: &'a TeamId, top_up: TopUp) -> BoxFuture<'a, Result<ToppedUp, Outage>> {
        let top_up = Box::new(top_up);
        observed(&*self.observer, "top_up", self.courier.ask(team, |reply| Operation::TopUp { top_up, reply }))
    }

    fn accept_loss<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>> {
        observed(&*self.observer, "accept_loss", self.courier.ask(team, |reply| Operation::Accept { reply }))
    }

    fn closed(&self) -> Vec<TeamId> {
        self.witness.closed()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<Vec<Flaw>, Outage>> {
        observed(&*self.observer, "inspect", self.courier.inspect())
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>> {
        observed(&*self.observer, "probe", self.courier.probe())
    }
}
