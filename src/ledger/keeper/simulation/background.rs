//! What a process does by itself: it sends what waits, releases what was abandoned, puts off deadlines and sweeps.

use std::sync::{Arc, PoisonError};

use super::process::{Process, TRY_AGAIN};
use super::terms::{SECOND, TTL};
use crate::ledger::Unobserved;
use crate::ledger::keeper::{BATCH_MOST, Context, Lease, LossRules, Operation, carry_through};

/// Sends what waits for the team, as a handle of Redis does.
pub(super) async fn send_all(process: Arc<Process>, mut lease: Lease) {
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

/// Releases what was abandoned, as a handle of Redis does.
pub(super) async fn release(process: Arc<Process>) {
    loop {
        let mut all = true;
        let some = process.abandoned.take(BATCH_MOST);
        let releases = some.iter().map(|(team, id)| {
            process.ask(process.number_of(team), |response| Operation::Abandon { id: *id, response })
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

/// Puts off the deadlines of the calls that run.
pub(super) async fn keep_alive(process: Arc<Process>) {
    loop {
        process.world.sleep(TTL / 3).await;
        for team in 0..process.ids.len() {
            let running = process.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let ids: Vec<_> = running.into_iter().filter(|(of, _)| *of == team).map(|(_, id)| id).collect();
            if !ids.is_empty() {
                let _ = process.ask(team, |response| Operation::Renew { ids, response }).await;
            }
        }
    }
}

/// Ends what was left behind.
pub(super) async fn sweep(process: Arc<Process>) {
    loop {
        let every = if process.world.lock().loses { SECOND / 4 } else { SECOND };
        process.world.sleep(every + i64::try_from(process.number).unwrap_or(0) * 130_000).await;
        for team in 0..process.ids.len() {
            let _ = process.ask(team, |response| Operation::Sweep { response }).await;
        }
    }
}
