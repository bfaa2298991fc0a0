//! What must go on beside the calls of a worker: deadlines put off, orphans ended, settlements written when the store
//! returns.

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
use super::settle::End;
use super::slots::{KeptSlots, SlotHolder};
use crate::credits::Credits;
use crate::ledger::reservation::Orphan;
use crate::ledger::{
    CallResult, Ledger, OnUnknown, Outcome, Phase, Reservation, ReservationId, Row, Settled, Settlement,
};
use crate::model::ModelId;
use crate::pricing::Delivered;
use crate::team::{Team, TeamId};

/// How many settlements may wait for the store. More are left to the sweep, which charges what was reserved.
const WAITING_MAX: usize = 10_000;

/// How admission behaves, as the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What a call is charged of which nobody knows what became.
    pub on_unknown: OnUnknown,
    /// How long a reservation lives without a heart-beat.
    pub reservation_ttl: Duration,
}

/// Looks after the reservations of one worker.
pub struct ReservationManager {
    ledger: Arc<dyn Ledger>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    open: Open,
    tracker: TaskTracker,
    cut: CancellationToken,
    orphans: mpsc::Sender<Orphan>,
    waiting: mpsc::Sender<Waiting>,
}

/// A settlement the store did not take, yet.
struct Waiting {
    team: TeamId,
    model_label: Box<str>,
    end: End,
    /// Its deadline is put off while it waits, so that no sweep settles it as unknown.
    _listed: Listed,
}

/// The channels a keeper's task drains.
pub struct BackgroundTasks {
    orphans: mpsc::Receiver<Orphan>,
    waiting: mpsc::Receiver<Waiting>,
}

impl ReservationManager {
    /// A keeper, and the duties its task must do: see [`ReservationManager::work`].
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        observer: Arc<dyn Observer>,
        settings: Settings,
        tracker: TaskTracker,
    ) -> (Arc<Self>, BackgroundTasks) {
        let (orphans, orphaned) = mpsc::channel(WAITING_MAX);
        let (waiting, to_write) = mpsc::channel(WAITING_MAX);
        let keeper = Self {
            ledger,
            observer,
            settings,
            open: Open::default(),
            tracker,
            cut: CancellationToken::new(),
            orphans,
            waiting,
        };
        (Arc::new(keeper), BackgroundTasks { orphans: orphaned, waiting: to_write })
    }

    /// The worker's handle to the ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Who watches.
    #[must_use]
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// The open reservations of this worker.
    #[must_use]
    pub const fn open(&self) -> &Open {
        &self.open
    }

    /// Keeps the calls whose callers have left.
    #[must_use]
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Cancelled when calls whose callers have left are to be given up: the gateway cannot wait for them any longer.
    #[must_use]
    pub const fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// What a call is charged of which nobody knows what became.
    #[must_use]
    pub const fn on_unknown(&self) -> OnUnknown {
        self.settings.on_unknown
    }

    /// Takes charge of what the ledger has just reserved for a call of this model, in this phase.
    #[must_use]
    pub fn take_charge(
        &self,
        (id, phase): (ReservationId, Phase),
        team: &Team,
        model: &ModelId,
        price: Credits,
    ) -> Reservation {
        let label = team.prices.label(model);
        Reservation::new(id, team.id.clone(), label, price, phase, self.orphans.clone())
    }

    /// Settles a reservation and says what was charged, and gives the slots that it keeps; when the store does not take
    /// the settlement, it waits until the store does.
    pub async fn settle(&self, reservation: Reservation, listed: Listed, mut end: End) -> (Credits, Option<KeptSlots>) {
        let (team, reserved, meant) = (reservation.team().clone(), reservation.price(), end.settlement.charged);
        match self.ledger.settle(&team, end.settlement.clone()).await {
            Ok(settled) => {
                let charged = self.tell(&team, reservation.model_label(), &end, settled).await;
                reservation.settled();
                let charged = charged.unwrap_or(match self.settings.on_unknown {
                    // A sweep came first, and did not know what became of the call.
                    OnUnknown::Charge => reserved,
                    OnUnknown::Release => Credits::ZERO,
                });
                (charged, end.settlement.keeps_slots.then(|| self.slots(team, listed)))
            }
            Err(outage) => {
                tracing::debug!(%outage, call_id = %end.settlement.id, "a settlement waits for the ledger");
                let model_label = reservation.model_label().into();
                // Until it is settled the reservation keeps them, and when the store returns its answer has most likely
                // gone.
                end.settlement.keeps_slots = false;
                let waiting = Waiting { team, model_label, end, _listed: listed };
                if self.waiting.try_send(waiting).is_ok() {
                    reservation.settled();
                }
                (meant, None)
            }
        }
    }

    fn slots(&self, team: TeamId, listed: Listed) -> KeptSlots {
        let (ledger, tracker) = (Arc::clone(&self.ledger), self.tracker.clone());
        KeptSlots::new(SlotHolder { ledger, team, listed, tracker })
    }

    /// Tells what a settlement did, once for each: whoever ended the reservation counts it. Says what was charged,
    /// unless that is not known here.
    async fn tell(&self, team: &TeamId, model_label: &str, end: &End, settled: Settled) -> Option<Credits> {
        let (charged, is_ours) = match settled {
            Settled::Now(charged) => (Some(charged), true),
            // Rare, and no part of what every call keeps in memory.
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

    /// Who ended a reservation before: this settlement itself, whose answer was lost, or a sweep, which does not know
    /// what came. Its row says so, if it is still among the newest.
    async fn look_up(&self, team: &TeamId, settlement: &Settlement) -> (Option<Credits>, bool) {
        let rows = match self.ledger.rows(team, 0, LOOKED_THROUGH).await {
            Ok(read) => read.rows,
            Err(_) => return (None, false),
        };
        let row = rows.into_iter().find(|row| row.id == settlement.id);
        let is_ours = |row: &Row| row.came == settlement.came && settlement.came != CallResult::default();
        (row.as_ref().map(|row| row.charged), row.as_ref().is_some_and(is_ours))
    }

    /// Does the duties until told to stop; what is still waiting then is written, as far as the store takes it.
    pub async fn work(self: Arc<Self>, duties: BackgroundTasks, stop: CancellationToken) {
        let BackgroundTasks { orphans, waiting } = duties;
        // Side by side: a store that is away for one team must not keep another team's deadlines from being put off.
        tokio::join!(self.keep_alive(&stop), self.end_orphans(orphans, &stop), self.write_waiting(waiting, &stop));
    }

    async fn keep_alive(&self, stop: &CancellationToken) {
        let mut beat = tokio::time::interval(self.settings.reservation_ttl / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let teams = self.open.by_team();
            let renewed = join_all(teams.iter().map(|(team, ids)| self.ledger.renew(team, ids))).await;
            if let Some(Err(outage)) = renewed.into_iter().find(Result::is_err) {
                tracing::debug!(%outage, "deadlines could not be put off");
                // When the store returns, this must come before a sweep does.
                beat.reset_after(TRY_AGAIN);
            }
        }
    }

    async fn end_orphans(&self, mut orphans: mpsc::Receiver<Orphan>, stop: &CancellationToken) {
        while let Some(Some(orphan)) = stop.run_until_cancelled(orphans.recv()).await {
            self.end_orphan(orphan).await;
        }
        while let Ok(orphan) = orphans.try_recv() {
            self.end_orphan(orphan).await;
        }
    }

    /// Writes the settlements that the store did not take before, in rounds, for as long as it takes.
    async fn write_waiting(&self, mut duties: mpsc::Receiver<Waiting>, stop: &CancellationToken) {
        let mut waiting = VecDeque::new();
        let mut round = tokio::time::interval(TRY_AGAIN);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(one) = duties.recv(), if waiting.len() < WAITING_MAX => waiting.push_back(one),
                _ = round.tick(), if !waiting.is_empty() => self.write_round(&mut waiting).await,
            }
        }
        waiting.extend(std::iter::from_fn(|| duties.try_recv().ok()));
        self.write_round(&mut waiting).await;
        for Waiting { end, .. } in waiting {
            tracing::error!(call_id = %end.settlement.id, "a call could not be settled before the end: whoever runs then settles it as unknown");
        }
    }

    /// Tries each once, many at a time so that they become one batch. A batch that fails speaks for all that wait: with
    /// thousands of them, a store that is away is not asked for each.
    async fn write_round(&self, waiting: &mut VecDeque<Waiting>) {
        let mut left = waiting.len();
        while left > 0 {
            let batch: Vec<Waiting> = waiting.drain(..left.min(ROUND_BATCH)).collect();
            left -= batch.len();
            let settle = |one: &Waiting| {
                let (team, settlement) = (one.team.clone(), one.end.settlement.clone());
                async move { self.ledger.settle(&team, settlement).await }
            };
            let settled = join_all(batch.iter().map(settle)).await;
            let mut all_failed = true;
            for (one, settled) in batch.into_iter().zip(settled) {
                match settled {
                    Ok(settled) => {
                        all_failed = false;
                        self.tell(&one.team, &one.model_label, &one.end, settled).await;
                    }
                    Err(_) => waiting.push_back(one),
                }
            }
            if all_failed {
                return;
            }
        }
    }

    /// A call that panicked, or whose task was ended: nobody else will settle it.
    async fn end_orphan(&self, orphan: Orphan) {
        let (outcome, charged) = match (orphan.phase, self.settings.on_unknown) {
            (Phase::Waiting, _) => (Outcome::Released, Credits::ZERO),
            (Phase::TurnedBack, _) => (Outcome::Refused, Credits::ZERO),
            (Phase::Dispatched, OnUnknown::Charge) => (Outcome::Unknown, orphan.price),
            (Phase::Dispatched, OnUnknown::Release) => (Outcome::Unknown, Credits::ZERO),
        };
        let settlement =
            Settlement { id: orphan.id, outcome, charged, came: CallResult::default(), keeps_slots: false };
        let end = End { settlement, delivered: Delivered::default() };
        match self.ledger.settle(&orphan.team, end.settlement.clone()).await {
            Ok(settled) => drop(self.tell(&orphan.team, &orphan.model_label, &end, settled).await),
            // Its deadline is no longer put off: the sweep ends it.
            Err(outage) => tracing::debug!(%outage, call_id = %orphan.id, "an orphan is left to the sweep"),
        }
    }
}

/// How many of a team's newest rows are looked through for one that was settled a moment ago.
const LOOKED_THROUGH: usize = 512;

/// How many waiting settlements are tried at a time.
const ROUND_BATCH: usize = 128;

/// How long the store is left alone before a waiting settlement is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);
