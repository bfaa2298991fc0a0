//! A process: its queue, its cache, its clock and its connection to the keeper. A crash drops all
//! of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::losses::counted_to;
use super::network::{Answer, Request};
use super::planted::Planted;
use super::random::Random;
use super::scenario::GATHER;
use super::world::{DEADLINE, Shared};
use crate::ledger::keeper::{
    Abandoned, Keeper, KeeperTime, LeftMark, Reply, Step, Teams, TrustState, Verdict,
};
use crate::ledger::machine::{Rules, ScopeName, ScopeRecord, name_of_step};
use crate::ledger::{Outage, ReservationId, Scope};
use crate::team::TeamId;

/// Pause before a process retries a failed operation, in microseconds.
pub(super) const TRY_AGAIN: i64 = 100_000;

/// Pause of a process that lets another go first, in microseconds.
const GOES_FIRST: i64 = 200;

/// One incarnation of a process.
pub(super) struct Process {
    pub(super) number: usize,
    /// Number of this incarnation, in its steps and marks.
    pub(super) incarnation: u64,
    /// The teams, by number.
    pub(super) ids: Vec<TeamId>,
    pub(super) world: Shared,
    /// Calls whose deadlines it renews, with their teams.
    pub(super) running: Mutex<BTreeSet<(usize, ReservationId)>>,
    pub(super) teams: Teams,
    pub(super) abandoned: Arc<Abandoned>,
    pub(super) rules: Arc<Rules>,
    ahead: AtomicI64,
    pub(super) releasing: AtomicBool,
    /// Number of steps named by this incarnation.
    names: AtomicU64,
    /// The server that it trusts for each team; 0: none.
    trusted: Vec<AtomicU64>,
    /// The number of the server to which its connection leads.
    replication_id: AtomicU64,
    pub(super) gather: Duration,
}

impl Process {
    /// A process with an empty cache, without tasks.
    pub(super) fn new(number: usize, incarnation: u64, world: &Shared) -> Arc<Self> {
        let (ids, rules, gather): (Vec<_>, _, _) = {
            let world = world.lock();
            let gather =
                if world.planted == Planted::OpensAtOnce { 0 } else { GATHER.unsigned_abs() };
            let ids =
                world.stores.iter().map(|store| store.checker.scenario.team.clone()).collect();
            (ids, Arc::clone(&world.scenario.rules), Duration::from_micros(gather))
        };
        let trusted = ids.iter().map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            number,
            incarnation,
            ids,
            world: world.clone(),
            running: Mutex::default(),
            teams: Teams::default(),
            abandoned: Arc::default(),
            rules,
            ahead: AtomicI64::new(0),
            releasing: AtomicBool::new(false),
            names: AtomicU64::new(0),
            trusted,
            replication_id: AtomicU64::new(0),
            gather,
        })
    }

    /// Spawns a task of this process.
    pub(super) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.world.lock().begun.push((self.number, Box::pin(task)));
    }

    /// The number of a team.
    pub(super) fn number_of(&self, team: &TeamId) -> usize {
        self.ids.iter().position(|id| id == team).unwrap_or(0)
    }

    /// Sends a request, and again if the connection breaks.
    async fn exchange(&self, team: usize, request: Request) -> Result<Answer, Outage> {
        let until = self.world.lock().now + DEADLINE;
        for _ in 0..2 {
            if let Some(reply) = self.is_led_elsewhere(&request) {
                return Ok(reply);
            }
            let sent =
                self.world.lock().send((self.number, self.incarnation), (team, &request), until);
            match sent.await {
                Answer::Broken => {}
                Answer::TimedOut => return Err(Outage::TimedOut),
                answer @ (Answer::Reply(_) | Answer::Yes(_) | Answer::Left(_)) => {
                    return Ok(answer);
                }
            }
        }
        Err(Outage::Unreachable("the connection broke twice".to_owned()))
    }

    /// The reply to a step that is not sent, because the connection leads to another server.
    fn is_led_elsewhere(&self, request: &Request) -> Option<Answer> {
        let server = self.world.lock().server_as_told();
        self.replication_id.store(server, Ordering::Relaxed);
        let Request::Step(step) = request else { return None };
        let is_elsewhere = step.replication_id > 0 && step.replication_id != server;
        is_elsewhere.then(|| Answer::Reply(Box::new(Reply::of_another_primary(self.now()))))
    }

    /// Whether it has yet to restore something of the team, in a store at this epoch.
    pub(super) fn has_to_restore(&self, team: usize, epoch: u64) -> bool {
        let team = self.teams.of(&self.ids[team]);
        let cache = team.cache();
        cache.memory.is_some() || cache.revision().is_some_and(|known| known.epoch != epoch)
    }

    /// The last number of each epoch at which it has seen the team's own scope: in its cache or in
    /// its memory.
    pub(super) fn has_seen(&self, team: usize) -> Vec<BTreeMap<u64, u64>> {
        let (team, name) = (self.teams.of(&self.ids[team]), ScopeName::from(&Scope::Team));
        let cache = team.cache();
        let known = cache.scopes.0.get(&name);
        let known = known.map(|(at, record)| counted_to((*at, record), cache.team().loss.as_ref()));
        let remembered = cache.memory.as_ref().and_then(|memory| memory.scopes.get(&name));
        known.into_iter().chain(remembered.map(ScopeRecord::sealed)).collect()
    }

    /// Evicts some records from its cache, as if many scopes were in use.
    pub(super) fn forgets(&self, planted: Planted, random: &mut Random) {
        for id in &self.ids {
            let team = self.teams.of(id);
            let mut cache = team.cache();
            if planted == Planted::ForgottenIsNothing {
                cache
                    .scopes
                    .0
                    .values_mut()
                    .for_each(|(_, record)| *record = ScopeRecord::default());
            } else {
                cache.forget_some(|| random.once_in(2));
            }
        }
    }

    /// Asks whether the store is trusted.
    async fn trusted(&self, team: usize) -> Result<TrustState, Outage> {
        let server = self.world.lock().server;
        if !self.is_so(team, Request::Trust).await? {
            return Ok(TrustState::TooNew);
        }
        self.trusted[team].store(server, Ordering::Relaxed);
        Ok(TrustState::Trusted)
    }

    async fn is_so(&self, team: usize, request: Request) -> Result<bool, Outage> {
        Ok(matches!(self.exchange(team, request).await?, Answer::Yes(true)))
    }
}

impl Keeper for Process {
    async fn step(&self, team: &TeamId, step: &Step) -> Result<Reply, Outage> {
        let team = self.number_of(team);
        match self.exchange(team, Request::Step(Arc::new(step.clone()))).await? {
            Answer::Reply(reply) => {
                let found = reply.found.as_ref().and_then(|found| found.revision);
                let is_there = found.is_some_and(|found| found.includes(step.makes.name));
                if step.is_made() && (reply.verdict == Verdict::Done || is_there) {
                    self.world.lock().stores[team].checker.losses.answered(step.makes);
                }
                Ok(*reply)
            }
            Answer::Yes(_) | Answer::Left(_) | Answer::Broken | Answer::TimedOut => {
                Err(Outage::TimedOut)
            }
        }
    }

    fn replication_id(&self, _team: &TeamId) -> u64 {
        self.replication_id.load(Ordering::Relaxed)
    }

    fn name_step(&self) -> u64 {
        name_of_step(self.incarnation, self.names.fetch_add(1, Ordering::Relaxed))
    }

    async fn let_another_go_first(&self) {
        self.world.sleep(GOES_FIRST).await;
    }

    async fn trust(&self, team: &TeamId, _accepts: bool) -> Result<TrustState, Outage> {
        let (team, server) = (self.number_of(team), self.world.lock().server);
        if self.trusted[team].load(Ordering::Relaxed) == server {
            return Ok(TrustState::Trusted);
        }
        self.trusted(team).await
    }

    async fn is_doubted(&self, team: &TeamId) {
        let team = self.number_of(team);
        self.trusted[team].store(0, Ordering::Relaxed);
        let _ = self.trusted(team).await;
    }

    /// A live process is never away for long.
    fn is_settled(&self, _team: &TeamId) -> bool {
        true
    }

    async fn leave_mark(&self, team: &TeamId, name: u64) -> Result<LeftMark, Outage> {
        match self.exchange(self.number_of(team), Request::LeaveMark(name)).await? {
            Answer::Left(mark) => Ok(mark),
            Answer::Reply(_) | Answer::Yes(_) | Answer::Broken | Answer::TimedOut => {
                Err(Outage::TimedOut)
            }
        }
    }

    async fn may_be_made(&self, team: &TeamId, _accepts: bool) -> Result<bool, Outage> {
        let team = self.number_of(team);
        if self.is_so(team, Request::IsNoted).await? {
            return Ok(false);
        }
        // Asked again: the store may have been emptied since.
        self.trusted[team].store(0, Ordering::Relaxed);
        match self.trusted(team).await? {
            TrustState::Trusted => Ok(true),
            TrustState::TooNew | TrustState::Held => Err(Outage::Lost),
        }
    }

    async fn made(&self, team: &TeamId) {
        let _ = self.is_so(self.number_of(team), Request::Note).await;
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
