//! Embedded ledger: the machine decides in this process, and one file makes it durable.
//!
//! Reading order: `rows`, `sums` and `store` (the file), `writer` (batches), and here the traits,
//! that of the permits too, which `permits::embedded` works out; `entries` is what another room
//! keeps in the same file.
//!
//! After a kill the file has everything that was answered. If the disk then also destroys its
//! newest page, it opens as it was one change earlier: redb takes such a page for an unfinished
//! one.

mod entries;
mod fault;
mod open_error;
mod rows;
mod store;
mod sums;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::open_error::OpenError;
use super::machine::open::open_call;
use super::machine::{Records, Rules};
use super::{
    Admission, BudgetSnapshot, Days, Ledger, OPEN_CALLS_MAX, Observer, OnUnknown, OpenCall, Outage,
    Phase, ReservationId, Retention, Rows, Settled, Settlement, SnapshotQuery, Swept, TopUp,
    ToppedUp, Usage, Verdict,
};
use crate::clock::Clock;
use crate::permits::{AccountLimits, BatchResult, Operation, Permits};
use crate::store::observe::observed;
use crate::team::TeamId;
use writer::Writer;

/// Settings of an embedded ledger.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file; created when it does not exist, in an existing folder.
    pub path: PathBuf,
    /// How long a reservation lives unless it is renewed.
    pub reservation_ttl: Duration,
    /// How long records of the past are kept, and how many. Windows keep counting dropped rows.
    pub retention: Retention,
    /// Cost of a dispatched reservation that was abandoned.
    pub on_unknown: OnUnknown,
    /// The store's clock.
    pub clock: Clock,
}

/// A ledger in one file. Clones share it; the file is closed when the last is dropped.
#[derive(Clone)]
pub struct EmbeddedLedger {
    writer: Arc<Writer>,
    observer: Arc<dyn Observer>,
}

impl EmbeddedLedger {
    /// Opens the file for this process alone, or creates it. Reads and checks all of it, and
    /// repairs it after a crash.
    ///
    /// # Errors
    /// The file is in use, of another version, or unusable.
    pub fn open(settings: Settings, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        let Settings { path, reservation_ttl, retention, on_unknown, clock } = settings;
        let database = store::open(&path)?;
        let rules = Rules { reservation_ttl, retention, on_unknown };
        let writer = Writer::start(database, rules, clock, Arc::clone(&observer));
        let writer =
            writer.map_err(|error| OpenError::Unusable { path, reason: error.to_string() })?;
        Ok(Self { writer: Arc::new(writer), observer })
    }
}

/// An admission whose caller may leave before the answer. It is then released, since nobody would
/// settle it.
struct Unanswered<'a> {
    writer: &'a Writer,
    of: Option<(TeamId, ReservationId)>,
}

impl Unanswered<'_> {
    /// The caller has the answer and must settle it.
    fn answered(&mut self) {
        self.of = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let Some((team, id)) = self.of.take() else { return };
        // Queued behind the admission. If the queue is full, the deadline ends the reservation.
        self.writer.enqueue(move |state| state.machine.abandon(&team, id).map(drop));
    }
}

impl Ledger for EmbeddedLedger {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        let mut unanswered =
            Unanswered { writer: &self.writer, of: Some((admission.team.clone(), admission.id)) };
        Box::pin(async move {
            let verdict = self.writer.ask(move |state| state.machine.admit(&admission)).await;
            unanswered.answered();
            verdict
        })
    }

    fn quote(&self, admission: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        Box::pin(self.writer.ask(move |state| state.machine.quote(&admission)))
    }

    fn dispatch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.mark(&team, id, Phase::Dispatched)))
    }

    fn recall<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.mark(&team, id, Phase::TurnedBack)))
    }

    fn settle<'a>(
        &'a self,
        team: &'a TeamId,
        settlement: Settlement,
    ) -> BoxFuture<'a, Result<Settled, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.settle(&team, &settlement)))
    }

    fn release_slots<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        let team = team.clone();
        let release = self.writer.ask(move |state| state.machine.release_slots(&team, id));
        Box::pin(release)
    }

    fn renew<'a>(
        &'a self,
        team: &'a TeamId,
        ids: &'a [ReservationId],
    ) -> BoxFuture<'a, Result<(), Outage>> {
        let (team, ids) = (team.clone(), ids.to_vec());
        Box::pin(self.writer.ask(move |state| state.machine.renew(&team, &ids)))
    }

    fn sweep<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.sweep(&team)))
    }

    fn snapshot(&self, query: SnapshotQuery) -> BoxFuture<'_, Result<BudgetSnapshot, Outage>> {
        Box::pin(self.writer.ask(move |state| state.machine.snapshot(&query)))
    }

    fn open_call<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| {
            Ok(state
                .machine
                .records()
                .reservation(&team, id)?
                .and_then(|record| open_call(id, record)))
        }))
    }

    fn open_calls<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| {
            let newest = state.machine.records().newest_open(&team, OPEN_CALLS_MAX)?;
            Ok(newest.into_iter().filter_map(|(id, record)| open_call(id, record)).collect())
        }))
    }

    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>> {
        Box::pin(self.writer.ask(|state| state.machine.records().teams()))
    }

    fn open<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.records().open(&team)))
    }

    fn rows<'a>(
        &'a self,
        team: &'a TeamId,
        skip: usize,
        limit: usize,
    ) -> BoxFuture<'a, Result<Rows, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.records().rows(&team, skip, limit)))
    }

    fn usage<'a>(
        &'a self,
        team: &'a TeamId,
        days: Days,
    ) -> BoxFuture<'a, Result<Vec<Usage>, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.records().usage(&team, &days)))
    }

    fn top_up<'a>(
        &'a self,
        team: &'a TeamId,
        top_up: TopUp,
    ) -> BoxFuture<'a, Result<ToppedUp, Outage>> {
        let team = team.clone();
        Box::pin(self.writer.ask(move |state| state.machine.top_up(&team, &top_up)))
    }

    /// One file and one process: no writes can be lost between two operations.
    fn accept_loss<'a>(&'a self, _team: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn closed(&self) -> Vec<TeamId> {
        Vec::new()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>> {
        Box::pin(self.writer.ask(|_| Ok(())))
    }
}

impl Permits for EmbeddedLedger {
    fn batch<'a>(
        &'a self,
        limits: &'a AccountLimits,
        operations: &'a [Operation],
    ) -> BoxFuture<'a, Result<BatchResult, Outage>> {
        let (limits, operations) = (limits.clone(), operations.to_vec());
        observed(
            &*self.observer,
            "permits",
            self.writer.ask(move |state| state.permits(&limits, &operations)),
        )
    }
}
