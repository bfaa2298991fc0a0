//! Bounded memory for buffered bodies: half for requests and half for answers, so that neither
//! starves the other; within each half a share for every team, so that no team starves another.
//!
//! A call that finds no room is refused at once, before it is paid for: for its body as that comes
//! in, for its answer by the size of recent ones. An answer that is larger than that waits: see
//! [`AnswerPermit`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Notify, Semaphore};

use super::answer_permit::AnswerPermit;
use super::memory::{Inner, kib};
use super::share::{Pool, Share, Shares};
use crate::live::Live;
use crate::model::ModelId;
use crate::refusal::Refusal;
use crate::team::TeamId;

/// Expected bytes of an answer of a model that has given none yet.
const USUAL_BYTES: u64 = 16 * 1024;
/// How many answers at a time may exceed the pool, each of another team, so that one team never has
/// all. Each may take `upstream.answer_bytes_max` beyond `limits.buffered_bytes_max`.
const OVERDRAFTS: usize = 2;

/// Memory for bodies, over all workers. Clones share it.
#[derive(Clone, Debug)]
pub struct Buffer {
    inner: Arc<Inner>,
    /// Share of the answers that no team pays for: the catalogue's, the account's balance.
    unpaid: Arc<Share>,
}

impl Buffer {
    /// Memory for `bytes_max` of bodies (`limits.buffered_bytes_max`). The requests' half has room
    /// for at least one body. A few answers at a time may exceed it by `upstream.answer_bytes_max`
    /// each.
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

    /// Takes memory for a request's body of this size, without waiting.
    ///
    /// # Errors
    /// `overloaded`: the team's share is taken, or the whole half.
    pub fn hold(&self, team: &TeamId, bytes: u64) -> Result<BufferPermit, Refusal> {
        let (share, own) = self.inner.shares.read().of_team(team, &self.inner.requests);
        let mut held = BufferPermit { inner: Arc::clone(&self.inner), share, own, held: 0 };
        held.grow(bytes)?;
        Ok(held)
    }

    /// Claims room for the answer of a call before it is paid for: as much as the team's recent
    /// answers of this model needed.
    ///
    /// # Errors
    /// `overloaded`: the team's share is taken, or the whole half, or a paid answer waits for room.
    pub fn claim(&self, team: &TeamId, model: &ModelId) -> Result<Arc<AnswerPermit>, Refusal> {
        let (share, own) = self.share(team);
        let bytes = share.expected(model).unwrap_or(USUAL_BYTES).max(1024);
        self.answer_permit(share, own, Some(model.clone()), bytes)
    }

    /// Takes memory for an answer that already exists, such as a stored response, without waiting.
    ///
    /// # Errors
    /// As for [`Buffer::claim`].
    pub fn take(&self, team: &TeamId, bytes: usize) -> Result<Arc<AnswerPermit>, Refusal> {
        let (share, own) = self.share(team);
        self.answer_permit(share, own, None, bytes as u64)
    }

    /// A permit for an answer that no team pays for, which takes memory as the answer comes. These
    /// answers share one overdraft.
    #[must_use]
    pub fn unpaid(&self) -> Arc<AnswerPermit> {
        Arc::new(AnswerPermit::new(Arc::clone(&self.inner), Arc::clone(&self.unpaid), 0, None))
    }

    fn share(&self, team: &TeamId) -> (Arc<Share>, u64) {
        self.inner.shares.read().of_team(team, &self.inner.answers)
    }

    fn answer_permit(
        &self,
        share: Arc<Share>,
        own: u64,
        model: Option<ModelId>,
        bytes: u64,
    ) -> Result<Arc<AnswerPermit>, Refusal> {
        if share.waiting.load(Ordering::Acquire) > 0 {
            return Err(Refusal::Overloaded);
        }
        let answer_permit = AnswerPermit::new(Arc::clone(&self.inner), share, own, model);
        if answer_permit.grow(bytes) {
            Ok(Arc::new(answer_permit))
        } else {
            Err(Refusal::Overloaded)
        }
    }
}

/// Memory for a request's body, given back when dropped.
#[derive(Debug)]
pub struct BufferPermit {
    inner: Arc<Inner>,
    share: Arc<Share>,
    own: u64,
    held: u64,
}

impl BufferPermit {
    /// Takes more bytes, without waiting.
    ///
    /// # Errors
    /// `overloaded`: no memory is left. What it holds stays held.
    pub fn grow(&mut self, more: u64) -> Result<(), Refusal> {
        let more = kib(more);
        if !self.inner.requests.take(&self.share.requests, self.own, self.held, more) {
            return Err(Refusal::Overloaded);
        }
        self.held += more;
        Ok(())
    }

    /// Gives back what the body did not need.
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
