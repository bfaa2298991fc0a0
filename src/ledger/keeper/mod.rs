//! A ledger whose records are kept elsewhere: this process works out what its operations do, and a keeper writes that,
//! whole, if nothing has changed since; or it says what is newer, and the process works it out again.
//!
//! Reading order: `wanted` and `step` (what is sent and what comes back), `table` and `cache` (a
//! team's records as this process knows them), `view` and `view_rows` (the machine's records over
//! that), `lives` (how long they are kept), `operation`, `abandoned` and `queue` (what waits for a
//! team), `work` (a batch worked out), `context` (what all batches share), `news`, `memory`, `restored` and `restore`
//! (what is done when the keeper has lost something), `takeover` (when another server has the
//! records), `attempt` and `batch` (a batch carried through); `simulation` tests all of it.
//!
//! What is safe because of what: the cache is never believed without the comparison; a batch is all or nothing because
//! the keeper compares before it writes; an operation may be sent twice because each carries an id that the records
//! know.

mod abandoned;
mod attempt;
mod batch;
mod cache;
mod context;
mod lives;
mod memory;
mod news;
mod operation;
mod queue;
mod restore;
mod restored;
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
pub(super) use cache::{OLDEST_MOST, OVERDUE_MOST};
pub(super) use context::{Context, LossRules};
pub(super) use lives::FOR_EVER;
pub(super) use operation::{Operation, Response};
pub(super) use queue::{BATCH_MOST, Lease, Teams};
pub(super) use step::{Changes, Due, Expected, Found, Mark, Marked, Past, Reply, Step, TeamRecord, Verdict};
pub(super) use wanted::{CellName, Wanted};

use super::Outage;
use crate::team::TeamId;

/// Where the records of teams are kept.
pub(super) trait Keeper: Sync {
    /// Compares and writes, or says what is newer. May be repeated: the comparison lets a change pass once.
    fn step(&self, team: &TeamId, step: &Step) -> impl Future<Output = Result<Reply, Outage>> + Send;

    /// A number for the server that has the team's records, as far as this process was told: another one after each
    /// restart and each promotion, since that may be a copy that lacks something. 0: it was not told. A step that is
    /// meant for another server than it reaches is not sent.
    fn reign(&self, team: &TeamId) -> u64;

    /// A name for a step or a mark that nobody else gives to one.
    fn name_step(&self) -> u64;

    /// Waits a moment, in which another process goes first.
    fn let_another_go_first(&self) -> impl Future<Output = ()> + Send;

    /// Whether what is there of a team that this process has never seen is believed. An operator may accept it, which
    /// lets every process believe it.
    fn trust(&self, team: &TeamId, accepts: bool) -> impl Future<Output = Result<TrustState, Outage>> + Send;

    /// The keeper has lost something: whatever was believed of it is to be found out again, and from this moment on the
    /// others have time.
    fn is_doubted(&self, team: &TeamId) -> impl Future<Output = ()> + Send;

    /// Leaves a mark beside the team's records, for a while. It is gone if the keeper is emptied.
    fn leave_mark(&self, team: &TeamId, mark: u64) -> impl Future<Output = Result<(), Outage>> + Send;

    /// Whether a team of which nothing is there is new, so that it may be made. `false`: the keeper had it before, or
    /// has it by now. Whoever makes it has left a mark before asking.
    fn may_be_made(&self, team: &TeamId, accepts: bool) -> impl Future<Output = Result<bool, Outage>> + Send;

    /// Whether the keeper has answered for so long that whoever is alive has put off what it holds. Until then nothing
    /// that is overdue is ended.
    fn is_settled(&self, team: &TeamId) -> bool;

    /// Notes that a team was made. Should its own records be lost, a process that has just started could not tell that
    /// from its being new.
    fn made(&self, team: &TeamId) -> impl Future<Output = ()> + Send;
}

/// How far what the keeper says of a team is believed that this process has never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrustState {
    /// Others may still restore what it lacks.
    TooNew,
    Believed,
    /// It is empty, and an operator must say what that means.
    Held,
}

/// The keeper's time, as far as this process knows it.
pub(super) trait KeeperTime: Sync {
    /// In microseconds of Unix time: never later than it is there, and hardly earlier.
    fn now(&self) -> i64;

    /// Takes note of what time it is there.
    fn learn(&self, at: i64);
}
