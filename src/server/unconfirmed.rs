//! Answers that were written completely and may not have arrived.
//!
//! Bytes that a socket took may still be lost. An answer has arrived when the caller goes on: with
//! its next request over HTTP/1, or by closing the connection cleanly. A connection that fails has
//! lost its answers: a caller that closes with unread bytes resets it, one that vanished times out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::Delivery;

/// Most answers of one worker that wait for confirmation, and most bytes they keep. Beyond the
/// bytes, the oldest bodies are dropped; if such an answer did not arrive, only its outcome is
/// kept. Beyond the count, the oldest are taken as arrived: a caller that is still there after so
/// many others has most likely read its answer.
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 32 << 20;

/// The waiting answers of one worker. Clones share state.
#[derive(Clone, Debug, Default)]
pub(super) struct Unconfirmed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    added: u64,
    bytes: usize,
    answers: BTreeMap<u64, Delivery>,
    /// Bodies up to this number were dropped.
    forgotten: u64,
}

impl Unconfirmed {
    /// Adds an answer and returns its number.
    pub(super) fn add(&self, delivery: Delivery) -> u64 {
        let (number, oldest) = {
            let mut state = self.lock();
            state.added += 1;
            let number = state.added;
            state.bytes += delivery.bytes();
            state.answers.insert(number, delivery);
            state.forget_bodies();
            (number, state.one_too_many())
        };
        // Called outside the lock, since it calls into other rooms.
        oldest.into_iter().for_each(Delivery::arrived);
        number
    }

    /// Takes an answer out again, unless it was already taken as arrived.
    pub(super) fn take(&self, number: u64) -> Option<Delivery> {
        let mut state = self.lock();
        let delivery = state.answers.remove(&number)?;
        state.bytes -= delivery.bytes();
        Some(delivery)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_bodies(&mut self) {
        let mut oldest = self.answers.range_mut(self.forgotten + 1..);
        while self.bytes > BYTES_MAX {
            let Some((number, delivery)) = oldest.next() else { break };
            self.bytes -= delivery.bytes();
            self.forgotten = *number;
            delivery.forget_body();
        }
    }

    fn one_too_many(&mut self) -> Option<Delivery> {
        if self.answers.len() <= ANSWERS_MAX {
            return None;
        }
        let (_, delivery) = self.answers.pop_first()?;
        self.bytes -= delivery.bytes();
        Some(delivery)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;

    /// Adds an answer of so many bytes that reports when it did not arrive.
    fn add(unconfirmed: &Unconfirmed, missed: &mpsc::Sender<Option<usize>>, bytes: usize) -> u64 {
        let missed = missed.clone();
        let delivery = Delivery::new(Some(Bytes::from(vec![0; bytes])), move |body| {
            // The test may have ended.
            let _ = missed.send(body.map(|body| body.len()));
        });
        unconfirmed.add(delivery)
    }

    /// An answer that then does not arrive is reported without its body.
    #[test]
    fn of_too_many_unconfirmed_bytes_the_oldest_are_dropped() {
        const QUARTER: usize = BYTES_MAX / 4;
        let (unconfirmed, (tell, missed)) = (Unconfirmed::default(), mpsc::channel());
        let numbers: Vec<u64> = (0..6).map(|_| add(&unconfirmed, &tell, QUARTER)).collect();
        assert_eq!(unconfirmed.lock().bytes, BYTES_MAX);
        unconfirmed.take(numbers[0]).expect("it is there").arrived();
        drop(unconfirmed.take(numbers[1]));
        unconfirmed.take(numbers[2]).expect("it is there").arrived();
        drop(unconfirmed.take(numbers[3]));
        assert_eq!(missed.try_iter().collect::<Vec<_>>(), [None, Some(QUARTER)]);
        assert_eq!(unconfirmed.lock().bytes, BYTES_MAX / 2);
        drop(unconfirmed);
        assert_eq!(missed.try_iter().collect::<Vec<_>>(), [Some(QUARTER); 2], "the process ends");
    }

    #[test]
    fn the_oldest_of_too_many_answers_count_as_arrived() {
        let (unconfirmed, (tell, missed)) = (Unconfirmed::default(), mpsc::channel());
        let numbers: Vec<u64> = (0..=ANSWERS_MAX).map(|_| add(&unconfirmed, &tell, 1)).collect();
        assert!(unconfirmed.take(numbers[0]).is_none() && missed.try_iter().next().is_none());
        drop(unconfirmed.take(numbers[1]));
        assert_eq!(missed.try_iter().collect::<Vec<_>>(), [Some(1)]);
        assert_eq!(unconfirmed.lock().bytes, ANSWERS_MAX - 1);
    }
}
