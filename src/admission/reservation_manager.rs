//! Background work for a worker's calls: renews reservations, ends orphans, and writes settlements
//! when the store returns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::observe::{self, Observer};
use super::open::{Listed, Open};
use crate::credits::Credits;
use crate::ledger::{CallResult, Ledger, OnUnknown, ReservationId, Row, Settled, Settlement};
use crate::pricing::Delivered;
use crate::team::TeamId;

/// The most settlements that may wait for the store. Beyond it the sweep settles, which charges the
/// reserved price.
pub(super) const WAITING_MAX: usize = 10_000;

/// Settings of admission.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The charge of a call with an unknown outcome.
    pub on_unknown: OnUnknown,
    /// How long a reservation lives without a renewal.
    pub reservation_ttl: Duration,
}

/// Looks after the reservations of one worker.
pub struct ReservationManager {
    ledger: Arc<dyn Ledger>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    pub(super) open: Open,
    tracker: TaskTracker,
    cut: CancellationToken,
    orphans: mpsc::Sender<Unwritten>,
    waiting: mpsc::Sender<Unwritten>,
}

/// A settlement, with what was delivered.
#[derive(Debug)]
pub struct End {
    /// What the ledger writes.
    pub settlement: Settlement,
    /// What the metrics count.
    pub delivered: Delivered,
}

/// A settlement that is not in the store: the store did not take it, or its call was dropped.
pub(super) struct Unwritten {
    pub(super) team: TeamId,
    /// The model of the call, as a metric label.
    pub(super) model_label: Box<str>,
    pub(super) end: End,
    /// Keeps the deadline put off while the settlement waits, so that no sweep settles it as
    /// unknown. A dropped call has none: if the store is away, it is left to the sweep.
    pub(super) listed: Option<Listed>,
}

/// The queues that the background task drains.
pub struct ManagerQueues {
    pub(super) orphans: mpsc::Receiver<Unwritten>,
    pub(super) waiting: mpsc::Receiver<Unwritten>,
}

impl ReservationManager {
    /// A manager, and the queues for its background task, [`ReservationManager::work`].
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        observer: Arc<dyn Observer>,
        settings: Settings,
        tracker: TaskTracker,
    ) -> (Arc<Self>, ManagerQueues) {
        let (orphans, orphaned) = mpsc::channel(WAITING_MAX);
        let (waiting, to_write) = mpsc::channel(WAITING_MAX);
        let manager = Self {
            ledger,
            observer,
            settings,
            open: Open::default(),
            tracker,
            cut: CancellationToken::new(),
            orphans,
            waiting,
        };
        (Arc::new(manager), ManagerQueues { orphans: orphaned, waiting: to_write })
    }

    /// The worker's handle to the ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Receives reports for the metrics.
    #[must_use]
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Tracks calls whose callers have left.
    #[must_use]
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Cancelled at the end of a drain: calls whose callers have left are then given up.
    #[must_use]
    pub const fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// The charge of a call with an unknown outcome.
    #[must_use]
    pub const fn on_unknown(&self) -> OnUnknown {
        self.settings.on_unknown
    }

    /// Lists a reservation, so that its deadline is put off.
    pub(super) fn list(&self, id: ReservationId, team: TeamId) -> Listed {
        self.open.list(id, team)
    }

    /// Queues the end of a reservation whose call panicked or whose task was ended. If the queue is
    /// full, the deadline passes and the sweep ends it.
    pub(super) fn orphaned(&self, orphan: Unwritten) {
        let _ = self.orphans.try_send(orphan);
    }

    /// Queues a settlement that the store did not take. If the queue is full, returns its entry of
    /// the list.
    pub(super) fn write_later(&self, settlement: Unwritten) -> Option<Listed> {
        self.waiting.try_send(settlement).err().and_then(|full| full.into_inner().listed)
    }

    /// Reports a settlement once: the process that ended the reservation counts it. Returns the
    /// charge if it is known.
    pub(super) async fn report(
        &self,
        team: &TeamId,
        model_label: &str,
        end: &End,
        settled: Settled,
    ) -> Option<Credits> {
        let (charged, is_ours) = match settled {
            Settled::Now(charged) => (Some(charged), true),
            // Rare, so boxed: a call's future stays small.
            Settled::Before => Box::pin(self.look_up(team, &end.settlement)).await,
        };
        match charged.filter(|_| is_ours) {
            Some(charged) => {
                let ended = observe::Result::Ended(end.settlement.outcome);
                self.observer.settled(team, model_label, ended, charged, end.delivered);
            }
            None => {
                let (nothing, none) = (Credits::ZERO, Delivered::default());
                self.observer.settled(team, model_label, observe::Result::Repeated, nothing, none);
            }
        }
        charged
    }

    /// Finds out what ended a reservation before: this settlement, whose answer was lost, or a
    /// sweep, whose row has no result. `None` when the row is not among the newest.
    async fn look_up(&self, team: &TeamId, settlement: &Settlement) -> (Option<Credits>, bool) {
        let rows = match self.ledger.rows(team, 0, LOOKED_THROUGH).await {
            Ok(read) => read.rows,
            Err(_) => return (None, false),
        };
        let row = rows.into_iter().find(|row| row.id == settlement.id);
        let is_ours = |row: &Row| {
            row.result == settlement.result && settlement.result != CallResult::default()
        };
        (row.as_ref().map(|row| row.charged), row.as_ref().is_some_and(is_ours))
    }

    /// Works until stopped; then writes what still waits, as far as the store takes it.
    pub async fn work(self: Arc<Self>, queues: ManagerQueues, stop: CancellationToken) {
        let ManagerQueues { orphans, waiting } = queues;
        // Concurrently, because a store that is away for one team must not delay the renewals of
        // another.
        tokio::join!(
            self.keep_alive(&stop),
            self.end_orphans(orphans, &stop),
            self.write_waiting(waiting, &stop)
        );
    }

    async fn keep_alive(&self, stop: &CancellationToken) {
        let mut beat = tokio::time::interval(self.settings.reservation_ttl / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let teams = self.open.by_team();
            let renewed =
                join_all(teams.iter().map(|(team, ids)| self.ledger.renew(team, ids))).await;
            if let Some(Err(outage)) = renewed.into_iter().find(Result::is_err) {
                tracing::debug!(%outage, "the deadlines of reservations could not be extended");
                // Retried soon, so that renewals come before the first sweep after an outage.
                beat.reset_after(TRY_AGAIN);
            }
        }
    }

    async fn end_orphans(&self, mut orphans: mpsc::Receiver<Unwritten>, stop: &CancellationToken) {
        while let Some(Some(orphan)) = stop.run_until_cancelled(orphans.recv()).await {
            self.end_orphan(orphan).await;
        }
        while let Ok(orphan) = orphans.try_recv() {
            self.end_orphan(orphan).await;
        }
    }

    /// Writes waiting settlements, and retries until the store takes them.
    async fn write_waiting(
        &self,
        mut unwritten: mpsc::Receiver<Unwritten>,
        stop: &CancellationToken,
    ) {
        let mut waiting = VecDeque::new();
        let mut retry = tokio::time::interval(TRY_AGAIN);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(one) = unwritten.recv(), if waiting.len() < WAITING_MAX => {
                    waiting.push_back(one);
                }
                _ = retry.tick(), if !waiting.is_empty() => self.write_once(&mut waiting).await,
            }
        }
        waiting.extend(std::iter::from_fn(|| unwritten.try_recv().ok()));
        self.write_once(&mut waiting).await;
        for Unwritten { end, .. } in waiting {
            tracing::error!(
                call_id = %end.settlement.id,
                "a call could not be settled before the end: whoever runs then settles \
                 it as unknown"
            );
        }
    }

    /// Tries each waiting settlement once, in batches. After a failed batch the rest waits, so
    /// that a store that is away is not asked for each of thousands.
    async fn write_once(&self, waiting: &mut VecDeque<Unwritten>) {
        let mut left = waiting.len();
        while left > 0 {
            let batch: Vec<Unwritten> = waiting.drain(..left.min(SETTLED_AT_ONCE)).collect();
            left -= batch.len();
            let settle = |one: &Unwritten| {
                let (team, settlement) = (one.team.clone(), one.end.settlement.clone());
                async move { self.ledger.settle(&team, settlement).await }
            };
            let settled = join_all(batch.iter().map(settle)).await;
            let mut all_failed = true;
            for (one, settled) in batch.into_iter().zip(settled) {
                match settled {
                    Ok(settled) => {
                        all_failed = false;
                        self.report(&one.team, &one.model_label, &one.end, settled).await;
                    }
                    Err(_) => waiting.push_back(one),
                }
            }
            if all_failed {
                return;
            }
        }
    }

    /// Settles a call that panicked or whose task was ended; no other part settles it.
    async fn end_orphan(&self, orphan: Unwritten) {
        let Unwritten { team, model_label, end, .. } = orphan;
        match self.ledger.settle(&team, end.settlement.clone()).await {
            Ok(settled) => drop(self.report(&team, &model_label, &end, settled).await),
            // Left to the sweep, since its deadline is no longer put off.
            Err(outage) => {
                let call_id = end.settlement.id;
                tracing::debug!(
                    %outage,
                    %call_id,
                    "the end of a dropped call is left to the sweep"
                );
            }
        }
    }
}

/// How many of a team's newest rows are searched for a recent settlement.
const LOOKED_THROUGH: usize = 512;

/// How many waiting settlements are tried in one batch.
const SETTLED_AT_ONCE: usize = 128;

/// The pause before waiting settlements are tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);
