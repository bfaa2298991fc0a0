//! Shared state of one history: its time, its future events, the keeper and the network.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bounds::{Bounds, Fault, Injection};
use super::checker::Checker;
use super::network::{Answer, Network, Request, Slot};
use super::planted::Planted;
use super::random::Random;
use super::scenario::{SECOND, Scenario};
use super::store::Store;
use crate::ledger::ReservationId;
use crate::ledger::keeper::{Expected, Reply, Step};

/// How long a process waits for an answer, in microseconds.
pub(super) const DEADLINE: i64 = 250_000;

/// How long faults are injected, in microseconds.
pub(super) const TROUBLE: i64 = 5 * SECOND;

/// Longest time to recover from a loss: it is noticed, all processes restore, and the keeper's
/// clock may have been set back meanwhile.
pub(super) const RESTORING: i64 = 3 * SECOND;

/// A task of a process.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future event.
pub(super) enum Event {
    /// A request arrives, if the keeper is still the server to which it was sent.
    Arrives {
        from: (usize, u64),
        server: u64,
        team: usize,
        request: Request,
        slot: Slot,
        is_answered: bool,
    },
    /// An answer arrives, or a timer ends.
    Fills(Slot, Answer),
    /// A call begins.
    Calls { process: usize, team: usize, caller: usize },
    /// A process reloads its settings and learns of other limits.
    ReloadsLimits { process: usize, limits: usize },
    /// A fault of a process begins.
    GoesWrong { fault: Fault, process: usize, during: i64 },
    /// A paused process continues; a crashed one restarts.
    GoesOn { process: usize },
    /// The replica is copied from the store.
    IsCopied,
    /// The faults end.
    Heals,
    /// The history ends.
    Ends,
}

/// Clock error of a process: offset, and drift in millionths.
#[derive(Clone, Copy, Default)]
pub(super) struct WrongBy {
    pub(super) ahead: i64,
    pub(super) too_fast: i64,
}

/// The world.
pub(super) struct World {
    /// The time, in microseconds of Unix time.
    pub(super) now: i64,
    pub(super) scenario: Scenario,
    pub(super) network: Network,
    /// The keeper's records of each team, with their checker.
    pub(super) stores: Vec<Store>,
    /// Number of the keeper's server; each promotion makes a new one.
    pub(super) server: u64,
    pub(super) planted: Planted,
    /// Version of the limits that each process knows.
    pub(super) limits_at: Vec<usize>,
    /// Number of steps that arrived while faults are injected.
    pub(super) steps: u64,
    pub(super) clocks: Vec<WrongBy>,
    /// The store may lose writes, so processes look after the team more often than the time for
    /// restoring.
    pub(super) loses: bool,
    /// How far the keeper's clock is ahead.
    pub(super) keeper_ahead: i64,
    /// Spawned tasks that were not polled yet, with their processes.
    pub(super) begun: Vec<(usize, Task)>,
    /// Number of callers that have not ended.
    pub(super) callers: usize,
    events: BTreeMap<(i64, u64), Event>,
    order: u64,
    ids: Random,
    /// Log of events, if it is recorded.
    pub(super) log: Option<Vec<String>>,
}

/// Handle to the world, shared by all tasks.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, in simulated microseconds.
    pub(super) async fn sleep(&self, during: i64) {
        let slot = Slot::default();
        self.lock().after(during, Event::Fills(slot.clone(), Answer::Yes(true)));
        slot.await;
    }
}

impl World {
    pub(super) fn begin(seed: u64, planted: Planted, bounds: &Bounds, is_logged: bool) -> Shared {
        let several = if Random::new(seed, 8).once_in(4) { bounds.teams } else { 1 };
        let all: Vec<Scenario> = (0..several).map(|team| Scenario::of(seed, team)).collect();
        let begins = all[0].begins;
        let store =
            |scenario: &Scenario| Store::new(Checker::new(scenario.clone(), begins), planted);
        let stores = all.iter().map(store).collect();
        let scenario = all[0].clone();
        Shared(Arc::new(Mutex::new(Self {
            now: scenario.begins,
            network: Network::new(seed, bounds.clone()),
            stores,
            server: 1,
            planted,
            limits_at: vec![0; bounds.processes],
            steps: 0,
            clocks: vec![WrongBy::default(); bounds.processes],
            loses: Random::new(seed, 7).once_in(3)
                && Fault::LOSSES.iter().any(|fault| bounds.allow(*fault)),
            keeper_ahead: 0,
            begun: Vec::new(),
            callers: 0,
            events: BTreeMap::new(),
            order: 0,
            ids: Random::new(seed, 3),
            log: is_logged.then(Vec::new),
            scenario,
        })))
    }

    /// Whether the faults have ended long enough ago that nothing from before is under way.
    pub(super) fn is_well(&self) -> bool {
        let has_lost = self.stores.iter().any(|store| store.checker.losses.last.is_some());
        let restoring = if has_lost { RESTORING } else { 0 };
        self.now >= self.scenario.begins + TROUBLE + restoring + 4 * DEADLINE
    }

    /// Adds a line to the log.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        let since = self.now - self.scenario.begins;
        if let Some(log) = &mut self.log {
            log.push(format!("{:>10} {}", since, line()));
        }
    }

    /// Schedules an event after a delay in microseconds.
    pub(super) fn after(&mut self, during: i64, event: Event) {
        self.order += 1;
        self.events.insert((self.now + during.max(0), self.order), event);
    }

    /// Takes the next event and advances the time to it.
    pub(super) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }

    /// A unique id.
    pub(super) fn new_id(&mut self) -> ReservationId {
        let number = (u128::from(self.ids.next()) << 64) | u128::from(self.ids.next());
        format!("{number:032x}").parse().unwrap()
    }

    /// The time by a process's own clock.
    pub(super) fn clock_of(&self, process: usize) -> i64 {
        let WrongBy { ahead, too_fast } = self.clocks[process];
        self.now + ahead + (self.now - self.scenario.begins) * too_fast / 1_000_000
    }

    /// Sends a request. The answer or the timeout comes into the slot.
    pub(super) fn send(
        &mut self,
        from: (usize, u64),
        (team, request): (usize, &Request),
        until: i64,
    ) -> Slot {
        let slot = Slot::default();
        let (way, server) = (self.network.way(from.0, self.now), self.server);
        for delay in &way.arrives {
            let (request, slot, is_answered) = (request.clone(), slot.clone(), way.is_answered);
            self.after(*delay, Event::Arrives { from, server, team, request, slot, is_answered });
        }
        if let Some(breaks) = way.breaks {
            self.after(breaks, Event::Fills(slot.clone(), Answer::Broken));
        }
        self.after(until - self.now, Event::Fills(slot.clone(), Answer::TimedOut));
        slot
    }

    /// The server's number, as processes see it.
    pub(super) const fn server_as_told(&self) -> u64 {
        if matches!(self.planted, Planted::SameReplicationId) { 1 } else { self.server }
    }

    /// Delivers a request to the keeper and sends the answer.
    pub(super) fn arrive(
        &mut self,
        from: (usize, u64),
        (team, request): (usize, &Request),
        answers: Option<Slot>,
    ) {
        let may_be = matches!(request, Request::Step(_)) && !self.network.is_whole;
        let run_injected = if may_be { self.network.bounds.injects(&mut self.steps) } else { None };
        if run_injected == Some(Injection::Lost) {
            return;
        }
        let ((process, incarnation), at) = (from, self.now + self.keeper_ahead);
        let store = &mut self.stores[team];
        let answer = match request {
            Request::Step(step) => {
                let is_refused = run_injected == Some(Injection::Refused);
                let mut reply = if is_refused {
                    store.refuse(step, incarnation, at)
                } else {
                    store.step(step, incarnation, at)
                };
                if let (Planted::TeamsMixed, Some(found)) = (self.planted, &mut reply.found) {
                    self.stores[0].mixes(found);
                }
                self.log(|| line_of((process, team), step, &reply, at));
                Answer::Reply(Box::new(reply))
            }
            Request::LeaveMark(name) => Answer::Left(store.leave_mark(*name, at)),
            Request::IsNoted => Answer::Yes(store.is_noted()),
            Request::Note => {
                store.note();
                Answer::Yes(true)
            }
            Request::Trust => Answer::Yes(store.trusts(at)),
        };
        let answer = match run_injected {
            Some(Injection::AnswerLost) => return,
            Some(Injection::Broken) => Answer::Broken,
            Some(Injection::Refused | Injection::Lost) | None => answer,
        };
        if let Some(slot) = answers.filter(|_| !self.network.is_cut(process, self.now)) {
            let delay = self.network.delay();
            self.after(delay, Event::Fills(slot, answer));
        }
    }
}

fn line_of((process, team): (usize, usize), step: &Step, reply: &Reply, at: i64) -> String {
    let changes = &step.changes;
    let expected = match step.expected {
        Expected::Revision(revision) => revision.to_string(),
        other @ (Expected::Anything | Expected::Nothing(_)) => format!("{other:?}"),
    };
    let short = |id: &ReservationId| id.to_string().chars().take(6).collect::<String>();
    let opened: Vec<_> = changes.opened.keys().map(short).collect();
    let rows: Vec<_> =
        changes.rows.iter().map(|row| format!("{} {:?}", short(&row.id), row.outcome)).collect();
    let marks: Vec<_> = step
        .marks
        .iter()
        .map(|mark| format!("{} {:?}", short(&mark.id), mark.to.phase()))
        .collect();
    let (verdict, marked) = (reply.verdict, &reply.marked);
    let claims = changes.opened.values().any(|record| record.claimed > 0);
    let restores = match changes.team.as_ref().and_then(|team| team.loss.as_ref()) {
        Some(loss) if loss.closed => ", the team is closed",
        Some(_) => ", the team is open after a loss",
        None if claims || !changes.restored.is_empty() => ", what was lost comes back",
        None => "",
    };
    let late = at - step.from;
    let makes = if step.is_made() { format!(" makes {}", step.makes) } else { String::new() };
    format!(
        "process {process}, team {team}: step on {expected}{makes}, {late} µs old: {verdict:?}; \
         opens {opened:?}, ends {rows:?}, marks {marks:?} {marked:?}, renews {}{restores}",
        step.renewed.len()
    )
}
