//! Carries operations to Redis and answers back: one batch of a team at a time, many teams at once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, RedisError, Value};
use tokio::sync::oneshot;

use super::breaker::Breaker;
use super::dial::Dialer;
use super::exchange::{DIAL_TIMEOUT, Exchanges, Progress};
use super::failure::outage_of;
use super::given_up::{self, GivenUp};
use super::head::{Head, Mode};
use super::line::{Batch, Line, Turn};
use super::link::Link;
use super::operation::Operation;
use super::reply::Context;
use super::request;
use super::script::{Replicas, TeamScript};
use super::settings::{Settings, Topology, UnusableSettings};
use super::told::{Answer, Told};
use super::vouch::{self, Belief};
use super::witness::Witness;
use crate::clock::Clock;
use crate::ledger::calendar::Calendar;
use crate::ledger::{Observer, Outage, Swept, soft};
use crate::team::TeamId;

/// How often a batch is sent at most: the day may be guessed wrong, a connection may prove broken, a team may be new, and
/// the store may lack what we know, once each.
const ATTEMPTS: usize = 6;

/// Everything the operations of one handle share.
pub(super) struct Courier {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn Observer>,
    exchanges: Exchanges,
    pub(super) script: TeamScript,
    breaker: Arc<Breaker>,
    lines: Mutex<HashMap<TeamId, Arc<Line>>>,
    pub(super) witness: Arc<Witness>,
    given_up: Arc<GivenUp>,
    releasing: AtomicBool,
    /// How far the store's clock is ahead of ours, in microseconds. Only a guess at the day hangs on it.
    pub(super) ahead: AtomicI64,
    /// The number of the connection whose server is believed of teams that are new to us; 0 is none.
    pub(super) believed: AtomicU64,
    /// The number that names this handle in the marks that it leaves.
    pub(super) voucher: u64,
    /// The number of the connection whose server was last told that it is in use.
    pub(super) introduced: AtomicU64,
}

/// A batch's answer and what is needed to read it.
struct Answered {
    answer: Answer,
    calendar: Option<Arc<Calendar>>,
    level_places: Vec<usize>,
    /// Why its admissions do not stand after all.
    unacknowledged: Option<Outage>,
}

impl Courier {
    pub(super) fn new(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
        witness: Arc<Witness>,
    ) -> Result<Self, UnusableSettings> {
        Ok(Self {
            exchanges: Exchanges::new(Dialer::new(&settings)?, DIAL_TIMEOUT, settings.deadline),
            settings,
            clock,
            script: TeamScript::new(),
            breaker: Arc::new(Breaker::new(Arc::clone(&observer))),
            observer,
            lines: Mutex::default(),
            witness,
            given_up: Arc::default(),
            releasing: AtomicBool::new(false),
            ahead: AtomicI64::new(0),
            believed: AtomicU64::new(0),
            voucher: vouch::new_voucher(),
            introduced: AtomicU64::new(0),
        })
    }

    /// The same, but that it gives up an attempt to connect after this long.
    pub(super) fn dialling_within(mut self, timeout: Duration) -> Result<Self, UnusableSettings> {
        self.exchanges = Exchanges::new(Dialer::new(&self.settings)?, timeout, self.settings.deadline);
        Ok(self)
    }

    /// Sends an operation, together with what else waits for the team, and waits for its answer.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        team: &TeamId,
        operation: impl FnOnce(oneshot::Sender<Result<T, Outage>>) -> Operation,
    ) -> Result<T, Outage> {
        let (reply, answer) = oneshot::channel();
        self.submit(team, operation(reply));
        answer.await.unwrap_or_else(|_| Err(Outage::Unreachable("no answer was given".to_owned())))
    }

    fn submit(self: &Arc<Self>, team: &TeamId, operation: Operation) {
        let line = self.line(team);
        if let Err(outage) = line.breaker.enter() {
            operation.fail(outage);
            return;
        }
        if let Some(turn) = line.join(operation) {
            tokio::spawn(send_all(Arc::clone(self), turn));
        }
        if !self.releasing.swap(true, Ordering::Relaxed) {
            tokio::spawn(given_up::release(Arc::downgrade(self), Arc::clone(&self.given_up)));
        }
    }

    pub(super) fn line(&self, team: &TeamId) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(team) {
            return Arc::clone(line);
        }
        let breaker = match self.settings.topology {
            Topology::Single { .. } | Topology::Sentinel { .. } => Arc::clone(&self.breaker),
            Topology::Cluster { .. } => Arc::new(Breaker::new(Arc::clone(&self.observer))),
        };
        let line = Arc::new(Line::new(team.clone(), breaker, self.witness.of(team)));
        lines.insert(team.clone(), Arc::clone(&line));
        line
    }

    /// Runs one command that is no batch and that names this key, within the deadline. It must be safe to repeat.
    pub(super) async fn run(&self, team: Option<&TeamId>, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.on_link(team, key, |mut link| async move { link.run(command).await }).await
    }

    /// Does something that is no batch with the connection, within the deadline. It must be safe to repeat: it is done once
    /// more where the connection proves broken. `key` is one that it names.
    pub(super) async fn on_link<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        team: Option<&TeamId>,
        key: &str,
        doing: impl Fn(Link) -> F,
    ) -> Result<T, Outage> {
        let line = team.map(|team| self.line(team));
        let breaker = line.as_ref().map_or(&self.breaker, |line| &line.breaker);
        breaker.enter()?;
        let result = self.exchanges.run(key, doing).await;
        match &result {
            Ok(_) => breaker.succeeded(),
            Err(outage) => breaker.failed(outage),
        }
        result
    }

    async fn send(&self, line: &Line, batch: Batch) {
        self.observer.batch(batch.operations.len());
        let progress = Progress::default();
        // Apart, since it is large: whoever holds it in place is copied with it, several times for each batch.
        let attempt = Box::pin(self.attempt(line, &batch, &progress));
        match self.exchanges.in_time(&line.keys.open, &progress, attempt).await {
            Ok(answered) => {
                line.breaker.succeeded();
                self.hand_out(line, batch.operations, answered);
            }
            Err(outage) => {
                line.breaker.failed(&outage);
                self.fail(line, batch.operations, &outage, progress.in_doubt.into_inner());
            }
        }
    }

    async fn attempt(&self, line: &Line, batch: &Batch, progress: &Progress) -> Result<Answered, Outage> {
        let replicas = self.replicas(&batch.operations);
        let mut why = Outage::Refused("the day changes with every answer".to_owned());
        let mut mode = Mode::of(&batch.operations);
        for _ in 0..ATTEMPTS {
            // Of a team that is new nothing is waited for until it is there.
            let greets = replicas.is_some() && line.seen().known.epoch == 0;
            let (operations, replicas) = if greets { (&[][..], None) } else { (&batch.operations[..], replicas) };
            let now = self.store_now();
            let calendar = batch.time_zone.as_ref().map(|zone| line.calendar(now, zone));
            let head = Head {
                known: line.seen().known,
                mode,
                now: self.fixed_now(),
                sweep_until: self.sweep_until(line),
                voucher: self.voucher,
            };
            let request = request::written(operations, calendar.as_deref(), head, &self.settings);
            let (number, mut link) = self.exchanges.link().await?;
            let in_doubt = progress.in_doubt.load(Ordering::Relaxed);
            progress.goes_on(number);
            let applied = match self.vouched(line, number, &mut link, mode).await {
                Ok(Belief::Believed) => {
                    progress.in_doubt.store(true, Ordering::Relaxed);
                    self.script.apply(&mut link, &line.keys, &request.bytes, replicas).await
                }
                Ok(Belief::TooNew | Belief::Held) => return Err(Outage::Lost),
                Err(error) => Err(error),
            };
            match applied {
                Ok((value, have)) => match Told::read(value)? {
                    Told::Done(answer) => {
                        self.learn(answer.at);
                        self.introduce(number, &link);
                        // Once by each handle: a list that lacks a team would keep it from reports and sweeps.
                        if mode.makes() || !line.is_noted.swap(true, Ordering::Relaxed) {
                            self.note_team(line, &link);
                        }
                        if greets {
                            line.seen().learns(answer.point);
                            progress.in_doubt.store(in_doubt, Ordering::Relaxed);
                            continue;
                        }
                        let unacknowledged = too_few(replicas, have);
                        return Ok(Answered { answer, calendar, level_places: request.level_places, unacknowledged });
                    }
                    // In each of these cases nothing was done.
                    told @ (Told::OtherDay(_) | Told::NothingHere | Told::Lacking(_)) => {
                        progress.in_doubt.store(in_doubt, Ordering::Relaxed);
                        // Apart, since it is large and rare.
                        mode = Box::pin(self.heed(line, &mut link, told, mode)).await?;
                    }
                },
                Err(error) => {
                    why = outage_of(&error);
                    // A server that says no has done nothing.
                    progress.in_doubt.store(in_doubt || !why.is_an_answer(), Ordering::Relaxed);
                    if !self.exchanges.may_be_resent(&error, number, &link, progress).await {
                        return Err(why);
                    }
                }
            }
        }
        Err(why)
    }

    fn hand_out(&self, line: &Line, operations: Vec<Operation>, answered: Answered) {
        let Answered { answer, calendar, level_places, unacknowledged } = answered;
        let context = Context {
            team: &line.team,
            calendar: calendar.as_ref(),
            level_places: &level_places,
            given_up: &self.given_up,
            unacknowledged,
        };
        if let Ok(crossings) = answer.crossings(calendar.as_ref()) {
            soft::tell(&*self.observer, &line.team, &crossings);
        }
        let charges = answer.charges().unwrap_or_default();
        let mut seen = line.seen();
        if seen.opens(answer.point) {
            tracing::info!(team = %line.team, "the budgets of a team are open again: what the store of the ledger had lost was restored");
        }
        // Before anybody is answered: who asked for a sweep finds it counted.
        if let Ok(swept) = answer.swept()
            && swept != Swept::default()
        {
            self.observer.swept(&line.team, swept, &charges);
        }
        // When the answer cannot be read nobody is answered, and everyone who waits hears that.
        let _ = answer.hand_out(operations, &context, &mut seen);
    }

    fn fail(&self, line: &Line, operations: Vec<Operation>, outage: &Outage, in_doubt: bool) {
        for operation in operations {
            if let Operation::Admit { admission, .. } = &operation
                && in_doubt
            {
                self.given_up.add(&line.team, admission.id);
            }
            operation.fail(outage.clone());
        }
        if !outage.is_an_answer() {
            line.fail_all(outage);
        }
    }

    fn replicas(&self, operations: &[Operation]) -> Option<Replicas> {
        let wanted = self.settings.wait_replicas;
        let admits = operations.iter().any(|operation| matches!(operation, Operation::Admit { .. }));
        // Twice that, when the script has to be sent in full, is still within the deadline.
        (wanted > 0 && admits).then(|| Replicas { wanted, patience: self.settings.deadline / 3 })
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.given_up.wake();
    }
}

fn too_few(replicas: Option<Replicas>, have: u32) -> Option<Outage> {
    let wanted = replicas?.wanted;
    (have < wanted).then(|| Outage::Refused(format!("{have} of {wanted} replicas have the reservation")))
}

async fn send_all(courier: Arc<Courier>, mut turn: Turn) {
    while let Some(batch) = turn.next() {
        let line = Arc::clone(turn.line());
        courier.send(&line, batch).await;
    }
}
