//! Tasks of a process: it takes operations, and in the background sends batches, releases abandoned
//! admissions, renews deadlines and sweeps.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use super::process::{Process, TRY_AGAIN};
use super::scenario::{SECOND, TTL};
use super::world::Shared;
use crate::ledger::keeper::{
    BATCH_MAX, Context, Lease, LossRules, Operation, Response, carry_through,
};
use crate::ledger::{Outage, Unobserved};

impl Process {
    /// Starts a process with an empty cache.
    pub(super) fn start(number: usize, incarnation: u64, world: &Shared) -> Arc<Self> {
        let process = Self::new(number, incarnation, world);
        process.begin(keep_alive(Arc::clone(&process)));
        process.begin(sweep(Arc::clone(&process)));
        process
    }

    /// Queues an operation of a team and waits for its answer.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        team: usize,
        operation: impl FnOnce(Response<T>) -> Operation,
    ) -> Result<T, Outage> {
        let (response, answer) = oneshot::channel();
        let is_well = self.world.lock().is_well();
        self.submit(team, operation(response));
        let answer = answer
            .await
            .unwrap_or_else(|_| Err(Outage::Unreachable("no answer was given".to_owned())));
        if let Err(outage) = &answer {
            let checker = &mut self.world.lock().stores[team].checker;
            checker.sees("there was no answer");
            // No process may be starved by the others.
            let is_due = match outage {
                Outage::TimedOut | Outage::Unreachable(_) => true,
                Outage::Lost => checker.losses.last.is_some(),
                Outage::Refused(_) => false,
            };
            checker.hold(is_due, || format!("a process is told: {outage}"));
            checker.hold(!is_well, || format!("all is well, and a process is told: {outage}"));
        }
        answer
    }

    fn submit(self: &Arc<Self>, team: usize, operation: Operation) {
        if let Some(lease) = self.teams.of(&self.ids[team]).submit(operation) {
            self.begin(send_all(Arc::clone(self), lease));
        }
        if !self.releasing.swap(true, Ordering::Relaxed) {
            self.begin(release(Arc::clone(self)));
        }
    }
}

/// Sends the team's waiting operations, as a handle of Redis does.
async fn send_all(process: Arc<Process>, mut lease: Lease) {
    while let Some(batch) = lease.next() {
        let context = Context {
            keeper: &*process,
            time: &*process,
            rules: &process.rules,
            loss: LossRules { gather: process.gather, hold: false },
            observer: &Unobserved,
            abandoned: &process.abandoned,
        };
        let team = Arc::clone(lease.team());
        if let Err(outage) = carry_through(&context, &team, batch).await
            && !outage.is_an_answer()
        {
            team.fail_all(&outage);
        }
    }
}

/// Releases abandoned admissions, as a handle of Redis does.
async fn release(process: Arc<Process>) {
    loop {
        let mut all = true;
        let some = process.abandoned.take(BATCH_MAX);
        let releases = some.iter().map(|(team, id)| {
            process
                .ask(process.number_of(team), |response| Operation::Abandon { id: *id, response })
        });
        let released = futures_util::future::join_all(releases).await;
        for ((team, id), _) in some.iter().zip(released).filter(|(_, released)| released.is_err()) {
            process.abandoned.add(team, *id);
            all = false;
        }
        if !all {
            process.world.sleep(TRY_AGAIN).await;
        } else if some.is_empty() {
            process.abandoned.added().await;
        }
    }
}

/// Renews the deadlines of running calls.
async fn keep_alive(process: Arc<Process>) {
    loop {
        process.world.sleep(TTL / 3).await;
        for team in 0..process.ids.len() {
            let running = process.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let ids: Vec<_> =
                running.into_iter().filter(|(of, _)| *of == team).map(|(_, id)| id).collect();
            if !ids.is_empty() {
                let _ = process.ask(team, |response| Operation::Renew { ids, response }).await;
            }
        }
    }
}

/// Ends abandoned calls.
async fn sweep(process: Arc<Process>) {
    loop {
        let every = if process.world.lock().loses { SECOND / 4 } else { SECOND };
        process.world.sleep(every + i64::try_from(process.number).unwrap_or(0) * 130_000).await;
        for team in 0..process.ids.len() {
            let _ = process.ask(team, |response| Operation::Sweep { response }).await;
        }
    }
}
