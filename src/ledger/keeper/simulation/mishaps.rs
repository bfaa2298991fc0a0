//! What befalls a history: who calls when, what goes wrong, and what that does.

use std::sync::PoisonError;

use super::bounds::{Bounds, CALLERS, Fault};
use super::history::{History, Running};
use super::losses::Witnesses;
use super::random::Random;
use super::terms::{SECOND, TTL};
use super::world::{Event, TROUBLE, World, WrongBy};

/// How long after the trouble everything has an end, in microseconds.
const QUIET: i64 = 10 * SECOND;

impl History {
    /// Plans who calls, and what goes wrong.
    pub(super) fn plan(&self, bounds: &Bounds) {
        let mut world = self.world.lock();
        let random = &mut Random::new(self.seed, 5);
        let together = random.once_in(3);
        let times = if world.terms.is_crowded { 4 } else { 1 };
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
            if *fault == Fault::Limits && world.terms.limits_change {
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
            self.world.lock().tell(|| format!("process {process} starts anew"));
            self.start(process);
        }
    }

    /// Who is alive, but for one who dies, and what they have seen of a team.
    fn witnesses(&self, team: usize, dies: Option<usize>) -> Witnesses {
        let alive =
            || self.processes.iter().flatten().filter(|process| Some(process.number) != dies);
        Witnesses {
            alive: alive().map(|process| process.voucher).collect(),
            seen: alive().flat_map(|process| process.has_seen(team)).collect(),
        }
    }

    /// The store loses something.
    fn loses(&self, fault: Fault) {
        let witnesses = |team| self.witnesses(team, None);
        let mut world = self.world.lock();
        let now = world.now;
        world.tell(|| format!("the store loses something: {fault:?}"));
        let mut is_promoted = false;
        for (team, store) in world.stores.iter_mut().enumerate() {
            if fault == Fault::Flushes {
                store.is_emptied(now, &witnesses(team));
            } else {
                is_promoted |= store.goes_back(now, &witnesses(team));
            }
        }
        world.server += u64::from(is_promoted);
    }

    /// The limits change: each process hears of it at a moment of its own, and of some that they
    /// are as before.
    fn limits_change(&self, world: &mut World, random: &mut Random) {
        let at = random.between(0, TROUBLE);
        for process in 0..self.processes.len() {
            let (heard, back) = (at + random.between(0, SECOND), random.between(0, TROUBLE));
            world.after(heard, Event::HearsOfLimits { process, limits: 1 });
            if random.once_in(3) {
                world.after(heard + back, Event::HearsOfLimits { process, limits: 0 });
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
            Fault::Cuts | Fault::Pauses | Fault::Deaths | Fault::Clocks | Fault::KeeperClock
        ) {
            world.tell(|| format!("process {process}: {fault:?} for {during}"));
        }
        let random = &mut self.random;
        match fault {
            // These befall single messages and callers: see there.
            Fault::Delays | Fault::Losses | Fault::Repeats | Fault::Departures => {}
            // See above.
            Fault::Flushes | Fault::OlderCopies | Fault::Limits => {}
            // Who has forgotten something cannot restore it.
            Fault::Forgetting if world.loses => {}
            Fault::Forgetting => {
                let planted = world.planted;
                drop(world);
                if let Some(process) = &self.processes[process] {
                    process.forgets(planted, random);
                }
            }
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

    /// A process dies: its tasks vanish, and its cache, and what it had abandoned.
    fn dies(&mut self, process: usize) {
        let dead: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.process == process)
            .map(|(id, _)| *id)
            .collect();
        let dead: Vec<Running> = dead.iter().filter_map(|id| self.tasks.remove(id)).collect();
        // What it had just begun vanishes as well, and what its end would begin.
        drop(dead);
        let mut world = self.world.lock();
        world.begun.retain(|(of, _)| *of != process);
        if let Some(life) = &self.processes[process] {
            for (team, store) in world.stores.iter_mut().enumerate() {
                let mut left = self.witnesses(team, Some(process));
                store.promises.dies(life.voucher, &store.state, &mut left);
            }
        }
        drop(world);
        self.processes[process] = None;
    }
}
