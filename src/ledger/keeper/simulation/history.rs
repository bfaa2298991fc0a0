//! One history: a deterministic run that depends only on its seed and its bounds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::bounds::{Bounds, Broken};
use super::caller;
use super::final_checks;
use super::network::Answer;
use super::planted::Planted;
use super::process::Process;
use super::random::Random;
use super::store::Store;
use super::world::{Event, Shared, Task, World};

/// Most polls of a history, more than any needs. A history that does not end has failed as well.
const POLLS_MAX: usize = 200_000;

/// Runs a history.
pub(super) fn run(seed: u64, planted: Planted, bounds: &Bounds) -> Result<(), String> {
    History::new(seed, planted, bounds, false).run().0
}

/// Runs a history and adds to the coverage counts.
pub(super) fn add_coverage(seed: u64, bounds: &Bounds, seen: &mut BTreeMap<&'static str, u64>) {
    let history = History::new(seed, Planted::Nothing, bounds, false);
    let world = history.world.clone();
    let _ = history.run();
    for store in &world.lock().stores {
        store.checker.seen.iter().for_each(|(what, times)| *seen.entry(what).or_default() += times);
    }
}

/// Runs a history; the error has its events.
pub(super) fn run_logged(seed: u64, planted: Planted, bounds: &Bounds) -> Result<(), Box<Broken>> {
    let (result, log) = History::new(seed, planted, bounds, true).run();
    result.map_err(|why| Box::new(Broken { seed, bounds: bounds.clone(), why, log }))
}

/// Runs a history with a fault injected into one step. Returns how many steps could have one.
pub(super) fn run_injected(
    seed: u64,
    planted: Planted,
    bounds: &Bounds,
) -> Result<u64, Box<Broken>> {
    let history = History::new(seed, planted, bounds, false);
    let world = history.world.clone();
    match history.run().0 {
        Ok(()) => Ok(world.lock().steps),
        Err(_) => run_logged(seed, planted, bounds).map(|()| 0),
    }
}

/// The events of a history, whether or not it violates a promise.
pub(super) fn log(seed: u64, bounds: &Bounds) -> Vec<String> {
    History::new(seed, Planted::Nothing, bounds, true).run().1
}

/// Tasks that can be polled.
type Ready = Arc<Mutex<Vec<u64>>>;

/// Waker of a task.
struct Bell {
    task: u64,
    is_rung: AtomicBool,
    ready: Ready,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if !self.is_rung.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
        }
    }
}

pub(super) struct Running {
    pub(super) process: usize,
    task: Task,
    bell: Arc<Bell>,
    waker: Waker,
}

pub(super) struct History {
    pub(super) seed: u64,
    pub(super) world: Shared,
    pub(super) random: Random,
    pub(super) tasks: BTreeMap<u64, Running>,
    pub(super) ready: Ready,
    pub(super) processes: Vec<Option<Arc<Process>>>,
    /// Paused processes.
    pub(super) paused: Vec<bool>,
    /// Tasks of the processes that could be polled.
    pub(super) standing: Vec<u64>,
    begun: u64,
    lives: u64,
    polls: usize,
}

impl History {
    fn new(seed: u64, planted: Planted, bounds: &Bounds, is_logged: bool) -> Self {
        let world = World::begin(seed, planted, bounds, is_logged);
        let mut history = Self {
            seed,
            world,
            random: Random::new(seed, 4),
            tasks: BTreeMap::new(),
            ready: Ready::default(),
            processes: vec![None; bounds.processes],
            paused: vec![false; bounds.processes],
            standing: Vec::new(),
            begun: 0,
            lives: 0,
            polls: 0,
        };
        for number in 0..bounds.processes {
            history.start(number);
        }
        history.plan(bounds);
        history
    }

    pub(super) fn start(&mut self, number: usize) {
        self.lives += 1;
        self.processes[number] = Some(Process::start(number, self.lives, &self.world));
        self.paused[number] = false;
    }

    fn run(mut self) -> (Result<(), String>, Vec<String>) {
        loop {
            self.adopt();
            let broken =
                self.world.lock().stores.iter_mut().find_map(|store| store.checker.broken.take());
            if let Some(why) = broken {
                return self.over(Err(why));
            }
            if let Some(task) = self.one_ready() {
                self.poll(task);
                continue;
            }
            let next = self.world.lock().next();
            match next {
                Some(Event::Ends) | None => break,
                Some(event) => self.handle(event),
            }
        }
        let reckoned = final_checks::of(&mut self.world.lock());
        self.over(reckoned)
    }

    fn over(&mut self, result: Result<(), String>) -> (Result<(), String>, Vec<String>) {
        self.tasks.clear();
        (result, self.world.lock().log.take().unwrap_or_default())
    }

    /// Adds newly spawned tasks.
    fn adopt(&mut self) {
        let begun = std::mem::take(&mut self.world.lock().begun);
        for (process, task) in begun {
            self.begun += 1;
            let bell = Arc::new(Bell {
                task: self.begun,
                is_rung: AtomicBool::new(true),
                ready: self.ready.clone(),
            });
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.begun);
            let waker = Waker::from(Arc::clone(&bell));
            self.tasks.insert(self.begun, Running { process, task, bell, waker });
        }
    }

    /// Picks one of the runnable tasks by the seed.
    fn one_ready(&mut self) -> Option<u64> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        while !ready.is_empty() {
            let place = self.random.place(ready.len());
            let number = ready.swap_remove(place);
            match self.tasks.get(&number) {
                Some(task) if self.paused[task.process] => self.standing.push(number),
                Some(_) => return Some(number),
                None => {}
            }
        }
        None
    }

    fn poll(&mut self, number: u64) {
        self.polls += 1;
        let endless = self.polls > POLLS_MAX;
        self.world.lock().stores[0].checker.hold(!endless, || "it does not end".to_owned());
        let Some(running) = self.tasks.get_mut(&number) else { return };
        running.bell.is_rung.store(false, Ordering::Relaxed);
        let polled = running.task.as_mut().poll(&mut Context::from_waker(&running.waker));
        if polled == Poll::Ready(()) {
            self.tasks.remove(&number);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            // The connection broke with its server.
            Event::Arrives { server, slot, .. } if server != self.world.lock().server => {
                slot.fill(Answer::Broken);
            }
            Event::Arrives { from, team, request, slot, is_answered, .. } => {
                self.note_unrestored(team);
                self.world.lock().arrive(from, (team, &request), is_answered.then_some(slot));
            }
            Event::Fills(slot, answer) => slot.fill(answer),
            Event::ReloadsLimits { process, limits } => {
                let mut world = self.world.lock();
                world.limits_at[process] = limits;
                world.log(|| format!("process {process} learns of new limits"));
                if world.planted == Planted::ChangesReset {
                    world.stores.iter_mut().for_each(Store::begins_anew);
                }
            }
            Event::Calls { process, team, caller } => {
                if let Some(process) = &self.processes[process] {
                    let random = Random::new(self.seed, 100 + caller as u64);
                    process.begin(caller::call(Arc::clone(process), (caller, team), random));
                }
            }
            Event::GoesWrong { fault, process, during } => self.goes_wrong(fault, process, during),
            Event::GoesOn { process } => self.goes_on(process),
            Event::IsCopied => self.world.lock().stores.iter_mut().for_each(Store::copy),
            Event::Heals => {
                self.world.lock().log(|| "the faults end".to_owned());
                self.world.lock().network.is_whole = true;
                (0..self.processes.len()).for_each(|process| self.goes_on(process));
            }
            Event::Ends => {}
        }
    }

    /// Notes, before a write that may open a team, whether a process has yet to restore something.
    fn note_unrestored(&self, team: usize) {
        let mut world = self.world.lock();
        let revision = world.stores[team].state.revision.filter(|_| world.loses);
        if let Some(epoch) = revision.map(|revision| revision.epoch) {
            let is_left =
                self.processes.iter().flatten().any(|process| process.has_to_restore(team, epoch));
            world.stores[team].checker.losses.somebody_is_left = is_left;
        }
    }
}
