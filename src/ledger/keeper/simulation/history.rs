//! One history: what happens in it follows from its seed and its bounds, and from nothing else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::bounds::{Bounds, Broken, CALLERS, Fault};
use super::caller;
use super::losses::Witnesses;
use super::process::Process;
use super::random::Random;
use super::reckoning;
use super::store::Planted;
use super::terms::{SECOND, TTL};
use super::wire::Answer;
use super::world::{Event, Shared, TROUBLE, Task, World, WrongBy};

/// How long after the trouble everything has an end, in microseconds.
const QUIET: i64 = 10 * SECOND;
/// More than any history needs: one that does not end is broken, too.
const POLLS_MOST: usize = 200_000;

/// Runs a history.
pub(super) fn run(seed: u64, planted: Planted, bounds: &Bounds) -> Result<(), String> {
    History::new(seed, planted, bounds, false).run().0
}

/// Adds to what was seen what a history comes to.
pub(super) fn look(seed: u64, bounds: &Bounds, seen: &mut BTreeMap<&'static str, u64>) {
    let history = History::new(seed, Planted::Nothing, bounds, false);
    let world = history.world.clone();
    let _ = history.run();
    for (what, times) in &world.lock().store.promises.seen {
        *seen.entry(what).or_default() += times;
    }
}

/// Runs a history, and tells its story should a promise be broken.
pub(super) fn tell(seed: u64, planted: Planted, bounds: &Bounds) -> Result<(), Broken> {
    let (result, story) = History::new(seed, planted, bounds, true).run();
    result.map_err(|why| Broken { seed, bounds: bounds.clone(), why, story })
}

/// The story of a history, whether or not a promise is broken in it.
pub(super) fn story(seed: u64, bounds: &Bounds) -> Vec<String> {
    History::new(seed, Planted::Nothing, bounds, true).run().1
}

/// The tasks that can go on.
type Ready = Arc<Mutex<Vec<u64>>>;

/// Says that a task can go on.
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

struct Running {
    process: usize,
    task: Task,
    bell: Arc<Bell>,
    waker: Waker,
}

struct History {
    seed: u64,
    world: Shared,
    random: Random,
    tasks: BTreeMap<u64, Running>,
    ready: Ready,
    processes: Vec<Option<Arc<Process>>>,
    /// Processes that stand still.
    paused: Vec<bool>,
    /// Their tasks that could go on.
    standing: Vec<u64>,
    begun: u64,
    lives: u64,
    polls: usize,
}

impl History {
    fn new(seed: u64, planted: Planted, bounds: &Bounds, is_told: bool) -> Self {
        let world = World::begin(seed, planted, bounds, is_told);
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

    /// Plans who calls, and what goes wrong.
    fn plan(&self, bounds: &Bounds) {
        let mut world = self.world.lock();
        let random = &mut Random::new(self.seed, 5);
        let together = random.once_in(3);
        let times = if world.terms.is_crowded { 4 } else { 1 };
        for caller in 0..times * CALLERS {
            let (at, process) = (random.between(0, TROUBLE), random.place(bounds.processes));
            let at = if together { at / 20 } else { at };
            if bounds.callers.contains(&(caller / times)) {
                world.after(at, Event::Calls { process, caller });
            }
        }
        for fault in &bounds.faults {
            let random = &mut Random::new(self.seed, 6 + *fault as u64);
            let is_loss = Fault::LOSSES.contains(fault);
            if is_loss && !world.loses {
                continue;
            }
            for _ in 0..random.below(3) {
                let (at, during) = (random.between(0, TROUBLE), random.between(SECOND / 50, 2 * TTL));
                let process = random.place(bounds.processes);
                let at = if is_loss && together && random.once_in(2) { at / 10 } else { at };
                if *fault == Fault::OlderCopies {
                    let lag = if random.once_in(3) { 2 * SECOND } else { SECOND / 10 };
                    world.after(at - random.between(0, lag), Event::IsCopied);
                }
                world.after(at, Event::GoesWrong { fault: *fault, process, during });
            }
        }
        world.after(TROUBLE, Event::Heals);
        world.after(TROUBLE + QUIET, Event::Ends);
    }

    fn start(&mut self, number: usize) {
        self.lives += 1;
        self.processes[number] = Some(Process::start(number, self.lives, &self.world));
        self.paused[number] = false;
    }

    fn run(mut self) -> (Result<(), String>, Vec<String>) {
        loop {
            self.adopt();
            let broken = self.world.lock().store.promises.broken.take();
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
                Some(event) => self.happens(event),
            }
        }
        let reckoned = reckoning::of(&mut self.world.lock());
        self.over(reckoned)
    }

    fn over(&mut self, result: Result<(), String>) -> (Result<(), String>, Vec<String>) {
        self.tasks.clear();
        (result, self.world.lock().story.take().unwrap_or_default())
    }

    /// Takes over the tasks that were begun.
    fn adopt(&mut self) {
        let begun = std::mem::take(&mut self.world.lock().begun);
        for (process, task) in begun {
            self.begun += 1;
            let bell = Arc::new(Bell { task: self.begun, is_rung: AtomicBool::new(true), ready: self.ready.clone() });
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.begun);
            let waker = Waker::from(Arc::clone(&bell));
            self.tasks.insert(self.begun, Running { process, task, bell, waker });
        }
    }

    /// One of the tasks that can go on: which, the seed says.
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
        let endless = self.polls > POLLS_MOST;
        self.world.lock().store.promises.hold(!endless, || "it does not come to an end".to_owned());
        let Some(running) = self.tasks.get_mut(&number) else { return };
        running.bell.is_rung.store(false, Ordering::Relaxed);
        let polled = running.task.as_mut().poll(&mut Context::from_waker(&running.waker));
        if polled == Poll::Ready(()) {
            self.tasks.remove(&number);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            // The connection broke with its server.
            Event::Arrives { server, slot, .. } if server != self.world.lock().store.copies.server => {
                slot.fill(Answer::Broken);
            }
            Event::Arrives { process, voucher, request, slot, is_answered, .. } => {
                self.ask_who_is_left();
                self.world.lock().arrive((process, voucher), &request, is_answered.then_some(slot));
            }
            Event::Fills(slot, answer) => slot.fill(answer),
            Event::Calls { process, caller } => {
                if let Some(process) = &self.processes[process] {
                    let random = Random::new(self.seed, 100 + caller as u64);
                    process.begin(caller::call(Arc::clone(process), caller, random));
                }
            }
            Event::GoesWrong { fault, process, during } => self.goes_wrong(fault, process, during),
            Event::GoesOn { process } => self.goes_on(process),
            Event::IsCopied => self.world.lock().store.is_copied(),
            Event::Heals => {
                self.world.lock().tell(|| "all is well again".to_owned());
                self.world.lock().wire.is_whole = true;
                (0..self.processes.len()).for_each(|process| self.goes_on(process));
            }
            Event::Ends => {}
        }
    }

    fn goes_on(&mut self, process: usize) {
        self.paused[process] = false;
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.standing);
        if self.processes[process].is_none() {
            self.world.lock().tell(|| format!("process {process} starts anew"));
            self.start(process);
        }
    }

    /// Before something is written that may open a team: is there somebody who has yet to restore something?
    fn ask_who_is_left(&self) {
        let mut world = self.world.lock();
        if let Some(epoch) = world.store.state.revision.filter(|_| world.loses).map(|revision| revision.epoch) {
            let is_left = self.processes.iter().flatten().any(|process| process.has_to_restore(epoch));
            world.store.promises.losses.somebody_is_left = is_left;
        }
    }

    /// The store loses something.
    fn loses(&self, fault: Fault) {
        let alive = || self.processes.iter().flatten();
        let seen = alive().map(|process| process.has_seen()).max().unwrap_or_default();
        let witnesses = Witnesses { alive: alive().map(|process| process.voucher).collect(), seen };
        let mut world = self.world.lock();
        let now = world.now;
        world.tell(|| format!("the store loses something: {fault:?}"));
        if fault == Fault::Flushes {
            world.store.is_emptied(now, &witnesses);
        } else {
            world.store.goes_back(now, &witnesses);
        }
    }

    fn goes_wrong(&mut self, fault: Fault, process: usize, during: i64) {
        if Fault::LOSSES.contains(&fault) {
            return self.loses(fault);
        }
        let mut world = self.world.lock();
        if matches!(fault, Fault::Cuts | Fault::Pauses | Fault::Deaths | Fault::Clocks | Fault::KeeperClock) {
            world.tell(|| format!("process {process}: {fault:?} for {during}"));
        }
        let random = &mut self.random;
        match fault {
            // These befall single messages and callers: see there.
            Fault::Delays | Fault::Losses | Fault::Repeats | Fault::Departures => {}
            // See above.
            Fault::Flushes | Fault::OlderCopies => {}
            Fault::Cuts => {
                let until = world.now + during;
                world.wire.cut(process, until);
            }
            Fault::Pauses => {
                self.paused[process] = true;
                world.after(during, Event::GoesOn { process });
            }
            // Who died often cannot be told from who was lost.
            Fault::Deaths if world.loses && !random.once_in(3) => {}
            Fault::Deaths => {
                world.after(during, Event::GoesOn { process });
                drop(world);
                self.dies(process);
            }
            Fault::Clocks => {
                let ahead = if random.once_in(2) { random.between(-2_000, 2_000) } else { random.between(-TTL, TTL) };
                world.clocks[process] = WrongBy { ahead, too_fast: random.between(-50_000, 50_000) };
            }
            Fault::KeeperClock => {
                let far = if random.once_in(8) && !world.loses { 40 * 86_400 * SECOND } else { 2 * TTL };
                let jump = if random.once_in(3) { -random.between(0, SECOND) } else { random.between(0, far) };
                world.keeper_ahead += jump;
            }
        }
    }

    /// A process dies: its tasks vanish, and its cache, and what it had abandoned.
    fn dies(&mut self, process: usize) {
        let dead: Vec<u64> = self.tasks.iter().filter(|(_, task)| task.process == process).map(|(id, _)| *id).collect();
        let dead: Vec<Running> = dead.iter().filter_map(|id| self.tasks.remove(id)).collect();
        // What it had just begun vanishes as well, and what its end would begin.
        drop(dead);
        let mut world = self.world.lock();
        world.begun.retain(|(of, _)| *of != process);
        if let Some(life) = &self.processes[process] {
            let store = &mut world.store;
            store.promises.dies(life.voucher, &store.state);
        }
        drop(world);
        self.processes[process] = None;
    }
}
