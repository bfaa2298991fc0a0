//! The plan of a history: its calls and its faults, and the effects of the faults.

use std::sync::PoisonError;

use super::bounds::{Bounds, CALLERS, Fault};
use super::history::{History, Running};
use super::losses::LiveProcesses;
use super::random::Random;
use super::scenario::{SECOND, TTL};
use super::world::{Event, TROUBLE, World, WrongBy};

/// Time from the end of the faults to the end of the history, in microseconds.
const QUIET: i64 = 10 * SECOND;

impl History {
    /// Plans the calls and the faults.
    pub(super) fn plan(&self, bounds: &Bounds) {
        let mut world = self.world.lock();
        let random = &mut Random::new(self.seed, 5);
        let together = random.once_in(3);
        let times = if world.scenario.is_crowded { 4 } else { 1 };
        for caller in 0..times * CALLERS {
            let (at, process) = (random.between(0, TROUBLE), random.place(bounds.processes));
            let at = if together { at / 20 } else { at };
            let team = Random::new(self.seed, 200 + caller as u64).place(world.stores.len());
            if bounds.callers.contains(&(caller / times)) {
                world.after(at, Event::Calls { process, team, caller });
            }
        }
        for fault in &bounds.faults {
            let random = &mut Random::new(self.seed, 6 + *fault as u64);
            let is_loss = Fault::LOSSES.contains(fault);
            if is_loss && !world.loses {
                continue;
            }
            if *fault == Fault::Limits && world.scenario.limits_change {
                self.limits_change(&mut world, random);
            }
            for _ in 0..random.below(3) {
                let (at, during) =
                    (random.between(0, TROUBLE), random.between(SECOND / 50, 2 * TTL));
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

    pub(super) fn goes_on(&mut self, process: usize) {
        self.paused[process] = false;
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.standing);
        if self.processes[process].is_none() {
            self.world.lock().log(|| format!("process {process} restarts"));
            self.start(process);
        }
    }

    /// The live processes, except one that crashes, and what they have seen of a team.
    fn live(&self, team: usize, crash: Option<usize>) -> LiveProcesses {
        let alive =
            || self.processes.iter().flatten().filter(|process| Some(process.number) != crash);
        LiveProcesses {
            alive: alive().map(|process| process.incarnation).collect(),
            seen: alive().flat_map(|process| process.has_seen(team)).collect(),
        }
    }

    /// Makes the store lose writes.
    fn loses(&self, fault: Fault) {
        let live = |team| self.live(team, None);
        let mut world = self.world.lock();
        let now = world.now;
        world.log(|| format!("the store loses writes: {fault:?}"));
        let mut is_promoted = false;
        for (team, store) in world.stores.iter_mut().enumerate() {
            if fault == Fault::Flushes {
                store.empty(now, &live(team));
            } else {
                is_promoted |= store.promote(now, &live(team));
            }
        }
        world.server += u64::from(is_promoted);
    }

    /// Changes the limits. Each process learns of it at its own time, and some limits stay as
    /// before.
    fn limits_change(&self, world: &mut World, random: &mut Random) {
        let at = random.between(0, TROUBLE);
        for process in 0..self.processes.len() {
            let (reloaded, back) = (at + random.between(0, SECOND), random.between(0, TROUBLE));
            world.after(reloaded, Event::ReloadsLimits { process, limits: 1 });
            if random.once_in(3) {
                world.after(reloaded + back, Event::ReloadsLimits { process, limits: 0 });
            }
        }
    }

    pub(super) fn goes_wrong(&mut self, fault: Fault, process: usize, during: i64) {
        if Fault::LOSSES.contains(&fault) {
            return self.loses(fault);
        }
        let mut world = self.world.lock();
        if matches!(
            fault,
            Fault::Partitions | Fault::Pauses | Fault::Crashes | Fault::Clocks | Fault::KeeperClock
        ) {
            world.log(|| format!("process {process}: {fault:?} for {during}"));
        }
        let random = &mut self.random;
        match fault {
            // Injected into single messages and callers.
            Fault::Delays | Fault::Losses | Fault::Repeats | Fault::Leaving => {}
            // Handled above.
            Fault::Flushes | Fault::OlderCopies | Fault::Limits => {}
            // A process cannot restore evicted records.
            Fault::Forgetting if world.loses => {}
            Fault::Forgetting => {
                let planted = world.planted;
                drop(world);
                if let Some(process) = &self.processes[process] {
                    process.forgets(planted, random);
                }
            }
            Fault::Partitions => {
                let until = world.now + during;
                world.network.cut(process, until);
            }
            Fault::Pauses => {
                self.paused[process] = true;
                world.after(during, Event::GoesOn { process });
            }
            // Many crashes would make losses indistinguishable.
            Fault::Crashes if world.loses && !random.once_in(3) => {}
            Fault::Crashes => {
                world.after(during, Event::GoesOn { process });
                drop(world);
                self.crash(process);
            }
            Fault::Clocks => {
                let ahead = if random.once_in(2) {
                    random.between(-2_000, 2_000)
                } else {
                    random.between(-TTL, TTL)
                };
                world.clocks[process] =
                    WrongBy { ahead, too_fast: random.between(-50_000, 50_000) };
            }
            Fault::KeeperClock => {
                let far =
                    if random.once_in(8) && !world.loses { 40 * 86_400 * SECOND } else { 2 * TTL };
                let jump = if random.once_in(3) {
                    -random.between(0, SECOND)
                } else {
                    random.between(0, far)
                };
                world.keeper_ahead += jump;
            }
        }
    }

    /// Crashes a process: its tasks, its cache and its abandoned admissions are dropped.
    fn crash(&mut self, process: usize) {
        let dead: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.process == process)
            .map(|(id, _)| *id)
            .collect();
        let dead: Vec<Running> = dead.iter().filter_map(|id| self.tasks.remove(id)).collect();
        // Drops newly spawned tasks too, and those that dropping would spawn.
        drop(dead);
        let mut world = self.world.lock();
        world.begun.retain(|(of, _)| *of != process);
        if let Some(life) = &self.processes[process] {
            for (team, store) in world.stores.iter_mut().enumerate() {
                let mut left = self.live(team, Some(process));
                store.checker.crash(life.incarnation, &store.state, &mut left);
            }
        }
        drop(world);
        self.processes[process] = None;
    }
}
