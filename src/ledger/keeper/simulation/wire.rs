//! The network between the processes and the keeper: it delays, reorders, repeats, loses and cuts.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::bounds::{Bounds, Fault};
use super::random::Random;
use crate::ledger::keeper::{Reply, Step};

/// What goes to the keeper.
#[derive(Clone)]
pub(super) enum Request {
    Step(Arc<Step>),
    /// Leave a mark without which the team is not made.
    LeaveMark(u64),
    /// Is the team among those that the store has?
    IsNoted,
    Note,
    /// Is the store believed of teams that the process has never seen?
    Vouch,
}

/// What comes back.
pub(super) enum Answer {
    Reply(Box<Reply>),
    Yes(bool),
    /// The connection is broken.
    Broken,
    TimedOut,
}

/// A place for one answer, and whoever waits for it. The first answer stands.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<(Option<Answer>, Option<Waker>)>>);

impl Slot {
    pub(super) fn fill(&self, answer: Answer) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.0.is_none() {
            slot.0 = Some(answer);
            if let Some(waker) = slot.1.take() {
                waker.wake();
            }
        }
    }
}

impl Future for Slot {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = slot.0.take() {
            return Poll::Ready(answer);
        }
        slot.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

/// What becomes of one message, times in microseconds.
pub(super) struct Way {
    /// How long after it was sent it arrives; twice when it is repeated, never when it is lost.
    pub(super) arrives: Vec<i64>,
    /// Whether its answers come through.
    pub(super) is_answered: bool,
    /// When its sender learns that the connection is broken; `None`: never.
    pub(super) breaks: Option<i64>,
}

/// The network.
pub(super) struct Wire {
    random: Random,
    pub(super) bounds: Bounds,
    /// Until when nothing of a process gets through.
    cut_until: Vec<i64>,
    pub(super) is_whole: bool,
}

impl Wire {
    pub(super) fn new(seed: u64, bounds: Bounds) -> Self {
        let cut_until = vec![0; bounds.processes];
        Self { random: Random::new(seed, 2), bounds, cut_until, is_whole: false }
    }

    fn happens(&mut self, fault: Fault, once_in: u64) -> bool {
        self.random.once_in(once_in) && !self.is_whole && self.bounds.allow(fault)
    }

    /// How long a message is under way.
    pub(super) fn delay(&mut self) -> i64 {
        let delay = self.random.between(50, 1_500);
        if self.happens(Fault::Delays, 12) {
            delay + self.random.between(1_000, 240_000)
        } else if self.happens(Fault::Delays, 40) {
            delay + self.random.between(200_000, 2_500_000)
        } else {
            delay
        }
    }

    /// What becomes of a message that this process sends now.
    pub(super) fn way(&mut self, process: usize, now: i64) -> Way {
        let breaks = |random: &mut Random| random.once_in(2).then(|| random.between(100, 100_000));
        if self.is_cut(process, now) || self.happens(Fault::Losses, 25) {
            return Way {
                arrives: Vec::new(),
                is_answered: false,
                breaks: breaks(&mut self.random),
            };
        }
        let mut arrives = vec![self.delay()];
        if self.happens(Fault::Repeats, 20) {
            arrives.push(self.delay() + self.random.between(0, 300_000));
        }
        let is_answered = !self.happens(Fault::Losses, 25);
        let breaks = if is_answered { None } else { breaks(&mut self.random) };
        Way { arrives, is_answered, breaks }
    }

    /// Whether nothing of a process gets through.
    pub(super) fn is_cut(&self, process: usize, now: i64) -> bool {
        !self.is_whole && self.cut_until.get(process).is_some_and(|until| now < *until)
    }

    /// Lets nothing of a process through for a while.
    pub(super) fn cut(&mut self, process: usize, until: i64) {
        if let Some(cut) = self.cut_until.get_mut(process) {
            *cut = until;
        }
    }
}
