//! A process: its queue, its cache, its clock, its way to the keeper, and what it does by itself.
//! All of it dies with it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::copies::GATHER;
use super::store::Planted;
use super::terms::{SECOND, TTL};
use super::wire::{Answer, Request};
use super::world::{DEADLINE, Shared};
use crate::ledger::keeper::{
    Abandoned, BATCH_MOST, Belief, Context, Keeper, KeeperTime, Lease, LossRules, Operation, Reply, Response, Step,
    Teams, Verdict, carry_through,
};
use crate::ledger::machine::{Revision, Rules, ScopeName};
use crate::ledger::{Outage, ReservationId, Scope, Unobserved};
use crate::team::TeamId;

/// How long a process waits before it tries again what the keeper did not take, in microseconds.
pub(super) const TRY_AGAIN: i64 = 100_000;

/// How long it waits that lets another go first, likewise.
const GOES_FIRST: i64 = 200;

/// One life of a process.
pub(super) struct Process {
    pub(super) number: usize,
    /// The number that names this life in its marks.
    pub(super) voucher: u64,
    pub(super) team: TeamId,
    pub(super) world: Shared,
    /// Calls whose deadlines it puts off.
    pub(super) running: Mutex<BTreeSet<ReservationId>>,
    teams: Teams,
    abandoned: Arc<Abandoned>,
    rules: Arc<Rules>,
    ahead: AtomicI64,
    releasing: AtomicBool,
    /// How many steps this life has named.
    names: AtomicU64,
    /// The number of the server that it has found to be believed; 0: none.
    believed: AtomicU64,
    /// The number of the server to which its connection leads.
    reign: AtomicU64,
    gather: Duration,
}

impl Process {
    /// Starts one, with an empty cache.
    pub(super) fn start(number: usize, voucher: u64, world: &Shared) -> Arc<Self> {
        let (team, rules, gather) = {
            let world = world.lock();
            let gather = if world.store.planted == Planted::OpensAtOnce { 0 } else { GATHER.unsigned_abs() };
            (world.terms.team.clone(), Arc::clone(&world.terms.rules), Duration::from_micros(gather))
        };
        let process = Arc::new(Self {
            number,
            voucher,
            team,
            world: world.clone(),
            running: Mutex::default(),
            teams: Teams::default(),
            abandoned: Arc::default(),
            rules,
            ahead: AtomicI64::new(0),
            releasing: AtomicBool::new(false),
            names: AtomicU64::new(0),
            believed: AtomicU64::new(0),
            reign: AtomicU64::new(0),
            gather,
        });
        process.begin(keep_alive(Arc::clone(&process)));
        process.begin(sweep(Arc::clone(&process)));
        process
    }

    /// Begins a task of this process.
    pub(super) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.world.lock().begun.push((self.number, Box::pin(task)));
    }

    /// Puts an operation into the team's queue, and waits for its answer.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        operation: impl FnOnce(Response<T>) -> Operation,
    ) -> Result<T, Outage> {
        let (response, answer) = oneshot::channel();
        let is_well = self.world.lock().is_well();
        self.submit(operation(response));
        let answer = answer.await.unwrap_or_else(|_| Err(Outage::Unreachable("no answer was given".to_owned())));
        if let Err(outage) = &answer {
            let promises = &mut self.world.lock().store.promises;
            promises.sees("there was no answer");
            // Nobody is to be starved by the others.
            let is_due = match outage {
                Outage::TimedOut | Outage::Unreachable(_) => true,
                Outage::Lost => promises.losses.last.is_some(),
                Outage::Refused(_) => false,
            };
            promises.hold(is_due, || format!("a process is told: {outage}"));
            promises.hold(!is_well, || format!("all is well, and a process is told: {outage}"));
        }
        answer
    }

    fn submit(self: &Arc<Self>, operation: Operation) {
        if let Some(lease) = self.teams.of(&self.team).submit(operation) {
            self.begin(send_all(Arc::clone(self), lease));
        }
        if !self.releasing.swap(true, Ordering::Relaxed) {
            self.begin(release(Arc::clone(self)));
        }
    }

    /// Sends a request, and once more where the connection breaks.
    async fn exchange(&self, request: Request) -> Result<Answer, Outage> {
        let until = self.world.lock().now + DEADLINE;
        for _ in 0..2 {
            if let Some(reply) = self.is_led_elsewhere(&request) {
                return Ok(reply);
            }
            let sent = self.world.lock().send((self.number, self.voucher), &request, until);
            match sent.await {
                Answer::Broken => {}
                Answer::TimedOut => return Err(Outage::TimedOut),
                answer @ (Answer::Reply(_) | Answer::Yes(_)) => return Ok(answer),
            }
        }
        Err(Outage::Unreachable("the connection broke twice".to_owned()))
    }

    /// What is said of a step that is not sent, since the connection leads to another server than it is meant for.
    fn is_led_elsewhere(&self, request: &Request) -> Option<Answer> {
        let server = self.world.lock().store.server();
        self.reign.store(server, Ordering::Relaxed);
        let Request::Step(step) = request else { return None };
        let is_elsewhere = step.reign > 0 && step.reign != server;
        is_elsewhere.then(|| Answer::Reply(Box::new(Reply::of_another_reign(self.now()))))
    }

    /// Whether it knows something of the team that is yet to be restored, in a store that has come
    /// to this epoch.
    pub(super) fn has_to_restore(&self, epoch: u64) -> bool {
        let team = self.teams.of(&self.team);
        let cache = team.cache();
        cache.memory.is_some() || cache.revision().is_some_and(|known| known.epoch < epoch)
    }

    /// The latest revision at which it has seen the team's own scope.
    pub(super) fn has_seen(&self) -> Revision {
        let team = self.teams.of(&self.team);
        let cache = team.cache();
        cache.scopes.0.get(&ScopeName::from(&Scope::Team)).map_or_else(Revision::default, |(at, _)| *at)
    }

    /// Asks whether the store is believed.
    async fn vouched(&self) -> Result<Belief, Outage> {
        let server = self.world.lock().store.copies.server;
        if !self.is_so(Request::Vouch).await? {
            return Ok(Belief::TooNew);
        }
        self.believed.store(server, Ordering::Relaxed);
        Ok(Belief::Believed)
    }

    async fn is_so(&self, request: Request) -> Result<bool, Outage> {
        Ok(matches!(self.exchange(request).await?, Answer::Yes(true)))
    }
}

impl Keeper for Process {
    async fn step(&self, _team: &TeamId, step: &Step) -> Result<Reply, Outage> {
        match self.exchange(Request::Step(Arc::new(step.clone()))).await? {
            Answer::Reply(reply) => {
                let is_there = reply.found.as_ref().is_some_and(|found| found.revision == Some(step.makes));
                if step.is_made() && (reply.verdict == Verdict::Done || is_there) {
                    self.world.lock().store.promises.losses.heard(step.makes);
                }
                Ok(*reply)
            }
            Answer::Yes(_) | Answer::Broken | Answer::TimedOut => Err(Outage::TimedOut),
        }
    }

    fn reign(&self, _team: &TeamId) -> u64 {
        self.reign.load(Ordering::Relaxed)
    }

    fn name_step(&self) -> u64 {
        (self.voucher << 32) | self.names.fetch_add(1, Ordering::Relaxed)
    }

    async fn let_another_go_first(&self) {
        self.world.sleep(GOES_FIRST).await;
    }

    async fn trust(&self, _team: &TeamId, _accepts: bool) -> Result<Belief, Outage> {
        let server = self.world.lock().store.copies.server;
        if self.believed.load(Ordering::Relaxed) == server {
            return Ok(Belief::Believed);
        }
        self.vouched().await
    }

    async fn is_doubted(&self, _team: &TeamId) {
        self.believed.store(0, Ordering::Relaxed);
        let _ = self.vouched().await;
    }

    /// Who is alive is never long away.
    fn is_settled(&self, _team: &TeamId) -> bool {
        true
    }

    async fn may_be_made(&self, _team: &TeamId, _accepts: bool) -> Result<bool, Outage> {
        self.is_so(Request::LeaveMark).await?;
        if self.is_so(Request::IsNoted).await? {
            return Ok(false);
        }
        // Anew: it may have been emptied since it was believed.
        self.believed.store(0, Ordering::Relaxed);
        match self.vouched().await? {
            Belief::Believed => Ok(true),
            Belief::TooNew | Belief::Held => Err(Outage::Lost),
        }
    }

    async fn made(&self, _team: &TeamId) {
        let _ = self.is_so(Request::Note).await;
    }
}

impl KeeperTime for Process {
    fn now(&self) -> i64 {
        self.world.lock().clock_of(self.number) + self.ahead.load(Ordering::Relaxed)
    }

    fn learn(&self, at: i64) {
        self.ahead.store(at - self.world.lock().clock_of(self.number), Ordering::Relaxed);
    }
}

/// Sends what waits for the team, as a handle of Redis does.
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

/// Releases what was abandoned, as a handle of Redis does.
async fn release(process: Arc<Process>) {
    loop {
        let mut all = true;
        let some = process.abandoned.take(BATCH_MOST);
        let releases = some.iter().map(|(_, id)| process.ask(|response| Operation::Abandon { id: *id, response }));
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
async fn keep_alive(process: Arc<Process>) {
    loop {
        process.world.sleep(TTL / 3).await;
        let ids: Vec<_> = process.running.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        if !ids.is_empty() {
            let _ = process.ask(|response| Operation::Renew { ids, response }).await;
        }
    }
}

/// Ends what was left behind.
async fn sweep(process: Arc<Process>) {
    loop {
        let every = if process.world.lock().loses { SECOND / 4 } else { SECOND };
        process.world.sleep(every + i64::try_from(process.number).unwrap_or(0) * 130_000).await;
        let _ = process.ask(|response| Operation::Sweep { response }).await;
    }
}
