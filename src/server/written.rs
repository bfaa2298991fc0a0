//! Answers of one connection that were written completely and may not have arrived.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::unconfirmed::Unconfirmed;
use crate::http::Delivery;

/// Most answers of one connection that wait for confirmation. Over HTTP/2 none is confirmed before
/// the connection ends.
const WRITTEN_MAX: usize = 128;

/// Dropped with its connection: answers not confirmed by then count as lost.
#[derive(Debug)]
pub(super) struct Written {
    unconfirmed: Unconfirmed,
    /// Numbers of its answers in `unconfirmed`, oldest first.
    numbers: Mutex<VecDeque<u64>>,
    /// The stream has failed. hyper does not report that: it takes a reset between two requests for
    /// a clean end.
    has_failed: AtomicBool,
}

impl Written {
    /// Starts empty; the answers wait together with those of other connections.
    pub(super) fn new(unconfirmed: Unconfirmed) -> Self {
        Self { unconfirmed, numbers: Mutex::default(), has_failed: AtomicBool::new(false) }
    }

    /// Adds an answer that was handed over completely.
    pub(super) fn add(&self, delivery: Delivery) {
        let number = self.unconfirmed.add(delivery);
        let oldest = {
            let mut numbers = self.numbers();
            numbers.push_back(number);
            if numbers.len() > WRITTEN_MAX { numbers.pop_front() } else { None }
        };
        if let Some(delivery) = oldest.and_then(|oldest| self.unconfirmed.take(oldest)) {
            delivery.arrived();
        }
    }

    /// Confirms all answers so far: the caller goes on, or closed the connection cleanly.
    pub(super) fn confirm(&self) {
        if !self.has_failed.load(Ordering::Relaxed) {
            self.take().for_each(Delivery::arrived);
        }
    }

    /// Notes that the stream has failed.
    pub(super) fn failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> impl Iterator<Item = Delivery> {
        let numbers = std::mem::take(&mut *self.numbers());
        numbers.into_iter().filter_map(|number| self.unconfirmed.take(number))
    }

    fn numbers(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.take().for_each(drop);
    }
}

#[cfg(test)]
#[path = "written_tests.rs"]
mod tests;
