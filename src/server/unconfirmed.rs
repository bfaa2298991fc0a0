//! Answers that were written whole and of which it is not known yet whether they arrived.
//!
//! What a socket has taken is not what a caller has read. It is known to have arrived when the caller goes on: with its next
//! request over HTTP/1, or by closing the connection in order. A connection that ends in an error has lost what was on it:
//! a caller that closes with bytes unread resets it, one that vanished is given up after a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::Delivery;

/// How many answers of one worker wait for news at once, and how many bytes they keep. Of more, the oldest count as arrived: a
/// caller that is still there after so many others has most likely read its answer.
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 32 << 20;

/// Those of one worker. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unconfirmed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    added: u64,
    bytes: usize,
    answers: BTreeMap<u64, Delivery>,
}

impl Unconfirmed {
    /// Adds one; the number is to ask for it.
    pub(super) fn add(&self, delivery: Delivery) -> u64 {
        let (number, oldest) = {
            let mut state = self.lock();
            state.added += 1;
            let number = state.added;
            state.bytes += delivery.bytes();
            state.answers.insert(number, delivery);
            (number, state.too_many())
        };
        // Without the lock: others are told, and memory is given back.
        oldest.into_iter().for_each(Delivery::arrived);
        number
    }

    /// Takes one out again, unless it has given way.
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
    fn too_many(&mut self) -> Vec<Delivery> {
        let mut oldest = Vec::new();
        while self.answers.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            let Some((_, delivery)) = self.answers.pop_first() else { break };
            self.bytes -= delivery.bytes();
            oldest.push(delivery);
        }
        oldest
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_oldest_of_too_many_count_as_arrived_and_what_is_taken_out_is_not_counted() {
        let (unconfirmed, missed) = (Unconfirmed::default(), Arc::new(AtomicUsize::new(0)));
        let delivery = || {
            let missed = Arc::clone(&missed);
            Delivery::new(Bytes::from(vec![0; BYTES_MAX / 4]), move |_| {
                missed.fetch_add(1, Ordering::SeqCst);
            })
        };
        let numbers: Vec<u64> = (0..5).map(|_| unconfirmed.add(delivery())).collect();
        assert!(unconfirmed.take(numbers[0]).is_none(), "it gave way");
        assert_eq!(missed.load(Ordering::SeqCst), 0);
        unconfirmed.take(numbers[1]).expect("it is there").arrived();
        drop(unconfirmed.take(numbers[2]));
        assert_eq!(missed.load(Ordering::SeqCst), 1);
        assert_eq!(unconfirmed.lock().bytes, BYTES_MAX / 2);
        drop(unconfirmed);
        assert_eq!(missed.load(Ordering::SeqCst), 3, "the process ends");
    }
}
