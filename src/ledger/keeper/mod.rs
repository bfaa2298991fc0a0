//! A ledger whose records are kept by a store: this process works out its operations on records
//! that it has read, and the keeper writes the result if nothing newer is stored. Otherwise the
//! keeper returns what is newer, and the process works the operations out again.
//!
//! Reading order: `wanted` and `step` (what is sent and what comes back), `own` and `memory` (what
//! this process made itself, and what it knows of lost epochs), `table` and `cache` (a team's
//! records as this process knows them), `in_doubt` (steps without an answer), `view` and
//! `view_rows` (the machine's records over that), `operation`, `abandoned` and `queue` (what waits
//! for a team), `lives` (how long records are kept), `needs` (what a batch reads) and `work` (a
//! batch worked out), `context` (what all batches share), `news`, `remember`, `loss` (a loss is
//! noted), `restored` and `restore` (the team comes back), `takeover` (when another server has the
//! records), `attempt` with `attempt/prepare`, and `batch` (a batch carried through); `simulation`
//! tests all of it, and `scripted` is the keeper of its unit tests.
//!
//! Why this is safe: the keeper compares the revision before each write, so outdated records never
//! decide; a batch is written whole or not at all; an operation may be sent twice because the
//! records know its id; the next revision says whether a step without an answer was written.

mod abandoned;
mod attempt;
mod batch;
mod cache;
mod context;
mod in_doubt;
mod lives;
mod loss;
mod memory;
mod needs;
mod news;
mod operation;
mod own;
mod queue;
mod remember;
mod restore;
mod restored;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod simulation;
mod step;
mod table;
mod takeover;
mod view;
mod view_rows;
mod wanted;
mod work;

use std::future::Future;

pub(super) use abandoned::Abandoned;
pub(super) use batch::carry_through;
pub(super) use cache::{OLDEST_MAX, OVERDUE_MAX};
pub(super) use context::{Context, LossRules};
pub(super) use lives::FOR_EVER;
pub(super) use operation::{Operation, Response};
pub(super) use queue::{BATCH_MAX, Lease, Teams};
pub(super) use step::{
    Changes, Due, Expected, Found, LeftMark, Mark, Marked, Past, Reply, Step, TeamRecord, Verdict,
};
pub(super) use wanted::{CellName, Wanted};

use super::Outage;
use crate::team::TeamId;

/// The store of the teams' records.
pub(super) trait Keeper: Sync {
    /// Writes a step if the revision is as expected, or returns what is newer. May be sent again: a
    /// change passes the comparison once.
    fn step(
        &self,
        team: &TeamId,
        step: &Step,
    ) -> impl Future<Output = Result<Reply, Outage>> + Send;

    /// A number for the server that has the team's records, as last reported; 0 when it is unknown.
    /// It changes with each restart and each promotion, because the new server may be a copy that
    /// lacks writes. A step meant for another server is not sent.
    fn replication_id(&self, team: &TeamId) -> u64;

    /// A unique name for a step or a mark; [`name_of_step`] makes it.
    ///
    /// [`name_of_step`]: crate::ledger::machine::name_of_step
    fn name_step(&self) -> u64;

    /// Waits a moment so that another process can go first.
    fn let_another_go_first(&self) -> impl Future<Output = ()> + Send;

    /// Whether the store is trusted with a team that this process has never seen. An operator may
    /// accept it, for every process.
    fn trust(
        &self,
        team: &TeamId,
        accepts: bool,
    ) -> impl Future<Output = Result<TrustState, Outage>> + Send;

    /// Notes a loss: trust in the store starts anew, and the other processes have time to restore
    /// from now on.
    fn is_doubted(&self, team: &TeamId) -> impl Future<Output = ()> + Send;

    /// Leaves a mark of this name beside the team's records for a while. It is gone if the store is
    /// emptied.
    fn leave_mark(
        &self,
        team: &TeamId,
        name: u64,
    ) -> impl Future<Output = Result<LeftMark, Outage>> + Send;

    /// Whether a team without records is new and may be made. `false` when the store had it before,
    /// or has it by now. The caller must have left a mark first.
    fn may_be_made(
        &self,
        team: &TeamId,
        accepts: bool,
    ) -> impl Future<Output = Result<bool, Outage>> + Send;

    /// Whether the store has answered for long enough that every live process has renewed its
    /// calls. Until then no overdue call is ended.
    fn is_settled(&self, team: &TeamId) -> bool;

    /// Notes that a team was made, so that a process without records of it can tell a lost team
    /// from a new one.
    fn made(&self, team: &TeamId) -> impl Future<Output = ()> + Send;
}

/// How far the store is trusted with a team that this process has never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrustState {
    /// Other processes may still restore what it lacks.
    TooNew,
    Trusted,
    /// The store is empty, and an operator must accept that.
    Held,
}

/// The store's time, as far as this process knows it.
pub(super) trait KeeperTime: Sync {
    /// Microseconds of Unix time: never later than the store's clock, and hardly earlier.
    fn now(&self) -> i64;

    /// Takes in a reading of the store's clock.
    fn learn(&self, at: i64);
}
