//! Memory for one answer: claimed before its call is paid for, resized when the answer comes, and
//! given back when the answer was written or dropped.
//!
//! An answer that is larger than was claimed is already paid for, so it is not dropped: it waits
//! for room, and only behind its own team. Waits cannot form a cycle. Each team has one overdraft
//! and a few may be in use at a time; an answer that has one waits for nothing here and ends, since
//! slow readers are cut off, and then the next gets it. While an answer waits, no further call of
//! its team is admitted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::memory::{Inner, kib};
use super::share::Share;
use crate::model::ModelId;

/// Memory for one answer, shared by the call that claimed it and the answer it becomes.
#[derive(Debug)]
pub struct AnswerPermit {
    buffer: Arc<Inner>,
    share: Arc<Share>,
    /// The team's share of the pool, in KiB.
    own: u64,
    /// The model whose expected answer size it updates.
    model: Option<ModelId>,
    /// Taken from the pool, in KiB.
    held: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    overdraft: Option<Overdraft>,
    waits_since: Option<Instant>,
    waited: Duration,
}

/// Permission to exceed the pool: the team's own, and one of the few in all.
#[derive(Debug)]
struct Overdraft {
    /// Taken beyond the pool, in KiB.
    beyond: u64,
    _of_team: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl AnswerPermit {
    /// A permit that holds no memory yet.
    pub(super) fn new(
        buffer: Arc<Inner>,
        share: Arc<Share>,
        own: u64,
        model: Option<ModelId>,
    ) -> Self {
        Self { buffer, share, own, model, held: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let beyond = self.state().overdraft.as_ref().map_or(0, |overdraft| overdraft.beyond);
        self.held.load(Ordering::Acquire).saturating_add(beyond).saturating_mul(1024)
    }

    /// Takes memory for `bytes` if there is some, without waiting; returns whether it could.
    pub(super) fn grow(&self, bytes: u64) -> bool {
        let more = kib(bytes.saturating_sub(self.bytes()));
        if let Some(overdraft) = &mut self.state().overdraft {
            overdraft.beyond += more;
            self.share.answers.overdraw(more);
            return true;
        }
        let held = self.held.load(Ordering::Acquire);
        let taken =
            more == 0 || self.buffer.answers.take(&self.share.answers, self.own, held, more);
        if taken {
            self.held.fetch_add(more, Ordering::AcqRel);
        }
        taken
    }

    /// Takes memory for `bytes` of an answer. Waits while the team has none, until its other
    /// answers are written or the overdraft is free.
    pub async fn hold(&self, bytes: u64) {
        if !self.grow(bytes) {
            // Boxed, so that calls that need not wait do not carry the state of waiting.
            Box::pin(self.wait_for(bytes)).await;
        }
    }

    async fn wait_for(&self, bytes: u64) {
        let _waiting = Waiting::of(self);
        let mut overdraft = std::pin::pin!(self.overdraft());
        loop {
            let mut freed = std::pin::pin!(self.buffer.freed.notified());
            freed.as_mut().enable();
            if self.grow(bytes) {
                return;
            }
            tokio::select! {
                () = freed => {}
                overdraft = &mut overdraft => {
                    self.state().overdraft = overdraft;
                    self.grow(bytes);
                    return;
                }
            }
        }
    }

    /// Waits for the team's overdraft, then for one of the few in all.
    async fn overdraft(&self) -> Option<Overdraft> {
        let of_team = Arc::clone(&self.share.overdraft).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.buffer.overdrafts).acquire_owned().await.ok()?;
        Some(Overdraft { beyond: 0, _of_team: of_team, _of_all: of_all })
    }

    /// Fits the permit to an answer of this size: gives back what is too much, and the overdraft if
    /// the pool has room.
    pub fn settle(&self, bytes: usize) {
        if let Some(model) = &self.model {
            self.share.learn(model, bytes as u64);
        }
        let needed = kib(bytes as u64);
        self.end_overdraft(needed);
        let surplus = self.held.load(Ordering::Acquire).saturating_sub(needed);
        self.held.fetch_sub(surplus, Ordering::AcqRel);
        self.buffer.give_back_answers(&self.share, surplus);
    }

    fn end_overdraft(&self, needed: u64) {
        let mut state = self.state();
        let Some(overdraft) = &state.overdraft else { return };
        let (beyond, held) = (overdraft.beyond, self.held.load(Ordering::Acquire));
        self.share.answers.end_overdraft(beyond);
        let more = needed.saturating_sub(held);
        if self.buffer.answers.take(&self.share.answers, self.own, held, more) {
            self.held.fetch_add(more, Ordering::AcqRel);
            state.overdraft = None;
        } else {
            self.share.answers.overdraw(beyond);
        }
    }

    /// Time spent waiting for room so far, which must not count as the upstream's.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let state = self.state();
        state.waited + state.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AnswerPermit {
    fn drop(&mut self) {
        if let Some(overdraft) = self.state().overdraft.take() {
            self.share.answers.end_overdraft(overdraft.beyond);
        }
        self.buffer.give_back_answers(&self.share, self.held.load(Ordering::Acquire));
    }
}

/// An answer that waits for room: counted for its team, and timed.
struct Waiting<'a>(&'a AnswerPermit);

impl<'a> Waiting<'a> {
    fn of(answer_permit: &'a AnswerPermit) -> Self {
        answer_permit.share.waiting.fetch_add(1, Ordering::AcqRel);
        answer_permit.state().waits_since = Some(Instant::now());
        Self(answer_permit)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.share.waiting.fetch_sub(1, Ordering::AcqRel);
        let mut state = self.0.state();
        let waited = state.waits_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        state.waited += waited;
    }
}
