//! One handle: sends a team's queued operations and distributes the answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::access::RedisKeeper;
use super::keys::{Keys, field, text};
use super::{record_text, upgrade};
use crate::ledger::keeper::{
    Abandoned, BATCH_MAX, Context, Lease, Operation, Response, Teams, carry_through,
};
use crate::ledger::machine::Rules;
use crate::ledger::machine::open::open_call;
use crate::ledger::{Days, Observer, OpenCall, Outage, ReservationId};
use crate::store::answer::unreadable;
use crate::store::{Cmd, FromRedisValue, Value, cmd};
use crate::team::TeamId;

/// Unanswered batches in a row after which all queued operations fail.
const MISSED_MAX: u32 = 2;
/// Pause before abandoned reservations are released again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// State shared by all handles of a process.
pub(super) struct Shared {
    pub(super) teams: Teams,
    pub(super) abandoned: Arc<Abandoned>,
    pub(super) rules: Rules,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) releasing: AtomicBool,
    /// Whether it has logged that the store is empty and held.
    pub(super) logged_held: Arc<AtomicBool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.abandoned.wake();
    }
}

/// A handle with its own connection.
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) keeper: RedisKeeper,
}

impl Handle {
    /// Queues an operation of a team and waits for its answer.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        team: &TeamId,
        operation: impl FnOnce(Response<T>) -> Operation,
    ) -> Result<T, Outage> {
        let (response, answer) = oneshot::channel();
        self.submit(team, operation(response));
        answer.await.unwrap_or_else(|_| Err(Outage::Unreachable("no answer was given".to_owned())))
    }

    fn submit(self: &Arc<Self>, team: &TeamId, operation: Operation) {
        if let Err(outage) = self.keeper.client.breaker(Some(team)).enter() {
            operation.fail(outage);
            return;
        }
        if let Some(lease) = self.shared.teams.of(team).submit(operation) {
            tokio::spawn(send_all(Arc::clone(self), lease));
        }
        if !self.shared.releasing.swap(true, Ordering::Relaxed) {
            tokio::spawn(release(Arc::downgrade(self), Arc::clone(&self.shared.abandoned)));
        }
    }

    /// Reads a team's data with one command on this key.
    pub(super) async fn read(
        &self,
        team: &TeamId,
        key: &str,
        command: &Cmd,
    ) -> Result<Value, Outage> {
        if self.shared.teams.of(team).cache().revision().is_none() {
            upgrade::before_reading(&self.keeper, team).await?;
        }
        self.keeper.read(team, key, command).await
    }

    /// The open ones of these calls.
    pub(super) async fn open_of(
        &self,
        team: &TeamId,
        ids: &[ReservationId],
    ) -> Result<Vec<OpenCall>, Outage> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Keys::of(team);
        let mut records = cmd("HMGET");
        records.arg(&keys.state);
        for id in ids {
            records.arg(text(field::call(*id)));
        }
        let answer = self.read(team, &keys.state, &records).await?;
        let texts: Vec<Option<Vec<u8>>> =
            Vec::from_redis_value(answer).map_err(|_| unreadable("a call"))?;
        let mut open = Vec::with_capacity(ids.len());
        for (id, text) in ids.iter().zip(texts) {
            if let Some(text) = text {
                open.extend(open_call(*id, record_text::read_call(&text)?));
            }
        }
        Ok(open)
    }

    /// Checks whether days without usage should have some. That is reported as a loss, once; no
    /// budget depends on it.
    pub(super) async fn look_for_usage(&self, team: &TeamId, empty: &[Date]) -> Result<(), Outage> {
        if empty.is_empty() {
            return Ok(());
        }
        let keys = Keys::of(team);
        let fields: Vec<Vec<u8>> =
            empty.iter().map(|day| text(field::day(&day.to_string()))).collect();
        let of_days = |command: &str| {
            let mut command = cmd(command);
            command.arg(&keys.state).arg(&fields);
            command
        };
        let counts = self.keeper.read(team, &keys.state, &of_days("HMGET")).await?;
        let counts: Vec<Option<u64>> =
            Vec::from_redis_value(counts).map_err(|_| unreadable("a number"))?;
        if counts.iter().any(|count| count.is_some_and(|cells| cells > 0)) {
            self.shared.observer.epoch_changed(team);
            tracing::error!(
                %team,
                "the store of the ledger has lost usage of a team; its budgets are not touched"
            );
            self.keeper.read(team, &keys.state, &of_days("HDEL")).await?;
        }
        Ok(())
    }

    /// Days that can have usage: from the oldest kept one to tomorrow, which has begun in some time
    /// zone.
    pub(super) fn days_kept(&self) -> Days {
        let now = self.keeper.client.store_now();
        let today = now.to_zoned(TimeZone::UTC).date();
        let kept = self.keeper.settings().retention.usage;
        let oldest = today.checked_sub(kept).unwrap_or(Date::MIN).saturating_sub(1.day());
        oldest..=today.saturating_add(1.day())
    }
}

async fn send_all(handle: Arc<Handle>, mut lease: Lease) {
    let mut missed = 0;
    while let Some(batch) = lease.next() {
        let shared = &handle.shared;
        let context = Context {
            keeper: &handle.keeper,
            time: &handle.keeper,
            rules: &shared.rules,
            loss: handle.keeper.loss_rules(),
            observer: &*shared.observer,
            abandoned: &shared.abandoned,
        };
        let team = Arc::clone(lease.team());
        // Boxed, so that the task is small: it is moved several times before it runs.
        match Box::pin(carry_through(&context, &team, batch)).await {
            // After one late batch those behind it are still sent. After the second the store is
            // down, and nobody should wait for another timeout.
            Err(outage) if !outage.is_an_answer() => {
                missed += 1;
                if missed == MISSED_MAX {
                    team.fail_all(&outage);
                    missed = 0;
                }
            }
            Err(_) | Ok(()) => missed = 0,
        }
    }
}

/// Releases abandoned reservations as long as the handle lives.
async fn release(handle: Weak<Handle>, abandoned: Arc<Abandoned>) {
    loop {
        let some = abandoned.take(BATCH_MAX);
        let Some(handle) = handle.upgrade() else { return };
        let releases = some.iter().map(|(team, id)| {
            handle.ask(team, |response| Operation::Abandon { id: *id, response })
        });
        let released = join_all(releases).await;
        drop(handle);
        let mut all = true;
        for ((team, id), _) in some.iter().zip(released).filter(|(_, released)| released.is_err()) {
            abandoned.add(team, *id);
            all = false;
        }
        if !all {
            tokio::time::sleep(TRY_AGAIN).await;
        } else if some.is_empty() {
            abandoned.added().await;
        }
    }
}
