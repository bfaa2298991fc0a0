//! The bounded memory for buffered bodies: one half for requests, the other for answers, so that neither starves the
//! other, and of each half a share for every team, so that no team starves another.
//!
//! Where there is no room, a call is refused at once, before it is paid for: for its body as that comes in, for its
//! answer by what such answers needed lately. What an answer needs beyond that it waits for: see [`Room`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Notify, Semaphore};

use super::memory::{Inner, kib};
use super::room::Room;
use super::share::{Pool, Share, Shares};
use crate::live::Live;
use crate::model::ModelId;
use crate::refusal::Refusal;
use crate::team::TeamId;

/// What an answer is expected to need of which nothing is known, in bytes.
const USUAL_BYTES: u64 = 16 * 1024;
/// How many answers may be larger than the room there is at the same time, each of another team: one team alone never
/// has them all. Each can take `upstream.answer_bytes_max` beyond `limits.buffered_bytes_max`.
const OVERDRAFTS: usize = 2;

/// Memory that bodies may take, over all workers. Clones share it.
#[derive(Clone, Debug)]
pub struct Buffer {
    inner: Arc<Inner>,
    /// Of what nobody pays for: the catalogue's answers, the account's balance.
    unpaid: Arc<Share>,
}

impl Buffer {
    /// Memory for this many bytes of bodies (`limits.buffered_bytes_max`), shared like this. The requests' half is
    /// never less than one body. A few answers at a time may take as much as `upstream.answer_bytes_max` beyond it.
    #[must_use]
    pub fn new(bytes_max: u64, body_bytes_max: u64, shares: Live<Shares>) -> Self {
        let all = bytes_max / 1024;
        let inner = Inner {
            requests: Pool::new((all - all / 2).max(kib(body_bytes_max))),
            answers: Pool::new((all / 2).max(kib(USUAL_BYTES))),
            shares,
            freed: Notify::new(),
            overdrafts: Arc::new(Semaphore::new(OVERDRAFTS)),
        };
        Self { inner: Arc::new(inner), unpaid: Arc::default() }
    }

    /// Takes memory for a request's body of this size, at once or not at all.
    ///
    /// # Errors
    /// `overloaded`: the team's memory is taken, or all of it.
    pub fn hold(&self, team: &TeamId, bytes: u64) -> Result<BufferPermit, Refusal> {
        let (share, own) = self.inner.shares.read().of_team(team, &self.inner.requests);
        let mut held = BufferPermit { inner: Arc::clone(&self.inner), share, own, held: 0 };
        held.grow(bytes)?;
        Ok(held)
    }

    /// Claims room for the answer of a call that is not paid for yet: as much as the team's answers of this model took
    /// lately.
    ///
    /// # Errors
    /// `overloaded`: the team's memory is taken, or all of it, or an answer that was paid for waits for it.
    pub fn claim(&self, team: &TeamId, model: &ModelId) -> Result<Arc<Room>, Refusal> {
        let (share, own) = self.share(team);
        let bytes = share.expected(model).unwrap_or(USUAL_BYTES).max(1024);
        self.room(share, own, Some(model.clone()), bytes)
    }

    /// Takes memory for an answer that is here already and is given out again, at once or not at all.
    ///
    /// # Errors
    /// As above.
    pub fn take(&self, team: &TeamId, bytes: usize) -> Result<Arc<Room>, Refusal> {
        let (share, own) = self.share(team);
        self.room(share, own, None, bytes as u64)
    }

    /// Room for an answer that nobody pays for, as it comes. Such answers share one overdraft, and wait for nobody
    /// else's.
    #[must_use]
    pub fn unpaid(&self) -> Arc<Room> {
        Arc::new(Room::new(Arc::clone(&self.inner), Arc::clone(&self.unpaid), 0, None))
    }

    fn share(&self, team: &TeamId) -> (Arc<Share>, u64) {
        self.inner.shares.read().of_team(team, &self.inner.answers)
    }

    fn room(&self, share: Arc<Share>, own: u64, model: Option<ModelId>, bytes: u64) -> Result<Arc<Room>, Refusal> {
        if share.waiting.load(Ordering::Acquire) > 0 {
            return Err(Refusal::Overloaded);
        }
        let room = Room::new(Arc::clone(&self.inner), share, own, model);
        if room.grow(bytes) { Ok(Arc::new(room)) } else { Err(Refusal::Overloaded) }
    }
}

/// A share of the memory for requests, given back when it is dropped.
#[derive(Debug)]
pub struct BufferPermit {
    inner: Arc<Inner>,
    share: Arc<Share>,
    own: u64,
    held: u64,
}

impl BufferPermit {
    /// Takes so many bytes more, at once or not at all.
    ///
    /// # Errors
    /// `overloaded`: the memory is taken. What is held stays held.
    pub fn grow(&mut self, more: u64) -> Result<(), Refusal> {
        let more = kib(more);
        if !self.inner.requests.take(&self.share.requests, self.own, self.held, more) {
            return Err(Refusal::Overloaded);
        }
        self.held += more;
        Ok(())
    }

    /// Gives back what a body of so many bytes turned out not to need.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self.held.saturating_sub(kib(bytes as u64));
        self.inner.requests.give_back(&self.share.requests, surplus);
        self.held -= surplus;
    }
}

impl Drop for BufferPermit {
    fn drop(&mut self) {
        self.inner.requests.give_back(&self.share.requests, self.held);
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
#[path = "buffer_tests.rs"]
mod tests;
