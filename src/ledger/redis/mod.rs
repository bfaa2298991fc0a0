//! Ledger in Redis: this process decides, a Redis script compares and writes.
//!
//! Reading order: `settings`, `keys` (names of keys), `keeper.lua` (the script), `record_text` with
//! `json_array` (format of records), `message`, `encode`, `writes` and `decode` (to the script and
//! back), `access` (the server), `keeper` (calls the script), `handle` (a team's queue), `trust`
//! with `mark.lua` (whether a server is trusted about new teams), `replication_ids` (which server
//! it is), `past` and `rows.lua` (rows and usage), `upgrade` with `upgrade.lua` and `upgrade_text`
//! (records of the previous layout), and here the trait.

mod access;
mod decode;
mod encode;
mod handle;
mod json_array;
mod keeper;
mod keys;
mod message;
mod past;
mod record_text;
mod replication_ids;
mod settings;
mod trust;
mod upgrade;
mod upgrade_text;
mod writes;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::{BoxFuture, join_all};
use jiff::ToSpan;
use jiff::civil::Date;

use self::access::{Process, RedisKeeper};
use self::handle::{Handle, Shared};
use self::keys::TEAMS;
use self::keys::{Keys, field, text};
pub use self::settings::Settings;
use crate::clock::Clock;
use crate::ledger::keeper::{BATCH_MAX, FOR_EVER, Operation, Teams};
use crate::ledger::machine::{Rules, ScopeName};
use crate::ledger::{
    Admission, BudgetSnapshot, Days, Ledger, OPEN_CALLS_MAX, Observer, OpenCall, ReservationId,
    Rows, Scope, Settled, Settlement, SnapshotQuery, Swept, TopUp, ToppedUp, Usage, Verdict,
};
use crate::store::answer::read;
use crate::store::{self, Client, Flaw, Outage, UnusableSettings, cmd};
use crate::team::TeamId;

/// Days of usage read at a time.
const DAYS_AT_ONCE: usize = 64;
/// The key of a team's state, which has its open calls, each with its phase in front.
pub(crate) fn state_key(team: &TeamId) -> String {
    Keys::of(team).state
}

/// A handle of the ledger in Redis, with its own connection. Each worker thread makes one. All
/// handles of a process share the teams' cached records and queues.
///
/// Must be used within a tokio runtime: its background tasks run on the runtime that uses it first.
#[derive(Clone)]
pub struct RedisLedger(Arc<Handle>);

impl RedisLedger {
    /// A handle. Nothing is sent before the first operation, and Redis may be down.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, UnusableSettings> {
        let (reservation_ttl, retention, on_unknown) =
            (settings.reservation_ttl, settings.retention, settings.on_unknown);
        let process = Arc::new(Process::new());
        let logged_held = Arc::default();
        let client = Client::new(
            settings.store.clone(),
            clock,
            Arc::clone(&observer) as Arc<dyn store::Observer>,
        )?;
        let keeper = RedisKeeper::new(client, settings, process, Arc::clone(&logged_held));
        let shared = Arc::new(Shared {
            teams: Teams::default(),
            abandoned: Arc::default(),
            rules: Rules { reservation_ttl, retention, on_unknown },
            observer,
            releasing: AtomicBool::new(false),
            logged_held,
        });
        Ok(Self(Arc::new(Handle { shared, keeper })))
    }

    /// Another handle of the same process, with its own connection.
    ///
    /// # Errors
    /// As for [`RedisLedger::new`].
    pub fn another(&self, clock: Clock) -> Result<Self, UnusableSettings> {
        let shared = Arc::clone(&self.0.shared);
        let keeper = self.0.keeper.another(clock, Arc::clone(&shared.logged_held))?;
        Ok(Self(Arc::new(Handle { shared, keeper })))
    }
}

impl Ledger for RedisLedger {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        Box::pin(async move {
            let team = admission.team.clone();
            let admission = Box::new(admission);
            let claim =
                self.0.ask(&team, |response| Operation::Admit { admission, response }).await?;
            claim.take().ok_or_else(|| Outage::Refused("no verdict was given".to_owned()))
        })
    }

    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        Box::pin(async move {
            let team = admission.team.clone();
            let admission = Box::new(admission);
            self.0.ask(&team, |response| Operation::Quote { admission, response }).await
        })
    }

    fn dispatch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        Box::pin(self.0.ask(team, move |response| Operation::Dispatch { id, response }))
    }

    fn recall<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        Box::pin(self.0.ask(team, move |response| Operation::Recall { id, response }))
    }

    fn settle<'a>(
        &'a self,
        team: &'a TeamId,
        settlement: Settlement,
    ) -> BoxFuture<'a, Result<Settled, Outage>> {
        let settlement = Box::new(settlement);
        Box::pin(self.0.ask(team, move |response| Operation::Settle { settlement, response }))
    }

    fn release_slots<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        Box::pin(self.0.ask(team, move |response| Operation::ReleaseSlots { id, response }))
    }

    fn renew<'a>(
        &'a self,
        team: &'a TeamId,
        ids: &'a [ReservationId],
    ) -> BoxFuture<'a, Result<(), Outage>> {
        Box::pin(async move {
            for some in ids.chunks(BATCH_MAX) {
                let ids = some.to_vec();
                self.0.ask(team, |response| Operation::Renew { ids, response }).await?;
            }
            Ok(())
        })
    }

    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>> {
        Box::pin(self.0.ask(team, |response| Operation::Sweep { response }))
    }

    fn snapshot(&self, query: SnapshotQuery) -> BoxFuture<'_, Result<BudgetSnapshot, Outage>> {
        Box::pin(async move {
            let team = query.team.clone();
            let query = Box::new(query);
            self.0.ask(&team, |response| Operation::Snapshot { query, response }).await
        })
    }

    fn open_call<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>> {
        Box::pin(async move { Ok(self.0.open_of(team, &[id]).await?.pop()) })
    }

    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>> {
        Box::pin(async move {
            let keys = Keys::of(team);
            let mut calls = Vec::new();
            // The deadlines include those of unread answers, whose calls are not open.
            for passed in (0..).step_by(OPEN_CALLS_MAX) {
                let mut latest = cmd("ZREVRANGEBYSCORE");
                let due = keys.due.as_str();
                latest.arg(due).arg(format!("({FOR_EVER}")).arg("-inf");
                latest.arg("LIMIT").arg(passed).arg(OPEN_CALLS_MAX);
                let ids: Vec<String> = read(self.0.read(team, due, &latest).await?, "ids")?;
                let due: Vec<ReservationId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
                for some in due.chunks(BATCH_MAX) {
                    calls.extend(self.0.open_of(team, some).await?);
                }
                if ids.len() < OPEN_CALLS_MAX || calls.len() >= OPEN_CALLS_MAX {
                    break;
                }
            }
            calls.sort_unstable_by_key(|call| std::cmp::Reverse(call.id));
            calls.dedup_by_key(|call| call.id);
            calls.truncate(OPEN_CALLS_MAX);
            Ok(calls)
        })
    }

    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>> {
        Box::pin(async move {
            let mut members = cmd("SMEMBERS");
            members.arg(TEAMS);
            let names: Vec<String> =
                read(self.0.keeper.client.run(None, TEAMS, &members).await?, "teams")?;
            // A member that is no team's name is about all teams.
            let mut teams: Vec<TeamId> =
                names.iter().filter_map(|name| TeamId::parse(name)).collect();
            teams.sort_unstable();
            Ok(teams)
        })
    }

    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>> {
        Box::pin(async move {
            let keys = Keys::of(team);
            let mut scope = cmd("HGET");
            scope.arg(&keys.state).arg(text(field::scope(&ScopeName::from(&Scope::Team))));
            decode::open(self.0.read(team, &keys.state, &scope).await?)
        })
    }

    fn rows<'a>(
        &'a self,
        team: &'a TeamId,
        skip: usize,
        limit: usize,
    ) -> BoxFuture<'a, Result<Rows, Outage>> {
        Box::pin(async move {
            let keys = Keys::of(team);
            past::read_rows(&self.0.read(team, &keys.state, &past::rows(&keys, skip, limit)).await?)
        })
    }

    fn usage<'a>(
        &'a self,
        team: &'a TeamId,
        days: Days,
    ) -> BoxFuture<'a, Result<Vec<Usage>, Outage>> {
        Box::pin(async move {
            let (keys, kept) = (&Keys::of(team), self.0.days_kept());
            let (first, last) =
                ((*days.start()).max(*kept.start()), (*days.end()).min(*kept.end()));
            let all: Vec<Date> = first.series(1.day()).take_while(|day| *day <= last).collect();
            let mut usage = Vec::new();
            // Split, so that other operations come in between.
            for some in all.chunks(DAYS_AT_ONCE) {
                let reads = some.iter().map(|day| async move {
                    let key = keys.usage(&day.to_string());
                    let mut cells = cmd("HGETALL");
                    cells.arg(&key);
                    past::read_usage(*day, &self.0.read(team, &key, &cells).await?)
                });
                let mut empty = Vec::new();
                for (day, read) in some.iter().zip(join_all(reads).await) {
                    let cells = read?;
                    if cells.is_empty() {
                        empty.push(*day);
                    }
                    usage.extend(cells);
                }
                self.0.look_for_usage(team, &empty).await?;
            }
            Ok(usage)
        })
    }

    fn top_up<'a>(
        &'a self,
        team: &'a TeamId,
        top_up: TopUp,
    ) -> BoxFuture<'a, Result<ToppedUp, Outage>> {
        let top_up = Box::new(top_up);
        Box::pin(self.0.ask(team, |response| Operation::TopUp { top_up, response }))
    }

    fn accept_loss<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>> {
        Box::pin(async move {
            upgrade::accept(&self.0.keeper, team).await?;
            self.0.ask(team, |response| Operation::Accept { response }).await
        })
    }

    fn closed(&self) -> Vec<TeamId> {
        self.0.shared.teams.closed()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<Vec<Flaw>, Outage>> {
        Box::pin(self.0.keeper.client.inspect(TEAMS))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>> {
        Box::pin(async move {
            self.0.keeper.client.breaker(None).enter()?;
            trust::probe(&self.0.keeper).await
        })
    }
}
