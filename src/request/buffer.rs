//! The bounded memory for buffered bodies: one half for requests, the other for answers, so that neither starves the other.
//!
//! Requests are refused when there is none. Answers are paid for, so they wait, and never in a circle: one of known size
//! takes all it needs before it is read, and one that grows beyond what is free waits for the overdraft, which one answer has
//! at a time and which is enough for any. Whoever has it waits for nothing here, so somebody always finishes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::Held;
use crate::refusal::Refusal;

const BYTES_PER_PERMIT: u64 = 1024;

/// Memory that bodies may take, over all workers. Clones share it.
#[derive(Clone, Debug)]
pub struct Buffer {
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    requests_max: usize,
    answers_max: usize,
    overdraft: Arc<Semaphore>,
}

impl Buffer {
    /// Memory for this many bytes of bodies (`limits.buffered_bytes_max`), counted in whole KiB. One answer at a time may
    /// take as much as `upstream.answer_bytes_max` beyond it.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let permits = usize::try_from(bytes_max / BYTES_PER_PERMIT).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let answers_max = permits / 2;
        let requests_max = permits - answers_max;
        let [requests, answers, overdraft] =
            [requests_max, answers_max, 1].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { requests, answers, requests_max, answers_max, overdraft }
    }

    /// Takes memory for a request's body of this size, at once or not at all. Only a body larger than the requests' half may
    /// borrow what it lacks from the answers' half.
    ///
    /// # Errors
    /// `overloaded`: the memory is taken.
    pub fn hold(&self, bytes: u64) -> Result<Held, Refusal> {
        let wanted = permits(bytes)?;
        let own = wanted.min(self.requests_max);
        let held = Held::new(take(&self.requests, own)?);
        if own == wanted { Ok(held) } else { Ok(held.with_lent(take(&self.answers, wanted - own)?)) }
    }

    /// Takes memory for an answer's body of known size as soon as there is some. Whoever calls this holds none.
    ///
    /// # Errors
    /// `overloaded`: the body is larger than all the memory for answers; [`Buffer::overdraw`] has room for it.
    pub async fn hold_when_free(&self, bytes: u64) -> Result<Held, Refusal> {
        let wanted = permits(bytes)?;
        if wanted > self.answers_max {
            return Err(Refusal::Overloaded);
        }
        if let Ok(permit) = take(&self.answers, wanted) {
            return Ok(Held::new(permit));
        }
        let wanted = u32::try_from(wanted).map_err(|_| Refusal::Overloaded)?;
        // Apart, so that what waits takes no room in each call that need not.
        let permit = Box::pin(Arc::clone(&self.answers).acquire_many_owned(wanted)).await;
        Ok(Held::new(permit.map_err(|_| Refusal::Overloaded)?))
    }

    /// Takes more memory for an answer that turned out larger, at once or not at all.
    ///
    /// # Errors
    /// `overloaded`: the memory is taken. What is held stays held.
    pub fn grow(&self, held: &mut Held, more: u64) -> Result<(), Refusal> {
        held.absorb(Held::new(take(&self.answers, permits(more)?)?));
        Ok(())
    }

    /// Takes the overdraft for an answer: room for the rest of it, whatever its size. Waits until the answer that has it now
    /// is written, or has found room in the common memory.
    ///
    /// # Errors
    /// None in practice: the overdraft is never closed.
    pub async fn overdraw(&self, held: Option<Held>) -> Result<Held, Refusal> {
        let overdraft = Arc::clone(&self.overdraft).acquire_owned().await.map_err(|_| Refusal::Overloaded)?;
        let held = match held {
            Some(held) => held,
            None => Held::new(take(&self.answers, 0)?),
        };
        Ok(held.with_lent(overdraft))
    }

    /// Makes what an answer holds fit its final size: gives back the surplus, and the overdraft if there is room without.
    pub fn settle(&self, held: &mut Held, bytes: usize) {
        let needed = bytes.div_ceil(1024);
        if !held.is_lent() {
            return held.shrink_to(needed);
        }
        if let Ok(more) = take(&self.answers, needed.saturating_sub(held.permits())) {
            held.give_back_lent();
            held.absorb(Held::new(more));
            held.shrink_to(needed);
        }
    }

    /// Gives back what a request's body turned out not to need.
    pub fn shrink(held: &mut Held, bytes: usize) {
        held.shrink_to(bytes.div_ceil(1024));
    }
}

fn permits(bytes: u64) -> Result<usize, Refusal> {
    usize::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).map_err(|_| Refusal::Overloaded)
}

fn take(memory: &Arc<Semaphore>, permits: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let permits = u32::try_from(permits).map_err(|_| Refusal::Overloaded)?;
    Arc::clone(memory).try_acquire_many_owned(permits).map_err(|_| Refusal::Overloaded)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    const KIB: u64 = 1024;

    fn is_waiting<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
    }

    #[test]
    fn memory_is_given_until_it_is_gone_and_comes_back() {
        let buffer = Buffer::new(10 * KIB);
        let first = buffer.hold(6 * KIB).expect("room");
        assert_eq!(buffer.hold(5 * KIB).map(drop), Err(Refusal::Overloaded));
        drop(first);
        assert!(buffer.hold(10 * KIB).is_ok());
        assert_eq!(buffer.hold(11 * KIB).map(drop), Err(Refusal::Overloaded));
    }

    #[tokio::test]
    async fn requests_and_answers_leave_each_other_their_half() {
        let buffer = Buffer::new(10 * KIB);
        let _requests = buffer.hold(5 * KIB).expect("the requests' half");
        let _answers = buffer.hold_when_free(5 * KIB).await.expect("the answers' half");
        assert!(buffer.hold(1).is_err());
    }

    #[test]
    fn a_large_body_gives_back_what_it_borrowed_first() {
        let buffer = Buffer::new(10 * KIB);
        let mut held = buffer.hold(10 * KIB).expect("all of it");
        Buffer::shrink(&mut held, 5 * 1024);
        assert_eq!((buffer.requests.available_permits(), buffer.answers.available_permits()), (0, 5));
        Buffer::shrink(&mut held, 1);
        assert_eq!(buffer.requests.available_permits(), 4);
    }

    #[tokio::test]
    async fn an_answer_larger_than_all_memory_is_told_so_and_never_waits() {
        let buffer = Buffer::new(10 * KIB);
        assert_eq!(buffer.hold_when_free(6 * KIB).await.map(drop), Err(Refusal::Overloaded));
        assert!(buffer.overdraw(None).await.is_ok());
    }

    #[tokio::test]
    async fn of_answers_that_grow_into_each_other_one_finishes_and_lets_the_next() {
        let buffer = Buffer::new(8 * KIB);
        let mut first = buffer.hold_when_free(2 * KIB).await.expect("room");
        let mut second = buffer.hold_when_free(2 * KIB).await.expect("room");
        assert!(buffer.grow(&mut first, KIB).is_err() && buffer.grow(&mut second, KIB).is_err());
        let mut first = buffer.overdraw(Some(first)).await.expect("the overdraft");
        let mut waiting = Box::pin(buffer.overdraw(Some(second)));
        assert!(is_waiting(waiting.as_mut()));
        buffer.settle(&mut first, 6 * 1024);
        assert!(is_waiting(waiting.as_mut()), "there is no room yet without the overdraft");
        drop(first);
        let mut second = waiting.await.expect("the overdraft");
        buffer.settle(&mut second, 3 * 1024);
        assert!(!second.is_lent());
        assert_eq!((buffer.answers.available_permits(), buffer.overdraft.available_permits()), (1, 1));
    }
}
