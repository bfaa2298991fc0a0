//! A ledger whose records are kept elsewhere: this process works out what its operations do, and a keeper writes that, whole,
//! if nothing has changed since; or it says what is newer, and the process works it out again.
//!
//! Reading order: `revision`, `wanted` and `step` (what is sent and what comes back), `cache` (a team's records as this process
//! knows them), `view` (the machine's records over that), `lives` (how long they are kept), `operation`, `abandoned` and `queue`
//! (what waits for a team), `work` (a batch worked out), `batch` (a batch carried through); `simulation` tests all of it.
//!
//! What is safe because of what: the cache is never believed without the comparison; a batch is all or nothing because the
//! keeper compares before it writes; an operation may be sent twice because each carries an id that the records know.

mod abandoned;
mod batch;
mod cache;
mod lives;
mod operation;
mod queue;
mod revision;
#[cfg(test)]
mod simulation;
mod step;
mod view;
mod wanted;
mod work;

use std::future::Future;

pub(super) use abandoned::Abandoned;
pub(super) use batch::{Context, carry_through};
pub(super) use cache::OVERDUE_MOST;
pub(super) use lives::FOR_EVER;
pub(super) use operation::{Operation, Response};
pub(super) use queue::{BATCH_MOST, Lease, Teams};
pub(super) use step::{Changes, Due, Expected, Found, Marked, Reply, Step, TeamRecord, Verdict};
pub(super) use wanted::{CellName, Wanted};

use super::Outage;
use crate::team::TeamId;

/// Where the records of teams are kept.
pub(super) trait Keeper: Sync {
    /// Compares and writes, or says what is newer. May be repeated: the comparison lets a change pass once.
    fn step(&self, team: &TeamId, step: &Step) -> impl Future<Output = Result<Reply, Outage>> + Send;

    /// Waits a moment, in which another process goes first.
    fn let_another_go_first(&self) -> impl Future<Output = ()> + Send;

    /// Whether what is there of a team that this process has never seen is believed.
    fn trust(&self, team: &TeamId) -> impl Future<Output = Result<(), Outage>> + Send;

    /// Whether a team of which nothing is there is new, so that it may be made. `false`: the keeper had it before.
    fn may_be_made(&self, team: &TeamId) -> impl Future<Output = Result<bool, Outage>> + Send;

    /// Notes that a team was made. Should its own records be lost, a process that has just started could not tell that from
    /// its being new.
    fn made(&self, team: &TeamId) -> impl Future<Output = ()> + Send;
}

/// The keeper's time, as far as this process knows it.
pub(super) trait KeeperTime: Sync {
    /// In microseconds of Unix time: never later than it is there, and hardly earlier.
    fn now(&self) -> i64;

    /// Takes note of what time it is there.
    fn learn(&self, at: i64);
}
