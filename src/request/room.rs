//! Room in memory for one answer: claimed before its call is paid for, fitted to the answer when it comes, given back
//! when the answer was written or given up.
//!
//! An answer that turns out larger than was claimed is paid for: it is never lost for want of room, so it waits for it,
//! and only for its own team. It never waits in a circle: each team has one overdraft, a few of which are used at a
//! time, and an answer that has one waits for nothing here. It is written or given up in the end, since whoever does
//! not read is cut off; then the next has it. While one waits, no further call of its team is admitted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::memory::{Inner, kib};
use super::share::Share;
use crate::model::ModelId;

/// Room for one answer. Shared by the call that claimed it and the answer that it becomes.
#[derive(Debug)]
pub struct Room {
    buffer: Arc<Inner>,
    share: Arc<Share>,
    /// How much of the memory is its team's share, in KiB.
    own: u64,
    /// Whose answers it tells of.
    model: Option<ModelId>,
    /// What it has taken from the common memory, in KiB.
    held: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    overdraft: Option<Overdraft>,
    waits_since: Option<Instant>,
    waited: Duration,
}

/// The permission to go beyond the common memory: the team's own, and one of all.
#[derive(Debug)]
struct Overdraft {
    lent: u64,
    _of_team: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Room {
    /// Room that has nothing yet.
    pub(super) fn new(buffer: Arc<Inner>, share: Arc<Share>, own: u64, model: Option<ModelId>) -> Self {
        Self { buffer, share, own, model, held: AtomicU64::new(0), state: Mutex::default() }
    }

    /// For how many bytes there is room.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let lent = self.state().overdraft.as_ref().map_or(0, |overdraft| overdraft.lent);
        self.held.load(Ordering::Acquire).saturating_add(lent).saturating_mul(1024)
    }

    /// Makes room for so many bytes, if that can be done at once.
    pub(super) fn grow(&self, bytes: u64) -> bool {
        let more = kib(bytes.saturating_sub(self.bytes()));
        if let Some(overdraft) = &mut self.state().overdraft {
            overdraft.lent += more;
            self.share.answers.lend(more);
            return true;
        }
        let held = self.held.load(Ordering::Acquire);
        let taken = more == 0 || self.buffer.answers.take(&self.share.answers, self.own, held, more);
        if taken {
            self.held.fetch_add(more, Ordering::AcqRel);
        }
        taken
    }

    /// Makes room for so many bytes of an answer. Waits while the team has none: for its other answers to be written,
    /// or for the overdraft.
    pub async fn hold(&self, bytes: u64) {
        if !self.grow(bytes) {
            // Apart, so that what waits takes no room in each call that need not.
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

    /// The team's overdraft, once no other answer has it; then one of all that there are.
    async fn overdraft(&self) -> Option<Overdraft> {
        let of_team = Arc::clone(&self.share.overdraft).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.buffer.overdrafts).acquire_owned().await.ok()?;
        Some(Overdraft { lent: 0, _of_team: of_team, _of_all: of_all })
    }

    /// The answer is here, and has this many bytes: gives back what is too much, and the overdraft if there is room
    /// without.
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
        let (lent, held) = (overdraft.lent, self.held.load(Ordering::Acquire));
        self.share.answers.end_lending(lent);
        let more = needed.saturating_sub(held);
        if self.buffer.answers.take(&self.share.answers, self.own, held, more) {
            self.held.fetch_add(more, Ordering::AcqRel);
            state.overdraft = None;
        } else {
            self.share.answers.lend(lent);
        }
    }

    /// For how long it has waited for room so far: the upstream is not to blame for that.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let state = self.state();
        state.waited + state.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(overdraft) = self.state().overdraft.take() {
            self.share.answers.end_lending(overdraft.lent);
        }
        self.buffer.give_back_answers(&self.share, self.held.load(Ordering::Acquire));
    }
}

/// An answer that waits for room: counted for its team, and timed.
struct Waiting<'a>(&'a Room);

impl<'a> Waiting<'a> {
    fn of(room: &'a Room) -> Self {
        room.share.waiting.fetch_add(1, Ordering::AcqRel);
        room.state().waits_since = Some(Instant::now());
        Self(room)
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
