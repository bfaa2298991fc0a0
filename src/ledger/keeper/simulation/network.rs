//! The network between processes and keeper: delays, reorders, repeats and loses messages, and
//! partitions processes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::bounds::{Bounds, Fault};
use super::random::Random;
use crate::ledger::keeper::{LeftMark, Reply, Step};

/// A request to the keeper.
#[derive(Clone)]
pub(super) enum Request {
    Step(Arc<Step>),
    /// Leave a mark, without which the team is not made.
    LeaveMark(u64),
    /// Ask whether the team is in the store's set of teams.
    IsNoted,
    Note,
    /// Ask whether the store is trusted about teams that the process has never seen.
    Trust,
}

/// The keeper's answer.
pub(super) enum Answer {
    Reply(Box<Reply>),
    Yes(bool),
    Left(LeftMark),
    /// The connection is broken.
    Broken,
    TimedOut,
}

/// Slot for one answer, with the waiting task's waker. The first answer counts.
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

/// Delivery of one message, with times in microseconds.
pub(super) struct Delivery {
    /// Delays until it arrives: two if it is repeated, none if it is lost.
    pub(super) arrives: Vec<i64>,
    /// Whether its answers arrive.
    pub(super) is_answered: bool,
    /// When its sender learns that the connection is broken; `None`: never.
    pub(super) breaks: Option<i64>,
}

/// The network.
pub(super) struct Network {
    random: Random,
    pub(super) bounds: Bounds,
    /// Until when each process is partitioned.
    cut_until: Vec<i64>,
    pub(super) is_whole: bool,
}

impl Network {
    pub(super) fn new(seed: u64, bounds: Bounds) -> Self {
        let cut_until = vec![0; bounds.processes];
        Self { random: Random::new(seed, 2), bounds, cut_until, is_whole: false }
    }

    fn happens(&mut self, fault: Fault, once_in: u64) -> bool {
        self.random.once_in(once_in) && !self.is_whole && self.bounds.allow(fault)
    }

    /// Delay of a message.
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

    /// Delivery of a message that this process sends now.
    pub(super) fn way(&mut self, process: usize, now: i64) -> Delivery {
        let breaks = |random: &mut Random| random.once_in(2).then(|| random.between(100, 100_000));
        if self.is_cut(process, now) || self.happens(Fault::Losses, 25) {
            return Delivery {
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
        Delivery { arrives, is_answered, breaks }
    }

    /// Whether a process is partitioned.
    pub(super) fn is_cut(&self, process: usize, now: i64) -> bool {
        !self.is_whole && self.cut_until.get(process).is_some_and(|until| now < *until)
    }

    /// Partitions a process for a while.
    pub(super) fn cut(&mut self, process: usize, until: i64) {
        if let Some(cut) = self.cut_until.get_mut(process) {
            *cut = until;
        }
    }
}
